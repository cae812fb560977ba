//! `sluice plugin`: what authors and operators of plugins do without a daemon.

mod build;
mod inspect;
mod javascript;
mod list;
mod new;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{AdminArguments, complain};
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
    /// Show the plugins of a running daemon.
    List {
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show what a plugin's file is, what it reads and what it asks for.
    Inspect {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Call a plugin once, within the limits that the daemon holds it to.
    ///
    /// Prints what it gives, its log lines, and the time and memory that it took. A scorer gets the sample, a handler the
    /// event of the input; without one, a sample without observations or the wake-up of a handler.
    Test(trial::Asked),
}

/// Does it: 0, or 1 with a sentence.
pub(super) fn plugin(command: &PluginCommand, token: Option<&str>) -> ExitCode {
    let done = match command {
        PluginCommand::List { admin } => return list::list(&admin.admin, token),
        PluginCommand::Inspect { file } => return inspect::inspect(file),
        PluginCommand::Test(asked) => return trial::test(asked),
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

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Runs what needs a runtime.
fn block_on<T>(work: impl Future<Output = Result<T, AnyError>>) -> Result<T, AnyError> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(work)
}
