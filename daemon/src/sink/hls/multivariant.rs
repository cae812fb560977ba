//! The multivariant playlist of a set of renditions. Where there is one rendition only, its rates are measured.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use sluice_core::fault::Fault;
use sluice_core::media::playlist::render;
use sluice_core::media::{RenditionSpec, Role, Segment};
use sluice_core::pipeline::RenditionSet;

use super::rendered::{Rendered, Slot, Subject};

/// Rates are rounded up to this, so that the playlist changes only where they do.
const RATE_STEP_BPS: u64 = 10_000;

/// The playlist, rendered anew where what it says changes.
#[derive(Default)]
pub(super) struct MultivariantPlaylist(Slot);

/// Peak and average of a rendition, in bits per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rates {
    peak_bps: u64,
    average_bps: u64,
}

impl MultivariantPlaylist {
    /// The playlist now.
    pub(super) fn current(&self, set: &RenditionSet) -> Result<Guard<Option<Arc<Rendered>>>, Fault> {
        let only = match set.renditions.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let version = only.map_or(0, |only| only.window.version());
        if let Some(rendered) = self.0.known(version) {
            return Ok(rendered);
        }
        let look = || {
            let rates = only.map(|only| measured(&only.window.snapshot().segments, set.target_duration()));
            let rates = rates.unwrap_or_default();
            let subject = Subject {
                first_sequence: rates.average_bps,
                last_sequence: rates.peak_bps,
                target_duration_secs: set.target_duration().as_secs(),
                ..Subject::default()
            };
            Ok((version, subject, rates))
        };
        self.0.current(look, |version, subject, rates| {
            let text = match only {
                Some(only) => {
                    let specs = [with_rates(&only.spec, rates)];
                    render::multivariant(&specs, |_| "index.m3u8".to_owned(), set.independent_segments)
                }
                None => {
                    let specs: Vec<_> =
                        set.renditions.iter().map(|rendition| rendition.spec.clone()).collect();
                    let uri = |spec: &RenditionSpec| format!("{}/index.m3u8", spec.name);
                    render::multivariant(&specs, uri, set.independent_segments)
                }
            };
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&text);
            Rendered::new(text, version, subject, &format!("{}-{hash:016x}", set.epoch))
        })
    }
}

/// The rates of what the window holds. A peak is that of a segment of at least half a target duration (RFC 8216, 4.3.4.2), or
/// of all where none is that long.
fn measured(segments: &[Arc<Segment>], target_duration: Duration) -> Rates {
    let there = || segments.iter().filter(|segment| !segment.media.gap);
    let total = |sum: (u64, Duration), segment: &Arc<Segment>| {
        (sum.0 + segment.media.len_bytes(), sum.1 + segment.media.duration)
    };
    let (bytes, duration) = there().fold((0, Duration::ZERO), total);
    let average_bps = rate(bytes, duration);
    let long = there().filter(|segment| segment.media.duration * 2 >= target_duration);
    let peak_bps = long.map(|segment| rate(segment.media.len_bytes(), segment.media.duration)).max();
    Rates { peak_bps: peak_bps.unwrap_or_default().max(average_bps), average_bps }
}

fn rate(bytes: u64, duration: Duration) -> u64 {
    let bits_per_second = u128::from(bytes) * 8 * 1_000_000_000 / duration.as_nanos().max(1);
    let bits_per_second = u64::try_from(bits_per_second).unwrap_or(u64::MAX);
    bits_per_second.div_ceil(RATE_STEP_BPS).saturating_mul(RATE_STEP_BPS)
}

/// The rendition with what was measured, unless the source says more.
fn with_rates(spec: &RenditionSpec, rates: Rates) -> RenditionSpec {
    let mut spec = spec.clone();
    if let Role::Variant { bandwidth_bps, attributes, .. } = &mut spec.role {
        *bandwidth_bps = rates.peak_bps.max(*bandwidth_bps);
        if rates.average_bps > 0 && !attributes.iter().any(|(name, _)| name == "AVERAGE-BANDWIDTH") {
            attributes.insert(0, ("AVERAGE-BANDWIDTH".into(), rates.average_bps.to_string()));
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sluice_core::media::{Container, Media, Part};

    use super::*;

    fn segment(millis: u64, bytes: usize) -> Arc<Segment> {
        let duration = Duration::from_millis(millis);
        let media = Media {
            duration,
            era: 0,
            gap: bytes == 0,
            program_date_time: None,
            container: Container::TransportStream,
            origin: None,
            parts: vec![Part { duration, independent: true, bytes: Bytes::from(vec![0; bytes]) }],
        };
        Arc::new(Segment { sequence: 0, discontinuity_sequence: 0, discontinuities: 0, media })
    }

    #[test]
    fn rates_are_those_of_the_segments_that_are_there() {
        for (segments, peak_bps, average_bps) in [
            (vec![segment(2000, 250_000), segment(2000, 500_000)], 2_000_000, 1_500_000),
            (vec![segment(2000, 250_000), segment(100, 250_000)], 1_910_000, 1_910_000),
            (vec![segment(2000, 250_000), segment(2000, 0)], 1_000_000, 1_000_000),
            (vec![segment(2000, 1)], 10_000, 10_000),
            (vec![], 0, 0),
        ] {
            let rates = measured(&segments, Duration::from_secs(2));
            assert_eq!(rates, Rates { peak_bps, average_bps });
        }
    }
}
