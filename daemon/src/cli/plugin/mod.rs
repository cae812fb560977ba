//! `sluice plugin`: what authors and operators of plugins do without a daemon.

mod build;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::complain;

/// What is done with a plugin.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Build the plugins of a directory: Rust crates that use sluice-plugin-sdk.
    ///
    /// Needs cargo and the target wasm32-unknown-unknown. Every plugin becomes one file NAME.wasm, ready for the
    /// directory that the daemon watches. In a workspace, its default members are built.
    Build {
        /// The directory of the crate, or of a workspace.
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Where the files are put; the directory itself without it.
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

/// Does it: 0, or 1 with a sentence.
pub(super) fn plugin(command: &PluginCommand) -> ExitCode {
    let done = match command {
        PluginCommand::Build { dir, into } => build::build(dir, into.as_deref().unwrap_or(dir)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("error: {error}\n"), 1),
    }
}
