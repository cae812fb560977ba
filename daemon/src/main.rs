//! The daemon `sluice`: adapters and wiring around `sluice-core`.

mod api;
mod app;
mod cli;
mod client;
mod edge;
mod kinds;
mod ledger;
mod reload;
mod sink;
mod source;
mod state_dir;
mod telemetry;

fn main() -> std::process::ExitCode {
    // TEMP until the command line is merged
    let dir = std::path::PathBuf::from(std::env::args().nth(3).unwrap_or_default());
    let files = cli::files::read_dir(&dir).unwrap_or_default();
    let settled =
        sluice_core::plan::settle(&files, &Default::default(), &kinds::KINDS, &cli::files::SystemLookup);
    if settled.problems.are_fatal() {
        for p in settled.problems.iter() {
            eprintln!("{p}");
        }
        return std::process::ExitCode::from(78);
    }
    app::run(&dir, settled)
}
