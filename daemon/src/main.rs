//! The daemon `sluice`: adapters and wiring around `sluice-core`.

mod api;
mod app;
mod child;
mod cli;
mod client;
mod edge;
mod files;
mod kinds;
mod ledger;
#[allow(dead_code, unused_imports, reason = "the API and the command line take the rest up")]
mod plugin;
mod reload;
mod service;
mod sink;
mod source;
mod state_dir;
#[allow(dead_code, unused_imports, reason = "plugins and the event log take it up")]
mod store;
mod telemetry;
mod watch;

fn main() -> std::process::ExitCode {
    cli::main()
}
