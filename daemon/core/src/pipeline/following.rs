//! Following the windows of one rendition, part by part, over every change of its set.

use std::sync::Arc;
use std::time::Duration;

use super::{Rendition, RenditionSet};
use crate::media::{Media, Segment};

/// How far a rendition was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The set's epoch.
    pub epoch: Arc<str>,
    /// The segment that is next, or under way.
    pub sequence: u64,
    /// How many of its parts were taken.
    pub parts: usize,
}

/// What comes next.
#[derive(Debug, Clone)]
pub enum Found {
    /// Parts of a segment.
    Piece(Piece),
    /// The window moved on before all was taken.
    Hole {
        /// How many segments are missing, the one that was broken off included.
        segments: u64,
        /// About how long they play.
        duration: Duration,
    },
}

/// Parts of one segment that follow each other.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The segment as it is now.
    pub segment: Arc<Segment>,
    /// The first part that was not taken before; 0 where the segment begins.
    pub from: usize,
    /// Whether the segment is whole with this.
    pub closes: bool,
    /// Whether it is the first of a set that took the place of another.
    pub first_of_set: bool,
    after: Mark,
}

impl Piece {
    /// The bytes of its parts.
    pub fn len_bytes(&self) -> u64 {
        self.parts().iter().map(|part| part.bytes.len() as u64).sum()
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        playing(&self.segment.media, self.from)
    }

    /// Its parts.
    pub fn parts(&self) -> &[crate::media::Part] {
        self.segment.media.parts.get(self.from..).unwrap_or_default()
    }
}

/// How long media plays from a part on; a gap has none.
fn playing(media: &Media, from: usize) -> Duration {
    let parts = media.parts.get(from..).unwrap_or_default();
    if media.gap { media.duration } else { parts.iter().map(|part| part.duration).sum() }
}

/// Follows one rendition. Holds the set that it reads, so that what its windows have can be read to the end after
/// another set took its place.
pub struct Follower {
    set: Arc<RenditionSet>,
    rendition: Arc<Rendition>,
    mark: Mark,
    fresh: bool,
}

impl Follower {
    /// Follows `rendition` of `set` from `mark`, or from where it begins where the mark is of another set.
    pub fn new(set: Arc<RenditionSet>, rendition: Arc<Rendition>, mark: Option<Mark>) -> Self {
        let first = || Mark { epoch: set.epoch.clone(), sequence: 0, parts: 0 };
        let fresh = mark.as_ref().is_none_or(|mark| mark.epoch != set.epoch);
        let mark = mark.filter(|mark| mark.epoch == set.epoch).unwrap_or_else(first);
        Self { set, rendition, mark, fresh }
    }

    /// Leaves out what the window has but the newest closed segment: for who joins late.
    #[must_use]
    pub fn at_the_edge(mut self) -> Self {
        let snapshot = self.rendition.window.snapshot();
        let newest = snapshot.segments.last().or(snapshot.open.as_ref());
        self.mark.sequence = newest.map_or(0, |segment| segment.sequence);
        self.mark.parts = 0;
        self
    }

    /// The set that it follows.
    pub fn set(&self) -> &Arc<RenditionSet> {
        &self.set
    }

    /// The rendition that it follows.
    pub fn rendition(&self) -> &Arc<Rendition> {
        &self.rendition
    }

    /// How far it came.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// What comes next and is there already; the same again until it is [`Follower::taken`].
    pub fn look(&mut self) -> Option<Found> {
        let snapshot = self.rendition.window.snapshot();
        let first = snapshot.segments.first().or(snapshot.open.as_ref())?.sequence;
        if self.mark.sequence < first {
            let begins = self.fresh && self.mark.sequence == 0;
            let segments = first - self.mark.sequence;
            self.mark = Mark { sequence: first, parts: 0, ..self.mark.clone() };
            if !begins {
                let each = snapshot.segments.first().map_or(Duration::ZERO, |segment| segment.media.duration);
                let duration = each.saturating_mul(u32::try_from(segments).unwrap_or(u32::MAX));
                return Some(Found::Hole { segments, duration });
            }
        }
        let closed = snapshot.find(self.mark.sequence);
        let open = snapshot.open.as_ref().filter(|open| open.sequence == self.mark.sequence);
        let (segment, closes) = closed.map(|segment| (segment, true)).or(open.map(|open| (open, false)))?;
        let parts = segment.media.parts.len();
        if !closes && parts <= self.mark.parts {
            return None;
        }
        let after = match closes {
            true => Mark { sequence: self.mark.sequence + 1, parts: 0, ..self.mark.clone() },
            false => Mark { parts, ..self.mark.clone() },
        };
        let (from, first_of_set) = (self.mark.parts, self.fresh);
        Some(Found::Piece(Piece { segment: segment.clone(), from, closes, first_of_set, after }))
    }

