//! The score of the monitor that Sluice replaces, for dashboards that know it.

use super::Sample;

/// It looked at so many of the newest segments.
const SEGMENTS: usize = 5;

/// The old score, 0 to 100: 0.4 for each percent of the newest five segments that came, 25 for video, 25 for audio, and
/// 10 where segments have a length. A half is rounded up, as browsers round.
pub fn legacy_score(sample: &Sample) -> u32 {
    let seen = &sample.observations;
    let newest = &seen[seen.len().saturating_sub(SEGMENTS)..];
    let came = newest.iter().filter(|seen| !seen.gap).count();
    let success_rate = if newest.is_empty() { 0.0 } else { 100.0 * came as f64 / newest.len() as f64 };
    let has_length = newest.iter().any(|seen| !seen.duration.is_zero());
    formula(success_rate, sample.video, sample.audio, has_length)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn formula(success_rate: f64, has_video: bool, has_audio: bool, has_length: bool) -> u32 {
    let points = |has: bool, points: f64| if has { points } else { 0.0 };
    let score =
        0.4 * success_rate + points(has_video, 25.0) + points(has_audio, 25.0) + points(has_length, 10.0);
    (score + 0.5).floor().clamp(0.0, 100.0) as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::Observation;

    #[test]
    fn inputs_give_the_number_that_the_old_page_showed() {
        for (success_rate, video, audio, length, score) in [
            (100.0, true, true, true, 100),
            (100.0, true, false, true, 75),
            (80.0, true, true, true, 92),
            (60.0, true, true, true, 84),
            (100.0 / 3.0, true, true, true, 73),
            (98.75, true, true, true, 100),
            (33.75, false, false, false, 14),
            (0.0, true, true, true, 60),
            (0.0, false, false, true, 10),
            (0.0, false, false, false, 0),
            (100.0, false, false, false, 40),
        ] {
            assert_eq!(formula(success_rate, video, audio, length), score, "{success_rate} {video} {audio}");
        }
    }

    #[test]
    fn it_looks_at_the_newest_five_segments() {
        let segment = |gap| Observation { gap, duration: Duration::from_secs(2), ..Observation::default() };
        let observations = [true, true, true, false, false, false, true, false].map(segment).to_vec();
        let sample = Sample { video: true, audio: true, observations, ..Sample::default() };
        assert_eq!(legacy_score(&sample), 92);
        assert_eq!(legacy_score(&Sample::default()), 0);
    }
}
