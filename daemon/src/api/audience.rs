//! Who watches the transport streams of a pipeline, as the API shows it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_core::pipeline::Shared;

/// The viewers of a pipeline's transport streams.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct AudienceView {
    /// Why nothing can be sent; none where all is well.
    pub(crate) problem: Option<String>,
    /// The viewers, by the time of arrival.
    pub(crate) viewers: Vec<ViewerView>,
}

/// A viewer of a transport stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewerView {
    /// What it watches, as `sink 2 mpegts`.
    pub(crate) sink: String,
    /// Its address, or what a trusted proxy says.
    pub(crate) address: String,
    /// What the player calls itself.
    pub(crate) user_agent: String,
    /// Since when.
    pub(crate) connected_at: Timestamp,
    /// When its connection last took something.
    pub(crate) last_active: Timestamp,
    /// What its connection took.
    pub(crate) bytes: u64,
    /// Bits in a second, lately.
    pub(crate) rate_bps: u64,
    /// How far it is behind the newest bytes of the stream.
    pub(crate) lag_seconds: f64,
    /// How often it was moved on because it did not keep up.
    pub(crate) skips: u64,
}

impl AudienceView {
    /// What `shared` knows.
    pub(crate) fn of(shared: &Shared) -> Self {
        let Some(broadcast) = shared.on_air() else { return Self::default() };
        let now = Timestamp::now();
        let viewers = broadcast.audience.all().into_iter().map(|watching| ViewerView {
            sink: watching.sink.to_string(),
            address: watching.client.to_string(),
            user_agent: watching.user_agent.to_string(),
            connected_at: watching.connected,
            last_active: now - watching.idle(&broadcast.ring),
            bytes: watching.bytes(),
            rate_bps: watching.rate_bps(),
            lag_seconds: watching.lag(&broadcast.ring).as_secs_f64(),
            skips: watching.skips(),
        });
        let problem = broadcast.refusal().map(|reason| reason.to_string());
        Self { problem, viewers: viewers.collect() }
    }
}
