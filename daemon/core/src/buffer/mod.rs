//! Buffer kinds: what stands behind a pipeline's windows.

mod memory;

use crate::stage::BufferKind;

pub use memory::{MEMORY, Memory};

/// Every kind.
pub const BUFFERS: &[BufferKind] = &[MEMORY];
