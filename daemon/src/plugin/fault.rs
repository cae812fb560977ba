//! What goes wrong in a call, and what it means.

use std::time::Duration;

use thiserror::Error;
use wasmtime::{Trap, WasmBacktrace};

/// The kinds of faults of a plugin: the labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FaultKind {
    /// It broke: a panic, a stack that is too deep.
    Trap,
    /// It took longer than its deadline, or than a call may take in all.
    Deadline,
    /// It wanted more memory than is granted.
    Memory,
    /// What it gave back is none of what may come, or too large.
    Invalid,
    /// It refused its configuration.
    Init,
}

impl FaultKind {
    /// The label.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Invalid => "invalid",
            Self::Init => "init",
        }
    }
}

/// A fault with the reason, in words for its author and the operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{words}")]
pub(crate) struct CallFault {
    pub(crate) kind: FaultKind,
    pub(crate) words: String,
}

impl CallFault {
    pub(super) fn new(kind: FaultKind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }
}

/// The plugin used its time up.
#[derive(Debug, Error)]
#[error("it took longer than its deadline of {0:?}")]
pub(super) struct OverDeadline(pub(super) Duration);

/// The plugin wants more memory.
#[derive(Debug, Error)]
#[error("it wants {wanted_bytes} bytes of memory, and {granted_bytes} are granted")]
pub(super) struct OverMemory {
    pub(super) wanted_bytes: usize,
    pub(super) granted_bytes: usize,
}

/// The fault behind an error of the engine; `complaint` is the last error that the plugin logged in this call, which a
/// panic leaves.
pub(super) fn classify(error: &wasmtime::Error, complaint: Option<&str>) -> CallFault {
    if let Some(over) = error.downcast_ref::<OverDeadline>() {
        return CallFault::new(FaultKind::Deadline, over.to_string());
    }
    if let Some(over) = error.downcast_ref::<OverMemory>() {
        return CallFault::new(FaultKind::Memory, over.to_string());
    }
    let place = place(error);
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => {
            let why = complaint.map(|complaint| format!(": {complaint}")).unwrap_or_default();
            CallFault::new(FaultKind::Trap, format!("it panicked{place}{why}"))
        }
        Some(Trap::StackOverflow) => CallFault::new(
            FaultKind::Trap,
            format!("its stack is too deep{place}: does it call itself without end?"),
        ),
        Some(trap) => CallFault::new(FaultKind::Trap, format!("it broke{place}: {trap}")),
        None => CallFault::new(
            FaultKind::Invalid,
            format!("what it gave cannot be taken: {}", error.root_cause()),
        ),
    }
}

/// The innermost function that has a name and is none of the machinery of a panic.
fn place(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names = trace.frames().iter().filter_map(|frame| frame.func_name());
    let own = names.map(rustc_name).find(|name| {
        !["core::", "std::", "alloc::", "rust_", "__rust", "abort", "_R", "_ZN"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    own.map(|name| format!(" in {name}")).unwrap_or_default()
}

/// A name of Rust without its hash.
fn rustc_name(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path.to_owned(),
        _ => name.to_owned(),
    }
}
