//! A mapper among the windows that it feeds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Fed, Mapper, Operation, Pacing};
use crate::fault::Fault;
use crate::media::codecs::Families;
use crate::media::{Container, RenditionSpec, Role};
use crate::pipeline::{Opening, RenditionSet, Snapshot};

/// A segment may be longer than the target duration by what rounding hides (RFC 8216, 4.3.3.1).
const ROUNDING: Duration = Duration::from_millis(499);

/// A mapper of one run, shared by its writers.
pub(in crate::pipeline) struct Mapped {
    state: Mutex<State>,
    leader: usize,
    windows: Vec<Option<usize>>,
    needed: Vec<bool>,
    remakes: Vec<bool>,
    fed: Arc<[Fed]>,
}

/// What a run has brought so far.
pub(in crate::pipeline) struct State {
    mapper: Mapper,
    /// The windows whose first media was compared with what was served there.
    compared: Vec<bool>,
    /// What the leader brings, until its first media was compared with all that is served.
    leader: Option<(usize, Container)>,
}

impl Mapped {
    /// Maps what a source opens onto `set`.
    ///
    /// # Errors
    /// In words, where it does not fit.
    pub(in crate::pipeline) fn new(set: &RenditionSet, opening: &Opening<'_>) -> Result<Self, Arc<str>> {
        let served: Vec<RenditionSpec> =
            set.renditions.iter().map(|rendition| rendition.spec.clone()).collect();
        if let Some(why) = said(opening.specs).conflict(&known(set)) {
            return Err(why.into());
        }
        let target = set.target_duration();
        let longest = target + ROUNDING;
        let part = set.part_target.unwrap_or(longest);
        let pacing = Pacing { segment: opening.target.min(target), longest, part };
        let mapper = Mapper::new(&served, opening.specs, pacing)?;
        for at in mapper.remade() {
            let newest = newest(&set.renditions[at].window.snapshot());
            if let Some((container, _)) =
                newest.filter(|(container, _)| *container != Container::TransportStream)
            {
                let (name, words) = (&served[at].name, container.words());
                let why = format!("{name} is served as {words}, which cannot be made of what it brings");
                return Err(why.into());
            }
        }
        let sources = 0..opening.specs.len();
        let windows = sources.clone().map(|from| mapper.window_of(from)).collect();
        let needed = sources.clone().map(|from| mapper.needs(from)).collect();
        let remakes = sources.map(|from| mapper.remakes(from)).collect();
        let (leader, fed) = (mapper.leader(), mapper.fed(opening.specs));
        let compared = vec![false; served.len()];
        let state = State { mapper, compared, leader: Some((leader, Container::TransportStream)) };
        Ok(Self { state: Mutex::new(state), leader, windows, needed, remakes, fed })
    }

    /// See [`Mapper::leader`].
    pub(in crate::pipeline) fn leader(&self) -> usize {
        self.leader
    }

    /// See [`Mapper::window_of`].
    pub(in crate::pipeline) fn window_of(&self, from: usize) -> Option<usize> {
        self.windows.get(from).copied().flatten()
    }

    /// See [`Mapper::needs`].
    pub(in crate::pipeline) fn needs(&self, from: usize) -> bool {
        self.needed.get(from).is_some_and(|needed| *needed)
    }

    /// See [`Mapper::remakes`].
    pub(in crate::pipeline) fn remakes(&self, from: usize) -> bool {
        self.remakes.get(from).is_some_and(|remakes| *remakes)
    }

    /// What feeds each window, in their order.
    pub(in crate::pipeline) fn fed(&self) -> Arc<[Fed]> {
        self.fed.clone()
    }

    /// Whether segments are as long as those of the source: they are cut anew otherwise.
    pub(in crate::pipeline) fn keeps_lengths(&self) -> bool {
        self.lock().mapper.keeps_lengths()
    }

    /// How it maps, in words; none where everything is carried over as it is.
    pub(in crate::pipeline) fn words(&self) -> Option<String> {
        self.lock().mapper.words()
    }

