//! How much memory an instance may have.

use wasmtime::ResourceLimiter;

use crate::plugin::fault::OverMemory;

/// More elements of tables than this are not given.
const TABLE_ELEMENTS: usize = 20_000;

/// The memory of one instance. What is refused ends the call with the reason: a plugin that goes on after a failed
/// allocation is rare, and one that panics could not say why.
#[derive(Debug)]
pub(crate) struct Memory {
    granted_bytes: usize,
    used_bytes: usize,
}

impl Memory {
    pub(super) fn new(granted_bytes: usize) -> Self {
        Self { granted_bytes, used_bytes: 0 }
    }

    /// What it has now; memory never shrinks.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted_bytes = self.used_bytes - current.min(self.used_bytes) + desired;
        if wanted_bytes > self.granted_bytes {
            return Err(OverMemory { wanted_bytes, granted_bytes: self.granted_bytes }.into());
        }
        self.used_bytes = wanted_bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}
