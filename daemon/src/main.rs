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
mod plugin;
mod reload;
mod service;
mod sink;
mod source;
mod state_dir;
mod store;
mod telemetry;
mod watch;

fn main() -> std::process::ExitCode {
    cli::main()
}