    /// The mapper, for as long as what it gives is being carried out, so that this is in order.
    pub(in crate::pipeline) fn lock(&self) -> MutexGuard<'_, State> {
        // a panic within leaves a mapper that may miss something, and no more
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What an operation on a rendition of the source means for the windows of `set`; see [`Mapper::take`].
    ///
    /// # Errors
    /// `Unsupported` where it cannot take the place of what is served.
    pub(in crate::pipeline) fn take(
        &mut self,
        set: &RenditionSet,
        from: usize,
        operation: &Operation,
    ) -> Result<Vec<(usize, Operation)>, Fault> {
        let made = self.mapper.take(from, operation)?;
        let why = self.judge(set, from, operation).or_else(|| self.compare(set, &made));
        why.map_or(Ok(made), |why| Err(Fault::unsupported(why)))
    }

    /// Compares the first media of the leader with all that is served: what is missing in it shows nowhere else.
    fn judge(&mut self, set: &RenditionSet, from: usize, operation: &Operation) -> Option<String> {
        let (_, container) = self.leader.as_mut().filter(|(leader, _)| *leader == from)?;
        let part = match operation {
            Operation::Append(media) | Operation::Open(media) => {
                *container = media.container.clone();
                media.parts.first()?
            }
            Operation::Grow(part) | Operation::GrowLast(part) => part,
            Operation::Close => return None,
        };
        let brought = Families::of_segment(container, &part.bytes);
        self.leader = None;
        brought.conflict(&held(set))
    }

    /// Compares the first media that comes to each window with what is served there; gives why it cannot follow.
    fn compare(&mut self, set: &RenditionSet, operations: &[(usize, Operation)]) -> Option<String> {
        let mut containers: Vec<(usize, &Container)> = Vec::new();
        for (at, operation) in operations {
            let (container, bytes) = match operation {
                Operation::Append(media) if !media.gap => (Some(&media.container), media.parts.first()),
                Operation::Open(media) => {
                    containers.push((*at, &media.container));
                    (None, None)
                }
                Operation::Grow(part) | Operation::GrowLast(part) => {
                    (containers.iter().rev().find(|(own, _)| own == at).map(|(_, found)| *found), Some(part))
                }
                Operation::Append(_) | Operation::Close => (None, None),
            };
            let (Some(container), Some(part)) = (container, bytes) else { continue };
            if std::mem::replace(&mut self.compared[*at], true) {
                continue;
            }
            let Some((served, bytes)) = newest(&set.renditions[*at].window.snapshot()) else { continue };
            if !served.fits(container) {
                return Some(format!("it brings {}, which is not what is served", container.words()));
            }
            let brought = Families::of_segment(container, &part.bytes);
            if let Some(why) = brought.conflict(&Families::of_segment(&served, &bytes)) {
                return Some(why);
            }
        }
        None
    }
}

/// The container of the newest segment that is there, and its first bytes.
fn newest(snapshot: &Snapshot) -> Option<(Container, bytes::Bytes)> {
    let newest = snapshot.segments.iter().rev().find(|segment| !segment.media.gap)?;
    let first = newest.media.parts.first().map(|part| part.bytes.clone());
    Some((newest.media.container.clone(), first.unwrap_or_default()))
}

/// The codecs that are said of renditions.
fn said(specs: &[RenditionSpec]) -> Families {
    let codecs = |spec: &RenditionSpec| {
        let Role::Variant { attributes, .. } = &spec.role else { return None };
        attributes.iter().find(|(name, _)| name == "CODECS").map(|(_, codecs)| Families::of_codecs(codecs))
    };
    specs.iter().filter_map(codecs).fold(Families::default(), Families::and)
}

/// The codecs that are served: as they are said, or else as they are.
fn known(set: &RenditionSet) -> Families {
    let specs: Vec<RenditionSpec> = set.renditions.iter().map(|rendition| rendition.spec.clone()).collect();
    let said = said(&specs);
    if said.is_empty() { held(set) } else { said }
}

/// The codecs in the windows.
fn held(set: &RenditionSet) -> Families {
    let found = set.renditions.iter().filter_map(|rendition| {
        let (container, bytes) = newest(&rendition.window.snapshot())?;
        Some(Families::of_segment(&container, &bytes))
    });
    found.fold(Families::default(), Families::and)
}
