//! The life of a stream as events tell it: when it starts and ends, and whether anybody watches.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use crate::event;

/// Why a stream is over: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The origin ended it.
    Ended,
    /// Its pipeline left the configuration, or was disabled.
    Removed,
    /// The daemon stops.
    Shutdown,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Ended, Self::Removed, Self::Shutdown];

    /// The word in events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Removed => "removed",
            Self::Shutdown => "shutdown",
        }
    }

    /// What an operator reads.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ended => "the origin ended the stream",
            Self::Removed => "it left the configuration",
            Self::Shutdown => "the daemon stops",
        }
    }
}

/// What was told of a stream.
#[derive(Default)]
pub(super) struct Life(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// Since when it is live, and by which source it began.
    began: Option<(Instant, Arc<str>)>,
    /// Since when somebody watches.
    watched: Option<Instant>,
}

impl Life {
    fn change<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)) // each change leaves a valid state
    }
}

impl Shared {
    /// A source brought media. The first time since the pipeline started, or since its stream ended, it is told.
    pub(super) fn begin_stream(&self, source: &Arc<str>) {
        let is_first = self.life.change(|told| {
            let is_first = told.began.is_none();
            told.began.get_or_insert_with(|| (Instant::now(), source.clone()));
            is_first
        });
        if !is_first {
            return;
        }
        let renditions = self.renditions();
        let names = renditions.iter().flat_map(|set| &set.renditions);
        let names: Vec<_> = names.map(|rendition| rendition.spec.name.clone()).collect();
        self.tell(event::STREAM_STARTED, None, json!({ "source": source, "renditions": names }));
    }

    /// The stream is over. Told where it had begun.
    pub(super) fn end_stream(&self, reason: EndReason, words: &str) {
        let Some((since, source)) = self.life.change(|told| told.began.take()) else { return };
        let detail =
            json!({ "reason": reason.word(), "duration_ms": millis(since.elapsed()), "source": source });
        self.tell(event::STREAM_ENDED, Some(words), detail);
    }

    /// So many watch now. Told where somebody comes to a stream that nobody watched, and where the last one left.
    pub(super) fn note_viewers(&self, viewers: usize) {
        let left = self.life.change(|told| match (viewers, told.watched) {
            (0, Some(since)) => {
                told.watched = None;
                Some(Some(since))
            }
            (1.., None) => {
                told.watched = Some(Instant::now());
                Some(None)
            }
            _ => None,
        });
        match left {
            Some(None) => self.tell(event::VIEWER_FIRST, None, json!({ "viewers": viewers })),
            Some(Some(since)) => {
                self.tell(event::VIEWER_LAST, None, json!({ "duration_ms": millis(since.elapsed()) }));
            }
            None => {}
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::pipeline::tests::setup;
    use crate::pipeline::{Bounds, Setup, State};

    fn shared() -> (Shared, Events) {
        let events = Events::default();
        let setup = Setup { events: events.clone(), ..setup(&Arc::default()) };
        (Shared::new(setup, Bounds { segments: 5, bytes: 1 << 20 }), events)
    }

    /// The kinds that were told, with a field of their detail.
    fn told(bus: &mut tokio::sync::broadcast::Receiver<Arc<event::Event>>) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(event) = bus.try_recv() {
            if event.kind != event::PIPELINE_STATE {
                let field = |name: &str| event.detail.get(name).map(ToString::to_string).unwrap_or_default();
                told.push(format!("{} {}{}", event.kind, field("reason"), field("duration_ms")));
            }
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_told_once_when_it_starts_and_once_with_its_reason_when_it_ends() {
        for reason in EndReason::ALL {
            let (shared, events) = shared();
            let mut bus = events.listen();
            shared.end_stream(reason, "never began");
            shared.begin_stream(&"source 1 hls".into());
            shared.begin_stream(&"source 2 hls".into());
            tokio::time::advance(Duration::from_millis(1500)).await;
            shared.set_state(State::Stopped, reason.words());
            shared.end_stream(reason, reason.words());
            shared.end_stream(reason, reason.words());
            let ended = format!("stream.ended \"{}\"1500", reason.word());
            assert_eq!(told(&mut bus), ["stream.started ".to_owned(), ended]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_viewer_and_the_last_one_are_told_and_those_between_are_not() {
        let (shared, events) = shared();
        let mut bus = events.listen();
        for viewers in [0, 1, 2, 1] {
            shared.note_viewers(viewers);
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        shared.note_viewers(0);
        shared.note_viewers(0);
        assert_eq!(told(&mut bus), ["viewer.first ", "viewer.last 2000"]);
    }
}
