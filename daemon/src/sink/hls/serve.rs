//! Answers the requests under one mount.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use http::header::USER_AGENT;
use http::{HeaderValue, Method, Response};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::playlist::render::low_latency::Scope;
use sluice_core::pipeline::{RenditionSet, Shared, State, Viewers, Window};
use sluice_core::stage::{Body, LayerContext, Served, Viewing};

use super::Hls;
use super::directive::{Directives, Presence};
use super::multivariant::MultivariantPlaylist;
use super::object::Object;
use super::page;
use super::playlist::{Form, MediaPlaylist};
use super::response::{Keeping, html, player, redirect, text};
use super::waiting::{Waited, Waiting, until_there};

/// After so many target durations a rendition without segments is late.
const LATE_AFTER_TARGETS: u32 = 3;
/// So long a request waits for what is to come, in target durations (draft-pantos-hls-rfc8216bis, 6.2.5.2).
const WAIT_TARGETS: u32 = 3;

/// The innermost service of an `hls` sink.
pub(super) struct Serve {
    pipeline: Arc<Shared>,
    stage: Arc<str>,
    pub(super) viewers: Arc<Viewers>,
    form: Form,
    player: bool,
    last_segment_of_path: String,
    views: ArcSwapOption<Views>,
}

/// What is rendered for one set of renditions.
struct Views {
    set: Arc<RenditionSet>,
    multivariant: MultivariantPlaylist,
    playlists: Vec<MediaPlaylist>,
}

/// How far an answer is.
pub(super) enum Step {
    /// Here it is.
    Done(Response<Body>),
    /// It can be given when more has come.
    Wait(Waiting),
}

impl Serve {
    pub(super) fn new(spec: &Hls, context: &LayerContext) -> Self {
        let pipeline = context.pipeline.clone();
        let viewers = pipeline.viewers_of(&context.stage);
        let last_segment_of_path = spec.path.rsplit('/').next().unwrap_or_default().to_owned();
        let form = Form { window: spec.window, is_low_latency: spec.is_low_latency };
        let (stage, player, views) = (context.stage.clone(), spec.player, ArcSwapOption::empty());
        Self { pipeline, stage, viewers, form, player, last_segment_of_path, views }
    }

    /// Answers at once where that can be, and else when what is asked for has come.
    pub(super) fn answer(self: &Arc<Self>, viewing: Viewing) -> Served {
        match self.begin(&viewing) {
            Ok(Step::Done(response)) => Served::now(Ok(response)),
            Ok(Step::Wait(waiting)) => Served::later(until_there(self.clone(), viewing, waiting)),
            Err(fault) => Served::now(Err(fault)),
        }
    }

    fn begin(&self, viewing: &Viewing) -> Result<Step, Fault> {
        if !matches!(viewing.method, Method::GET | Method::HEAD) {
            return Err(Fault::new(FaultKind::Method));
        }
        if viewing.bare {
            return redirect(&format!("{}/", self.last_segment_of_path), viewing.query()).map(Step::Done);
        }
        match viewing.rest() {
            "" if self.player => {
                let page = page::page(&self.pipeline.name, self.form.is_low_latency);
                return Ok(Step::Done(html(page)));
            }
            "" => return redirect("index.m3u8", viewing.query()).map(Step::Done),
            page::PLAYER_NAME if self.player => return Ok(Step::Done(player(&viewing.headers))),
            _ => {}
        }
        let step = self.step(viewing)?;
        let agent = viewing.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        self.viewers.saw(viewing.client, agent);
        Ok(step)
    }

    /// The answer to a request for a playlist or media, as things stand. What cannot start because its source failed
    /// says so.
    pub(super) fn step(&self, viewing: &Viewing) -> Result<Step, Fault> {
        self.look(viewing).map_err(|fault| {
            let has_failed = self.pipeline.status().borrow().state == State::Failed;
            match self.pipeline.last_fault().filter(|_| has_failed && fault.kind == FaultKind::Starting) {
                Some(last) => {
                    Fault::new(FaultKind::Failed(last.1.kind.label())).after(Duration::from_secs(1))
                }
                None => fault,
            }
        })
    }

    fn look(&self, viewing: &Viewing) -> Result<Step, Fault> {
        let views = self.views()?;
        let views = views.as_ref().ok_or_else(not_found)?;
        let (playlist, name) = match (views.playlists.as_slice(), viewing.rest()) {
            ([only], "multivariant.m3u8") => {
                self.form.has_started(&only.rendition().window.snapshot(), &views.set)?;
                return self.multivariant(views, viewing);
            }
            ([only], name) => (only, name),
            (_, "index.m3u8" | "multivariant.m3u8") => {
                self.has_started(views)?;
                return self.multivariant(views, viewing);
            }
            (playlists, rest) => {
                let (rendition, name) = rest.split_once('/').ok_or_else(not_found)?;
                let named = playlists.iter().find(|playlist| playlist.rendition().spec.name == rendition);
                (named.ok_or_else(not_found)?, name)
            }
        };
        match name {
            "index.m3u8" => self.playlist(views, playlist, viewing),
            name => self.object(views, playlist, name, viewing),
        }
    }

