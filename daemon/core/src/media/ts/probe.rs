//! What the head of a transport stream tells of the whole.

use std::time::Duration;

use super::{Event, Lengths, Segmenter};
use crate::fault::Fault;

/// Nothing that is longer can be told apart from a stream without keyframes.
const LONGEST: Duration = Duration::from_secs(60);

/// What the head of a transport stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The longest segment that cutting at keyframes gives.
    pub longest: Duration,
    /// Whether every segment started with a keyframe.
    pub independent_segments: bool,
}

/// Cuts `head` for a trial. It must hold some segments of the wanted length to tell much.
///
/// # Errors
/// `Malformed` when there is no program with video or audio in it; else as [`Segmenter::push`].
pub fn probe(head: &[u8], target: Duration, program: Option<u16>) -> Result<Probe, Fault> {
    let mut segmenter = Segmenter::new(target, program);
    let mut events = Vec::new();
    segmenter.start(Lengths { longest: LONGEST, part: LONGEST }, &mut events);
    segmenter.push(head, &mut events)?;
    segmenter.finish(&mut events);
    let mut probe = Probe { longest: Duration::ZERO, independent_segments: true };
    let (mut length, mut is_first) = (Duration::ZERO, false);
    for event in &events {
        match event {
            Event::Open { .. } => (length, is_first) = (Duration::ZERO, true),
            Event::Part(part) => {
                probe.independent_segments &= part.independent || !is_first;
                is_first = false;
                length += part.duration;
            }
            Event::Close => probe.longest = probe.longest.max(length),
        }
    }
    if events.is_empty() {
        return Err(Fault::malformed("no transport stream with video or audio"));
    }
    Ok(probe)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Shape;
    use super::*;

    #[test]
    fn a_stream_tells_how_long_its_segments_become() {
        let probe_of =
            |gop| probe(&Shape { gop, ..Shape::default() }.build(), Duration::from_secs(2), None).unwrap();
        let longest = |millis| Probe { longest: Duration::from_millis(millis), independent_segments: true };
        assert_eq!(probe_of(25), longest(2000));
        assert_eq!(probe_of(40), longest(3200));
        assert_eq!(probe_of(0), longest(1920));
    }

    #[test]
    fn what_is_no_transport_stream_is_a_fault() {
        for bytes in [&b""[..], b"<html>", &[0x47; 5000], &Shape::default().build()[188 * 2..188 * 9]] {
            let fault = probe(bytes, Duration::from_secs(2), None).unwrap_err();
            assert_eq!(fault.to_string(), "malformed: no transport stream with video or audio");
        }
    }
}
