//! Pipelines: one stream from its source through its windows to its sinks, and the fleet of them.

mod around;
mod failover;
mod feed;
mod fleet;
mod following;
mod hindrance;
mod intake;
mod judging;
mod life;
mod mapping;
mod observing;
mod opening;
mod opinion;
pub mod program;
mod pushing;
mod remaking;
mod rendition_set;
#[cfg(test)]
mod resuming_tests;
mod running;
mod shared;
mod source;
pub(crate) mod stack;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;
mod viewers;
mod window;
mod writer;

pub use crate::media::{RenditionSpec, Role};
pub use around::{Around, Directory};
pub use failover::{
    Asker, ChainStatus, LastSwitch, Listed, Ordered, Reason, SourceState, SourceStatus, Switcher,
};
pub use feed::Feed;
pub use fleet::Fleet;
pub use following::{Follower, Found, Mark, Piece};
pub use intake::{Cutting, Intake};
pub use life::EndReason;
pub use mapping::{Fed, FedHow};
pub use opening::Opening;
pub use pushing::{Marks, PushContext, PushState, PushStatus, Pushed, Pusher};
pub use rendition_set::{Rendition, RenditionSet};
pub use running::{Mount, Origins, Pipeline};
pub use shared::{Setup, Shared};
pub use source::{End, Source, SourceContext};
pub use status::{State, Status};
pub use viewers::Viewers;
pub use window::{Bounds, Snapshot, Window};
pub use writer::Writer;
