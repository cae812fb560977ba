//! The daemon as a plugin sees it: what each interface of the contract does, and the limits of one instance.

mod clock;
mod config;
mod http;
mod kv;
mod limits;
mod log;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{HasSelf, Linker};

pub(crate) use log::{Journal, Level, Line, TracingJournal};

use super::contract::v0_1::any::sluice::plugin as interfaces;
use super::grants::Grants;
use super::meter::Meter;
use super::settings::Configured;
use crate::client::Requests;
use crate::store::{Namespace, Store};

use limits::Memory;

/// What all instances share.
pub(crate) struct Environment {
    /// Where values are kept; none where there is no such place, as in `sluice check`.
    pub(crate) store: Option<Store>,
    /// What sends requests; none where none are sent.
    pub(crate) requests: Option<Requests>,
    /// Where log lines go.
    pub(crate) journal: Arc<dyn Journal>,
    /// What the clock of plugins counts from.
    pub(crate) began: Instant,
}

/// What belongs to one instance.
pub(super) struct Guest {
    environment: Arc<Environment>,
    space: Namespace,
    grants: Arc<Grants>,
    configured: Arc<Configured>,
    pub(super) memory: Memory,
    pub(super) meter: Arc<Meter>,
    call: Call,
}

/// What one call did so far.
struct Call {
    /// When waiting for servers ends.
    wait_until: Instant,
    lines: u32,
    lines_left_out: u32,
    kept: u32,
    sent: u32,
    complaint: Option<String>,
}

impl Guest {
    pub(super) fn new(
        environment: Arc<Environment>,
        space: Namespace,
        grants: Arc<Grants>,
        configured: Arc<Configured>,
    ) -> Self {
        let memory = Memory::new(grants.memory_bytes);
        let call = Call::new(Duration::ZERO);
        Self { environment, space, grants, configured, memory, meter: Arc::default(), call }
    }

    /// A call begins; it may wait for servers for so long.
    pub(super) fn begin(&mut self, wait: Duration) {
        self.meter.reset();
        self.call = Call::new(wait);
    }

    /// The last error that was logged in this call.
    pub(super) fn complaint(&self) -> Option<&str> {
        self.call.complaint.as_deref()
    }

    /// Log lines of this call that were more than may be.
    pub(super) fn lines_left_out(&self) -> u32 {
        self.call.lines_left_out
    }

    /// The text without the secrets that the plugin was given.
    pub(super) fn strike(&self, text: &str) -> String {
        self.configured.strike(text)
    }
}

impl Call {
    fn new(wait: Duration) -> Self {
        let wait_until = Instant::now() + wait;
        Self { wait_until, lines: 0, lines_left_out: 0, kept: 0, sent: 0, complaint: None }
    }
}

/// Links what every plugin has, and what is granted.
///
/// # Errors
/// On a defect of the bindings only.
pub(super) fn link(linker: &mut Linker<Guest>, grants: &Grants) -> wasmtime::Result<()> {
    interfaces::log::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    interfaces::config::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    interfaces::clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    if grants.kv_bytes > 0 {
        interfaces::kv::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if !grants.http.is_empty() {
        interfaces::http::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    Ok(())
}
