//! Pipelines: one stream from its source through its windows to its sinks, and the fleet of them.

mod around;
mod feed;
mod fleet;
mod following;
mod intake;
mod opening;
pub mod program;
mod pushing;
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

pub use crate::media::{RenditionSpec, Role};
pub use around::{Around, Directory};
pub use feed::{Feed, Writer};
pub use fleet::Fleet;
pub use following::{Follower, Found, Mark, Piece};
pub use intake::{Cutting, Intake};
pub use opening::Opening;
pub use pushing::{Marks, PushContext, PushState, PushStatus, Pushed, Pusher};
pub use running::{Mount, Origins, Pipeline};
pub use shared::{Rendition, RenditionSet, Setup, Shared};
pub use source::{End, Source, SourceContext};
pub use status::{State, Status};
pub use viewers::Viewers;
pub use window::{Bounds, Snapshot, Window};
