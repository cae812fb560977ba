//! `sluice plugin`: what authors and operators of plugins do without a daemon.

mod build;
mod javascript;
mod new;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::complain;
use new::{Language, PluginKind};

/// What is done with a plugin.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Make the directory of a new plugin, which builds and passes its tests as it is.
    New {
        /// The directory; its last part is the name of the plugin.
        #[arg(value_name = "NAME")]
        path: PathBuf,
        /// What the plugin does.
        #[arg(long, value_enum)]
        kind: PluginKind,
        /// What it is written in.
        #[arg(long, value_enum, default_value_t = Language::Rust)]
        lang: Language,
        /// A directory with sluice-plugin-sdk; without it, the SDK is written into the new directory.
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Build the plugins of a directory: Rust crates that use sluice-plugin-sdk, or a package of npm.
    ///
    /// Needs cargo and the target wasm32-unknown-unknown, or npm. Every plugin becomes one file NAME.wasm, ready for the
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
        PluginCommand::New { path, kind, lang, sdk } => {
            new::new(path, *kind, *lang, sdk.as_deref()).map_err(|error| error.to_string())
        }
        PluginCommand::Build { dir, into } => {
            build::build(dir, into.as_deref().unwrap_or(dir)).map_err(|error| error.to_string())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("error: {error}\n"), 1),
    }
}
