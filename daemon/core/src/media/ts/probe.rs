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
/// `Malformed` when there is no program with video or audio in it.
pub fn probe(head: &[u8], target: Duration) -> Result<Probe, Fault> {
    let mut segmenter = Segmenter::new(Lengths { target, longest: LONGEST, part: LONGEST });
    let mut events = Vec::new();
    segmenter.push(head, &mut events);
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
