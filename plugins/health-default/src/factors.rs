//! The four factors.

use sluice_plugin_sdk::{Factor, Observation};

use crate::trouble::{Past, Share, show};

/// Segments that are missing or were refused.
pub(crate) fn availability(past: &Past<'_>, weight: f64) -> Factor {
    let missing = past.share(|seen| if seen.gap || seen.status >= 400 { 1.0 } else { 0.0 });
    let words = match missing.count {
        0 => "every segment came".to_owned(),
        count => format!("{count} of {} segments are missing", past.sample.observations.len()),
    };
    let good = 1.0 - missing.bad;
    // a tenth of the segments missing halves the score
    factor("availability", weight, good * good * good * good * good * good, words)
}

/// Segments that took long beside their playing time, playlists that grew old, and media that stopped coming.
pub(crate) fn timeliness(past: &Past<'_>, weight: f64) -> Factor {
    let slow = past.share(|seen| slowness(seen).max(staleness(seen, past.target_ms)));
    let alive = past.alive();
    let words = if alive < 1.0 {
        format!("nothing came for {}", show(past.sample.idle_ms.into()))
    } else if slow.count == 0 {
        "segments come in time".to_owned()
    } else {
        let worst = past.sample.observations.iter().map(ratio).fold(0.0, f64::max) * 100.0;
        let oldest = past.sample.observations.iter().map(|seen| seen.playlist_age_ms).max().unwrap_or(0);
        format!(
            "{} of {} segments came late: the slowest took {worst:.0} % of its playing time, the oldest playlist was {}",
            slow.count,
            past.sample.observations.len(),
            show(oldest.into()),
        )
    };
    let good = 1.0 - slow.bad;
    factor("timeliness", weight, good * good.sqrt() * alive, words)
}

/// The download of a segment beside its playing time.
fn ratio(seen: &Observation) -> f64 {
    if seen.duration_ms == 0 { 0.0 } else { f64::from(seen.download_ms) / f64::from(seen.duration_ms) }
}

/// From half of the playing time on it is noted; at one and a quarter no buffer can hold.
fn slowness(seen: &Observation) -> f64 {
    if seen.gap { 0.0 } else { (ratio(seen) - 0.5) / 0.75 }
}

/// A playlist grows once in a target duration; three without is a playlist that stands (RFC 8216, 6.2.1).
fn staleness(seen: &Observation, target_ms: f64) -> f64 {
    (f64::from(seen.playlist_age_ms) / target_ms - 1.5) / 1.5
}

/// Continuity counters that do not follow, timestamps with gaps, discontinuities.
pub(crate) fn continuity(past: &Past<'_>, weight: f64) -> Factor {
    let broken = past.share(brokenness);
    let words = if broken.count == 0 {
        "the media is whole".to_owned()
    } else {
        let all = || past.sample.observations.iter();
        let errors: u64 = all().map(|seen| u64::from(seen.continuity_errors)).sum();
        let gaps: u64 = all().map(|seen| u64::from(seen.pts_gap_ms)).sum();
        let cuts = all().filter(|seen| seen.discontinuity).count();
        format!(
            "{errors} continuity errors, {} missing in timestamps, {cuts} discontinuities",
            show(gaps as f64)
        )
    };
    let good = 1.0 - broken.bad;
    factor("continuity", weight, good * good * good, words)
}

/// A single lost packet shows; ten are as bad as it gets. A discontinuity by itself is no fault: advertisements have them.
fn brokenness(seen: &Observation) -> f64 {
    let errors = match seen.continuity_errors {
        0 => 0.0,
        errors => 0.25 + f64::from(errors) * 0.075,
    };
    let missing = match (seen.pts_gap_ms, seen.duration_ms) {
        (0, _) => 0.0,
        (gap, duration) => 0.25 + 2.0 * f64::from(gap) / f64::from(duration.max(1)),
    };
    let cut = if seen.discontinuity { 0.1 } else { 0.0 };
    errors + missing + cut
}

/// Stalls, and attempts after the first.
pub(crate) fn smoothness(past: &Past<'_>, weight: f64) -> Factor {
    let rough = past.share(|seen| f64::from(seen.stalls) + 0.2 * f64::from(seen.retries.min(3)));
    let words = if rough.count == 0 {
        "no stall and no retry".to_owned()
    } else {
        let stalls: u64 = past.sample.observations.iter().map(|seen| u64::from(seen.stalls)).sum();
        let retries: u64 = past.sample.observations.iter().map(|seen| u64::from(seen.retries)).sum();
        let Share { count, .. } = rough;
        format!(
            "{stalls} stalls and {retries} retries, over {count} of {} segments",
            past.sample.observations.len()
        )
    };
    let good = 1.0 - rough.bad;
    factor("smoothness", weight, good * good * good * good, words)
}

fn factor(name: &str, weight: f64, good: f64, words: String) -> Factor {
    Factor::new(name, weight, 100.0 * good, words)
}
