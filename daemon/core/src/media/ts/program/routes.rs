//! Which stream of which input goes out on which PID.

use super::catalog::{Announced, Catalog, Kind};

/// The first PID of each kind in the output. A stream keeps its PID as long as it is the same by kind and order,
/// whatever source it comes from.
const FIRST_VIDEO: u16 = 0x100;
const FIRST_AUDIO: u16 = 0x110;
const FIRST_OTHER: u16 = 0x140;
/// So many streams of a kind are carried.
const MOST: u16 = 0x20;

/// The way of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) input: usize,
    /// The stream as its source announces it.
    pub(super) from: Announced,
    /// The PID of the output.
    pub(super) to: u16,
    /// Whether the access unit under way passes.
    pub(super) passes: bool,
}

/// The ways of all streams.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// The stream that the program is spliced by.
    main: Option<(usize, u16)>,
}

impl Routes {
    /// The ways of everything that is announced. Access units under way go on where their stream does.
    pub(super) fn new(catalogs: &[Option<Catalog>], before: &Self) -> Self {
        let mut routes: Vec<Route> = Vec::new();
        let all = catalogs.iter().enumerate();
        for (input, from) in all.flat_map(|(input, known)| {
            known.iter().flat_map(move |catalog| catalog.streams.iter().map(move |stream| (input, stream)))
        }) {
            let first = match from.kind {
                Kind::Video => FIRST_VIDEO,
                Kind::Audio => FIRST_AUDIO,
                Kind::Other => FIRST_OTHER,
            };
            let order = routes.iter().filter(|route| route.from.kind == from.kind).count();
            let Some(order) = u16::try_from(order).ok().filter(|order| *order < MOST) else { continue };
            let passes = before.find(input, from.pid).is_some_and(|route| route.passes);
            routes.push(Route { input, from: from.clone(), to: first + order, passes });
        }
        let first_of = |kind| routes.iter().find(|route| route.from.kind == kind);
        let main = first_of(Kind::Video).or_else(|| first_of(Kind::Audio));
        let main = main.map(|route| (route.input, route.from.pid));
        Self { routes, main }
    }

    pub(super) fn find(&self, input: usize, pid: u16) -> Option<&Route> {
        self.routes.iter().find(|route| route.input == input && route.from.pid == pid)
    }

    pub(super) fn find_mut(&mut self, input: usize, pid: u16) -> Option<&mut Route> {
        self.routes.iter_mut().find(|route| route.input == input && route.from.pid == pid)
    }

    pub(super) fn main(&self) -> Option<&Route> {
        self.main.and_then(|(input, pid)| self.find(input, pid))
    }

    pub(super) fn is_main(&self, input: usize, pid: u16) -> bool {
        self.main == Some((input, pid))
    }

    /// What the output announces.
    pub(super) fn announced(&self) -> Vec<Announced> {
        let announced = |route: &Route| Announced { pid: route.to, ..route.from.clone() };
        self.routes.iter().map(announced).collect()
    }

    /// No access unit under way passes.
    pub(super) fn stop(&mut self) {
        self.routes.iter_mut().for_each(|route| route.passes = false);
    }
}
