//! Mapping: how a source feeds renditions that are not its own. The first source that goes live decides which renditions a
//! pipeline serves. What another one brings is carried over, split, joined, or left out so that gaps stand in its place.
//!
//! All of it is pure: operations on renditions of the source go in, operations on windows come out.

mod fed;
mod joining;
mod mapped;
mod missing;
mod operation;
mod routes;
mod splitting;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::media::{Media, RenditionSpec};
pub(super) use fed::straight;
pub use fed::{Fed, FedHow};
use joining::Joining;
pub(super) use mapped::Mapped;
use missing::Missing;
pub(super) use operation::Operation;
use routes::{Route, routes};
use splitting::Splitting;

/// How a served rendition is paced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pacing {
    /// Where segments end that are cut anew: at the first keyframe behind this.
    pub(super) segment: Duration,
    /// The target duration that is served, with what rounding hides.
    pub(super) longest: Duration,
    /// The longest part.
    pub(super) part: Duration,
}

/// Turns operations on the renditions of a source into operations on the windows that are served.
pub(super) struct Mapper {
    /// The first one leads: gaps are as long as its segments.
    ways: Vec<Way>,
}

/// What feeds some windows, all with the same.
struct Way {
    route: Route,
    windows: Vec<usize>,
    work: Work,
}

enum Work {
    /// A segment that begins waits for its first part, so that what is in it can be judged before it is taken over.
    Carry(Option<Media>),
    Split(Box<Splitting>),
    Join(Box<Joining>),
    Miss(Missing),
}

impl Mapper {
    /// A mapper from the renditions of a source to those that are served.
    ///
    /// # Errors
    /// In words, where the source has nothing for the first of them, a variant.
    pub(super) fn new(
        served: &[RenditionSpec],
        source: &[RenditionSpec],
        pacing: Pacing,
    ) -> Result<Self, Arc<str>> {
        let mut ways: Vec<Way> = Vec::new();
        for (window, route) in routes(served, source).into_iter().enumerate() {
            if let Some(way) = ways.iter_mut().find(|way| way.route == route) {
                way.windows.push(window);
                continue;
            }
            let work = match &route {
                Route::Whole(_) => Work::Carry(None),
                Route::Split(_, pick) => Work::Split(Box::new(Splitting::new(*pick))),
                Route::Join { .. } => {
                    let Pacing { segment, longest, part } = pacing;
                    Work::Join(Box::new(Joining::new(segment, longest, part)))
                }
                Route::Missing if ways.is_empty() => return Err("it has no variant".into()),
                Route::Missing => Work::Miss(Missing::default()),
            };
            ways.push(Way { route, windows: vec![window], work });
        }
        Ok(Self { ways })
    }

    /// Takes what comes to a rendition of the source; gives what is to be done with which window, in order.
    ///
    /// # Errors
    /// `Unsupported` for a container that cannot be split or joined.
    pub(super) fn take(
        &mut self,
        from: usize,
        operation: &Operation,
    ) -> Result<Vec<(usize, Operation)>, Fault> {
        let (mut made, mut lead) = (Vec::new(), Vec::new());
        for (at, way) in self.ways.iter_mut().enumerate() {
            let operations = way.take(from, operation, &lead)?;
            for operation in &operations {
                made.extend(way.windows.iter().map(|window| (*window, operation.clone())));
            }
            if at == 0 {
                lead = operations;
            }
        }
        Ok(made)
    }

    /// Whether a rendition of the source is needed.
    pub(super) fn needs(&self, from: usize) -> bool {
        self.ways.iter().any(|way| way.input(from).is_some())
    }

    /// The first rendition of the source that is needed: that which the first window lives of.
    pub(super) fn leader(&self) -> usize {
        match self.ways.first().map(|way| &way.route) {
            Some(Route::Whole(from) | Route::Split(from, _) | Route::Join { video: from, .. }) => *from,
            Some(Route::Missing) | None => 0,
        }
    }

    /// The window that gets exactly what comes to a rendition of the source.
    pub(super) fn window_of(&self, from: usize) -> Option<usize> {
        let way = self.ways.iter().find(|way| way.route == Route::Whole(from))?;
        way.windows.first().copied()
    }

    /// The windows that get a transport stream which is made here.
    pub(super) fn remade(&self) -> impl Iterator<Item = usize> {
        let remade = self.ways.iter().filter(|way| matches!(way.work, Work::Split(_) | Work::Join(_)));
        remade.flat_map(|way| way.windows.iter().copied())
    }

    /// Whether what comes to a rendition of the source is made into another transport stream.
    pub(super) fn remakes(&self, from: usize) -> bool {
        let remakes = |way: &Way| matches!(way.work, Work::Split(_) | Work::Join(_));
        self.ways.iter().any(|way| remakes(way) && way.input(from).is_some())
    }

    /// Whether the length of any segment comes from the source.
    pub(super) fn keeps_lengths(&self) -> bool {
        self.ways.iter().any(|way| matches!(way.work, Work::Carry(_) | Work::Split(_)))
    }

    /// What is done beside carrying over, in words; none where that is all.
    pub(super) fn words(&self) -> Option<String> {
        let words = self.ways.iter().filter_map(|way| {
            Some(match way.work {
                Work::Carry(_) => return None,
                Work::Split(_) => "split",
                Work::Join(_) => "joined",
                Work::Miss(_) => "missing",
            })
        });
        let mut words: Vec<&str> = words.collect();
        words.dedup();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Way {
    /// As which of its inputs a rendition of the source comes in.
    fn input(&self, from: usize) -> Option<usize> {
        match self.route {
            Route::Whole(own) | Route::Split(own, _) => (own == from).then_some(0),
            Route::Join { video, .. } if video == from => Some(0),
            Route::Join { audio, .. } if audio == from => Some(1),
            Route::Join { .. } | Route::Missing => None,
        }
    }

    /// `lead` is what comes to the first window with this.
    fn take(
        &mut self,
        from: usize,
        operation: &Operation,
        lead: &[Operation],
    ) -> Result<Vec<Operation>, Fault> {
        let input = self.input(from);
        match (&mut self.work, input) {
            (Work::Miss(missing), _) => Ok(lead.iter().filter_map(|lead| missing.take(lead)).collect()),
            (Work::Carry(begun), Some(_)) => Ok(carry(begun, operation)),
            (Work::Split(splitting), Some(_)) => splitting.take(operation),
            (Work::Join(joining), Some(input)) => joining.take(input, operation),
            (_, None) => Ok(Vec::new()),
        }
    }
}

fn carry(begun: &mut Option<Media>, operation: &Operation) -> Vec<Operation> {
    match operation {
        Operation::Open(media) => {
            *begun = Some(media.clone());
            Vec::new()
        }
        Operation::Grow(_) | Operation::GrowLast(_) => {
            let opened = begun.take().map(Operation::Open);
            opened.into_iter().chain([operation.clone()]).collect()
        }
        Operation::Append(_) | Operation::Close => {
            *begun = None;
            vec![operation.clone()]
        }
    }
}
