//! Pipelines: one stream from its source through its windows to its sinks, and the fleet of them.

mod feed;
mod fleet;
mod running;
mod shared;
mod source;
mod status;
mod supervisor;
mod viewers;
mod window;

pub use feed::{Feed, Writer};
pub use fleet::Fleet;
pub use running::{Mount, Origins, Pipeline};
pub use shared::{Rendition, RenditionSet, RenditionSpec, Role, Setup, Shared};
pub use source::{Source, SourceContext};
pub use status::{State, Status};
pub use viewers::Viewers;
pub use window::{Bounds, Snapshot, Window};