    /// How long all plays that is there from the beginning of `piece` on.
    pub fn ahead(&self, piece: &Piece) -> Duration {
        let snapshot = self.rendition.window.snapshot();
        let later = |segment: &&Arc<Segment>| segment.sequence > piece.segment.sequence;
        let later = snapshot.segments.iter().chain(&snapshot.open).filter(later);
        piece.duration() + later.map(|segment| playing(&segment.media, 0)).sum::<Duration>()
    }

    /// Goes on behind `piece`.
    pub fn taken(&mut self, piece: &Piece) {
        self.mark = piece.after.clone();
        self.fresh = false;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::tests::{Kept, setup};
    use super::super::{Bounds, Opening, RenditionSpec, Role, Shared};
    use super::*;
    use crate::media::{Container, Part};

    fn part() -> Part {
        Part { duration: Duration::from_secs(1), independent: true, bytes: Bytes::from_static(&[7; 188]) }
    }

    fn media(parts: Vec<Part>) -> Media {
        let duration = parts.iter().map(|part| part.duration).sum();
        let container = Container::TransportStream;
        Media { duration, era: 0, gap: false, program_date_time: None, container, origin: None, parts }
    }

    fn follower(segments: usize) -> Follower {
        let shared = Shared::new(setup(&Arc::new(Kept::default())), Bounds { segments, bytes: 1 << 20 });
        let role = Role::only();
        let specs = [RenditionSpec { name: "main".into(), role }];
        let opening = Opening {
            specs: &specs,
            target: Duration::from_secs(2),
            independent_segments: true,
            part_target: None,
        };
        let set = shared.open(&opening, super::super::feed::Fit::Replace).0;
        shared.publish(&set);
        let rendition = set.renditions[0].clone();
        Follower::new(set, rendition, None)
    }

    /// What comes next: the parts taken so far and those that are new, and whether the segment is whole.
    fn step(follower: &mut Follower) -> Option<(usize, usize, bool)> {
        match follower.look()? {
            Found::Piece(piece) => {
                follower.taken(&piece);
                Some((piece.from, piece.parts().len(), piece.closes))
            }
            Found::Hole { .. } => panic!("nothing is missing"),
        }
    }

    #[tokio::test]
    async fn a_segment_is_followed_part_by_part_and_told_to_be_whole() {
        let mut follower = follower(10);
        let window = follower.rendition().window.clone();
        assert!(follower.look().is_none());
        window.open(media(Vec::new()), 0);
        assert!(step(&mut follower).is_none(), "an open segment without parts is nothing yet");
        window.grow(part());
        window.grow(part());
        assert_eq!(step(&mut follower), Some((0, 2, false)));
        assert_eq!(step(&mut follower), None);
        window.grow(part());
        window.append(media(vec![part()]), 0);
        assert_eq!(step(&mut follower), Some((2, 1, true)));
        assert_eq!(step(&mut follower), Some((0, 1, true)));
        assert_eq!(step(&mut follower), None);
    }

    #[tokio::test]
    async fn what_the_window_lost_is_a_hole_that_is_told_once() {
        let mut follower = follower(3);
        let window = follower.rendition().window.clone();
        for _ in 0..4 {
            window.append(media(vec![part(), part()]), 0);
        }
        assert_eq!(step(&mut follower), Some((0, 2, true)), "nothing was lost before it came");
        for _ in 0..4 {
            window.append(media(vec![part(), part()]), 0);
        }
        let Some(Found::Hole { segments, duration }) = follower.look() else {
            panic!("segments are missing")
        };
        assert_eq!((segments, duration), (3, Duration::from_secs(6)));
        (0..3).for_each(|_| assert_eq!(step(&mut follower), Some((0, 2, true))));
        assert_eq!(step(&mut follower), None);
    }

    #[tokio::test]
    async fn another_goes_on_at_the_mark_of_the_one_before() {
        let mut first = follower(10);
        let window = first.rendition().window.clone();
        window.open(media(Vec::new()), 0);
        window.grow(part());
        assert_eq!(step(&mut first), Some((0, 1, false)));
        window.grow(part());
        let mark = Some(first.mark().clone());
        let mut second = Follower::new(first.set().clone(), first.rendition().clone(), mark);
        assert_eq!(step(&mut second), Some((1, 1, false)));
    }

    #[tokio::test]
    async fn what_is_ahead_of_a_piece_is_all_that_the_window_has_from_there_on() {
        let mut follower = follower(10);
        let window = follower.rendition().window.clone();
        window.append(media(vec![part(), part()]), 0);
        window.append(Media { duration: Duration::from_secs(5), gap: true, ..media(Vec::new()) }, 0);
        window.open(media(Vec::new()), 0);
        window.grow(part());
        let mut ahead = Vec::new();
        while let Some(Found::Piece(piece)) = follower.look() {
            ahead.push(follower.ahead(&piece).as_secs());
            follower.taken(&piece);
        }
        assert_eq!(ahead, [8, 6, 1]);
    }
}
