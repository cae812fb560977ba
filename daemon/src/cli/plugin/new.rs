//! `sluice plugin new`: a plugin that builds and passes its tests as it is.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use include_dir::{Dir, include_dir};

use crate::cli::complain;

/// The SDK that this daemon was built with, so that a new plugin needs nothing that is not here or on crates.io.
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugin-sdk/src");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugin-sdk/wit");
const SDK_MANIFEST: &str = include_str!("../../../../plugin-sdk/Cargo.toml");
/// The directory of the SDK in that of a new plugin.
const SDK_DIRECTORY: &str = "sluice-plugin-sdk";

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../../plugin-sdk/templates/", $path))
    };
}

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PluginKind {
    /// Says how healthy a stream is.
    Scorer,
    /// Does something about events.
    Handler,
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Language {
    /// Rust, with the SDK.
    Rust,
    /// JavaScript, with jco.
    Js,
}

/// Why there is no new plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("`{0}` is no name of a plugin: lowercase letters, digits and `-`, a letter first, at most 64")]
    Name(String),
    #[error("{0} is there already")]
    Exists(String),
    #[error("{0} is no directory with the Cargo.toml of sluice-plugin-sdk")]
    Sdk(String),
    #[error("{path}: {error}")]
    File { path: String, error: io::Error },
}

/// Makes the directory `path`, of which the last part is the name of the plugin. The SDK is that of `sdk`, else it is
/// written into the directory.
///
/// # Errors
/// When the name cannot be, the directory is there, or it cannot be written.
pub(super) fn new(
    path: &Path,
    kind: PluginKind,
    language: Language,
    sdk: Option<&Path>,
) -> Result<(), Error> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !is_name(&name) {
        return Err(Error::Name(name));
    }
    if path.exists() {
        return Err(Error::Exists(path.display().to_string()));
    }
    let mut files = match language {
        Language::Rust => rust(&name, kind, &sdk_path(sdk)?),
        Language::Js => js(&name, kind),
    };
    if language == Language::Rust && sdk.is_none() {
        files.extend(vendored());
    }
    for (file, text) in files {
        write(&path.join(file), &text)?;
    }
    let test = if language == Language::Rust { "cargo test, " } else { "" };
    complain(&format!("made {0}; next: cd {0}, {test}sluice plugin build\n", path.display()), 0);
    Ok(())
}

/// A name is a part of a path, of a KDL string and of a Cargo package.
fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(known)
}

/// The path of the SDK as it stands in the manifest: absolute, or in the plugin.
fn sdk_path(sdk: Option<&Path>) -> Result<String, Error> {
    let Some(sdk) = sdk else { return Ok(SDK_DIRECTORY.to_owned()) };
    let found = sdk.join("Cargo.toml").is_file().then(|| sdk.canonicalize().ok()).flatten();
    found.map(|sdk| sdk.display().to_string()).ok_or_else(|| Error::Sdk(sdk.display().to_string()))
}

type Files = Vec<(PathBuf, String)>;

fn rust(name: &str, kind: PluginKind, sdk: &str) -> Files {
    let (about, source, input, input_name) = match kind {
        PluginKind::Scorer => (
            "Scores a stream by how often it stalled.",
            template!("scorer/lib.rs.in"),
            template!("scorer/input.json.in"),
            "window.json",
        ),
        PluginKind::Handler => (
            "Counts events in the log.",
            template!("handler/lib.rs.in"),
            template!("handler/input.json.in"),
            "event.json",
        ),
    };
    let fill = |text: &str| {
        let text = text.replace("@name@", name).replace("@type@", &type_name(name));
        text.replace("@about@", about).replace("@sdk@", &toml_text(sdk))
    };
    vec![
        ("Cargo.toml".into(), fill(template!("rust/Cargo.toml.in"))),
        (".gitignore".into(), fill(template!("rust/gitignore.in"))),
        ("src/lib.rs".into(), fill(source)),
        (input_name.into(), fill(input)),
    ]
}

macro_rules! example {
    ($kind:literal) => {
        [
            (
                "package.json",
                include_str!(concat!("../../../../plugin-sdk/examples/js/", $kind, "/package.json")),
            ),
            (
                "package-lock.json",
                include_str!(concat!("../../../../plugin-sdk/examples/js/", $kind, "/package-lock.json")),
            ),
            (
                ".gitignore",
                include_str!(concat!("../../../../plugin-sdk/examples/js/", $kind, "/.gitignore")),
            ),
            ("plugin.js", include_str!(concat!("../../../../plugin-sdk/examples/js/", $kind, "/plugin.js"))),
            (
                "wit/world.wit",
                include_str!(concat!("../../../../plugin-sdk/examples/js/", $kind, "/wit/world.wit")),
            ),
        ]
    };
}

/// The example of the SDK under another name, with the contract.
fn js(name: &str, kind: PluginKind) -> Files {
    let (example, own_name, input) = match kind {
        PluginKind::Scorer => {
            (example!("scorer"), "js-scorer", ("window.json", template!("scorer/input.json.in")))
        }
        PluginKind::Handler => {
            (example!("handler"), "js-handler", ("event.json", template!("handler/input.json.in")))
        }
    };
    let contract = ("wit/deps/sluice-plugin/plugin.wit", contract());
    let files = example.into_iter().chain([input, contract]);
    files.map(|(file, text)| (file.into(), text.replace(own_name, name))).collect()
}

/// The newest version of the contract.
fn contract() -> &'static str {
    include_str!("../../../../plugin-sdk/wit/since-0.1.0/plugin.wit")
}

/// `quiet-hours` is `QuietHours`.
fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('-').map(word).collect()
}

/// Within a basic string of TOML.
fn toml_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The SDK itself. Its lints are those of a workspace that is not there.
fn vendored() -> Files {
    let root = Path::new(SDK_DIRECTORY);
    let manifest = SDK_MANIFEST.replace("[lints]\nworkspace = true\n", "");
    let mut files = vec![(root.join("Cargo.toml"), manifest)];
    for (dir, name) in [(&SDK, "src"), (&CONTRACT, "wit")] {
        let mut open = vec![dir];
        while let Some(dir) = open.pop() {
            open.extend(dir.dirs());
            let file = |file: &include_dir::File<'_>| {
                Some((root.join(name).join(file.path()), file.contents_utf8()?.to_owned()))
            };
            files.extend(dir.files().filter_map(file));
        }
    }
    files
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let error = |error| Error::File { path: path.display().to_string(), error };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(error)?;
    }
    std::fs::write(path, text).map_err(error)
}
