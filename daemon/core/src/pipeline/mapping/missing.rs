//! A rendition that nothing feeds: gaps, in step with the others.

use super::Operation;
use super::splitting::gap;
use crate::media::Media;

/// Gives a gap for each segment of another rendition.
#[derive(Default)]
pub(super) struct Missing {
    /// The segment that is open there, with its length so far.
    open: Option<Media>,
}

impl Missing {
    pub(super) fn take(&mut self, operation: &Operation) -> Option<Operation> {
        match operation {
            Operation::Append(media) => {
                self.open = None;
                Some(Operation::Append(gap(media, media.duration)))
            }
            Operation::Open(media) => {
                let before = self.open.replace(media.clone());
                before.and_then(ended)
            }
            Operation::Grow(part) | Operation::GrowLast(part) => {
                self.open.iter_mut().for_each(|open| open.duration += part.duration);
                let is_last = matches!(operation, Operation::GrowLast(_));
                self.open.take_if(|_| is_last).and_then(ended)
            }
            Operation::Close => self.open.take().and_then(ended),
        }
    }
}

fn ended(media: Media) -> Option<Operation> {
    (!media.duration.is_zero()).then(|| Operation::Append(gap(&media, media.duration)))
}
