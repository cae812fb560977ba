//! The command line.

mod beneath;
mod check;
mod config;
mod events;
mod kinds;
mod plugin;
mod remote;
mod render;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use sluice_core::plan::{Good, Settled, settle};

use crate::files::{self, SystemLookup};
use crate::kinds::KINDS;

/// The exit code for a command line that cannot be.
const USAGE: u8 = 2;
/// The exit code for a configuration with problems (EX_CONFIG of sysexits.h).
const CONFIGURATION: u8 = 78;
/// Where the token of a guarded admin side is read from. A flag would show it to every process.
const TOKEN_VARIABLE: &str = "SLUICE_ADMIN_TOKEN";

/// Keeps live video flowing and tells the truth about it.
///
/// Pipelines are written in KDL, in the files of a directory. Exit codes: 0 success, 1 failure, 2 wrong usage,
/// 78 a configuration with problems.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT.
    ///
    /// Saved files are applied at once; SIGHUP applies them too. A configuration with problems is refused at the
    /// start. Later, a file with problems keeps what it said last without them.
    Run {
        /// The directory of the configuration: every *.kdl in it, in the order of names.
        #[arg(long, value_name = "DIR", default_value = "conf.d")]
        conf: PathBuf,
    },
    /// Check a configuration and name every problem of every file.
    ///
    /// Files and certificates that are missing count too. Opens no connection, and changes nothing.
    Check {
        /// The directory of the configuration.
        #[arg(value_name = "DIR", default_value = "conf.d")]
        dir: PathBuf,
        /// How the problems are shown.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show what the configuration comes to: templates expanded, defaults filled in.
    ///
    /// The output is KDL that can be read again. Secrets and the paths of URLs are hidden.
    Config {
        /// The directory of the configuration.
        #[arg(value_name = "DIR", default_value = "conf.d")]
        dir: PathBuf,
        /// Show secrets and whole URLs.
        #[arg(long)]
        reveal: bool,
    },
    /// List every kind of source, buffer, sink and middleware, or explain one; `events` lists the kinds of events.
    Kinds {
        /// The kind to explain, as hls or rate-limit, or events.
        kind: Option<String>,
    },
    /// Show the pipelines of a running daemon.
    Status {
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Make a running daemon read its configuration again, and show what changes.
    Reload {
        #[command(flatten)]
        admin: AdminArguments,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a running daemon feed a pipeline from another of its sources.
    ///
    /// The source is started beside the one that feeds the pipeline, and takes over with its first segment.
    Switch {
        #[command(flatten)]
        admin: AdminArguments,
        /// The pipeline.
        pipeline: String,
        /// The place of the source in the chain, from 1; without it, the next one.
        source: Option<usize>,
    },
    /// Build plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Show what happened: the log of events of a running daemon.
    Events {
        #[command(flatten)]
        admin: AdminArguments,
        #[command(flatten)]
        wanted: events::EventArguments,
    },
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
struct AdminArguments {
    /// The admin side of the daemon. Its token, if it has one, is read from the variable SLUICE_ADMIN_TOKEN.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with the marked lines.
    Text,
    /// One JSON object.
    Json,
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let token = std::env::var(TOKEN_VARIABLE).ok();
    match arguments.command {
        Command::Run { conf } => run(&conf),
        Command::Check { dir, format } => check::check(&dir, format),
        Command::Config { dir, reveal } => config::config(&dir, reveal),
        Command::Kinds { kind } => kinds::kinds(&KINDS, kind.as_deref()),
        Command::Status { admin } => remote::status(&admin.admin, token.as_deref()),
        Command::Reload { admin, dry_run } => remote::reload(&admin.admin, token.as_deref(), dry_run),
        Command::Switch { admin, pipeline, source } => {
            remote::switch(&admin.admin, token.as_deref(), &pipeline, source)
        }
        Command::Plugin(command) => plugin::plugin(&command),
        Command::Events { admin, wanted } => events::events(&admin.admin, token.as_deref(), &wanted),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "sluice", &mut script);
            print(&String::from_utf8_lossy(&script), 0)
        }
    }
}

fn run(dir: &Path) -> ExitCode {
    let settled = match read(dir) {
        Ok((_, settled)) => settled,
        Err(code) => return code,
    };
    if let Err(error) = io::stderr().lock().write_all(render::problems(&settled.problems).as_bytes()) {
        tracing::debug!(%error, "the problems could not be shown");
    }
    if settled.problems.are_fatal() { ExitCode::from(CONFIGURATION) } else { crate::app::run(dir, settled) }
}

/// The texts of a configuration by file name.
type Files = Vec<(String, String)>;

/// Reads a directory as at the start: nothing is in force before. An error was printed.
fn read(dir: &Path) -> Result<(Files, Settled), ExitCode> {
    match files::read_dir(dir) {
        Ok(files) => {
            let settled = settle(&files, &Good::default(), &KINDS, &SystemLookup);
            Ok((files, settled))
        }
        Err(error) => {
            Err(complain(&format!("error: cannot read the configuration: {error}\n"), CONFIGURATION))
        }
    }
}

/// Prints to the standard output and gives the exit code.
fn print(text: &str, code: u8) -> ExitCode {
    written(io::stdout().lock().write_all(text.as_bytes()), code)
}

/// Prints to the standard error and gives the exit code.
fn complain(text: &str, code: u8) -> ExitCode {
    written(io::stderr().lock().write_all(text.as_bytes()), code)
}

fn written(result: io::Result<()>, code: u8) -> ExitCode {
    match result {
        Ok(()) => ExitCode::from(code),
        // a reader that closed the pipe, as head does, has seen what it wanted
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