    fn multivariant(&self, views: &Views, viewing: &Viewing) -> Result<Step, Fault> {
        let rendered = views.multivariant.current(&views.set)?;
        let rendered = rendered.as_ref().ok_or_else(not_found)?;
        Ok(self.done(text(rendered, &viewing.headers, Keeping::Brief)))
    }

    fn playlist(&self, views: &Views, playlist: &MediaPlaylist, viewing: &Viewing) -> Result<Step, Fault> {
        let asked = match viewing.query() {
            Some(query) if self.form.is_low_latency => Directives::read(query)?,
            _ => Directives::NONE,
        };
        let keeping = match asked.awaited {
            None => Keeping::Brief,
            Some(awaited) => {
                let window = &playlist.rendition().window;
                let snapshot = window.snapshot();
                self.form.has_started(&snapshot, &views.set)?;
                match awaited.presence(&snapshot, self.form.part_target(&views.set)) {
                    Presence::Here => Keeping::Long,
                    Presence::Ahead => return Ok(waiting(views, window, Waited::Playlist)),
                    Presence::TooFar => {
                        return Err(Fault::new(FaultKind::BadRequest("_HLS_msn is too far ahead".into())));
                    }
                }
            }
        };
        let rendered = playlist.current(&views.set, asked.scope)?;
        let rendered = rendered.as_ref().ok_or_else(not_found)?;
        Ok(self.done(text(rendered, &viewing.headers, keeping)))
    }

    fn object(
        &self,
        views: &Views,
        playlist: &MediaPlaylist,
        name: &str,
        viewing: &Viewing,
    ) -> Result<Step, Fault> {
        let (window, epoch) = (&playlist.rendition().window, &views.set.epoch);
        let part_target = self.form.part_target(&views.set);
        let snapshot = window.snapshot();
        match Object::find(&snapshot, epoch, name, part_target) {
            Ok(object) => Ok(self.done(object.answer(name, &viewing.headers)?)),
            Err(_) if part_target.is_some() && Object::is_next(&snapshot, epoch, name, part_target) => {
                Ok(waiting(views, window, Waited::Part))
            }
            Err(fault) => Err(fault),
        }
    }

    fn done(&self, response: Response<Body>) -> Step {
        Step::Done(response.map(|body| body.counted(self.viewers.metrics.bytes.clone())))
    }

    /// A player may choose any rendition, so that a ladder has started when all have. Those that are late keep
    /// the others waiting no longer.
    fn has_started(&self, views: &Views) -> Result<(), Fault> {
        let current = |playlist: &MediaPlaylist| playlist.current(&views.set, Scope::Whole).err();
        let mut faults: Vec<Fault> = views.playlists.iter().filter_map(current).collect();
        let some = faults.len() < views.playlists.len();
        let late = views.set.since.elapsed() >= LATE_AFTER_TARGETS * views.set.target_duration();
        match faults.pop() {
            Some(fault) if !(some && late) => Err(fault),
            _ => Ok(()),
        }
    }

    /// The views of the renditions that are served now.
    fn views(&self) -> Result<Guard<Option<Arc<Views>>>, Fault> {
        let views = self.views.load();
        if views.as_ref().is_some_and(|views| self.pipeline.serves(&views.set)) {
            return Ok(views);
        }
        let starting = || Fault::new(FaultKind::Starting).after(Duration::from_secs(1));
        let set = self.pipeline.renditions().ok_or_else(starting)?;
        if self.form.is_low_latency && set.part_target.is_none() {
            let (pipeline, sink) = (&self.pipeline.name, &self.stage);
            tracing::info!(%pipeline, %sink, "the source is not paced in parts, so that whole segments are served");
        }
        let renderings = &self.viewers.metrics.renderings;
        let playlist =
            |rendition: &Arc<_>| MediaPlaylist::new(Arc::clone(rendition), self.form, renderings.clone());
        let playlists = set.renditions.iter().map(playlist).collect();
        let multivariant = MultivariantPlaylist::default();
        self.views.store(Some(Arc::new(Views { set, multivariant, playlists })));
        Ok(self.views.load())
    }
}

fn waiting(views: &Views, window: &Arc<Window>, what: Waited) -> Step {
    let limit = WAIT_TARGETS * views.set.target_duration();
    Step::Wait(Waiting { window: window.clone(), what, limit })
}

fn not_found() -> Fault {
    Fault::new(FaultKind::NotFound)
}
