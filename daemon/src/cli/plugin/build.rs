//! `sluice plugin build`: crates to components.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use wit_component::ComponentEncoder;

use super::javascript;
use crate::cli::complain;

const TARGET: &str = "wasm32-unknown-unknown";
/// The crate by which a plugin is known.
const SDK: &str = "sluice-plugin-sdk";

/// Why a plugin was not built.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cargo cannot be run ({0}): install Rust, see https://rustup.rs")]
    Cargo(io::Error),
    #[error("npm cannot be run ({0}): install Node.js, see https://nodejs.org")]
    Npm(io::Error),
    #[error("cargo does not know {dir}:\n{said}")]
    Metadata { dir: String, said: String },
    #[error("{dir} cannot be understood: {error}")]
    Answer { dir: String, error: serde_json::Error },
    #[error(
        "no plugin in {0}: a plugin is a crate with src/lib.rs that depends on sluice-plugin-sdk, or has a package.json"
    )]
    None(String),
    #[error("the target {TARGET} is missing: run `rustup target add {TARGET}`")]
    Target,
    #[error("{0} does not compile")]
    Compile(String),
    #[error("{path}: {error}")]
    File { path: String, error: io::Error },
    #[error("{name} cannot be made a component: {error}")]
    Component { name: String, error: String },
    #[error("{0} exports nothing: it calls neither register_scorer! nor register_handler!")]
    Silent(String),
}

/// What cargo says of a workspace.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_default_members: Vec<String>,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    /// The name of its library, if it is a plugin.
    fn library(&self) -> Option<&str> {
        let library = |target: &&Target| target.kind.iter().any(|kind| kind.ends_with("lib"));
        let uses_sdk = self.dependencies.iter().any(|dependency| dependency.name == SDK);
        self.targets.iter().find(library).filter(|_| uses_sdk).map(|target| target.name.as_str())
    }
}

/// Builds every plugin of `dir`, and puts the files into `into`. Cargo, or npm, shows its progress.
///
/// # Errors
/// With the first one that cannot be built.
pub(super) fn build(dir: &Path, into: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(into).map_err(|error| file_error(into, error))?;
    if javascript::is_plugin(dir) { javascript::build(dir, into) } else { build_crates(dir, into) }
}

fn build_crates(dir: &Path, into: &Path) -> Result<(), Error> {
    let metadata = metadata(dir)?;
    let plugins = plugins(&metadata, dir);
    if plugins.is_empty() {
        return Err(Error::None(dir.display().to_string()));
    }
    if !has_target(dir) {
        return Err(Error::Target);
    }
    for (package, library) in plugins {
        compile(package)?;
        let module = metadata.target_directory.join(TARGET).join("release").join(format!("{library}.wasm"));
        let module = std::fs::read(&module).map_err(|error| file_error(&module, error))?;
        let component =
            component(&module).map_err(|error| Error::Component { name: package.name.clone(), error })?;
        if !exports(&component) {
            return Err(Error::Silent(package.name.clone()));
        }
        put(into, &package.name, &component)?;
    }
    Ok(())
}

pub(super) fn file_error(path: &Path, error: io::Error) -> Error {
    Error::File { path: path.display().to_string(), error }
}

fn metadata(dir: &Path) -> Result<Metadata, Error> {
    let shown = || dir.display().to_string();
    if !dir.join("Cargo.toml").is_file() {
        return Err(Error::None(shown()));
    }
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(dir)
        .output()
        .map_err(Error::Cargo)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Metadata { dir: shown(), said });
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Error::Answer { dir: shown(), error })
}

/// The plugin that the directory is, else the plugins among the default members of its workspace.
fn plugins<'a>(metadata: &'a Metadata, dir: &Path) -> Vec<(&'a Package, &'a str)> {
    let own = dir.join("Cargo.toml").canonicalize().ok();
    let own = |package: &&Package| package.manifest_path.canonicalize().ok() == own;
    let of = |package: &'a Package| Some((package, package.library()?));
    if let Some(package) = metadata.packages.iter().find(own) {
        return of(package).into_iter().collect();
    }
    let default = |package: &&Package| metadata.workspace_default_members.contains(&package.id);
    metadata.packages.iter().filter(default).filter_map(of).collect()
}

/// Whether the compiler that cargo takes in this directory has a library for the target.
fn has_target(dir: &Path) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(dir)
        .stderr(Stdio::null())
        .output();
    // without rustc beside it, cargo says itself what is wrong
    output.map_or(true, |output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// The crate type is given here, so that a plugin is an ordinary library for everything else.
fn compile(package: &Package) -> Result<(), Error> {
    let status = Command::new("cargo")
        .args([
            "rustc",
            "--release",
            "--lib",
            "--crate-type",
            "cdylib",
            "--target",
            TARGET,
            "--manifest-path",
        ])
        .arg(&package.manifest_path)
        .stdin(Stdio::null())
        .status()
        .map_err(Error::Cargo)?;
    if status.success() { Ok(()) } else { Err(Error::Compile(package.name.clone())) }
}

/// The error is in words, for its type is of a crate that this one does not name.
fn component(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ComponentEncoder::default();
    let module = encoder.validate(true).module(module);
    module.and_then(ComponentEncoder::encode).map_err(|error| format!("{error:#}"))
}

/// Whether a component offers anything: without a world, the encoder makes an empty one.
fn exports(component: &[u8]) -> bool {
    match wit_component::decode(component) {
        Ok(wit_component::DecodedWasm::Component(resolve, world)) => {
            !resolve.worlds[world].exports.is_empty()
        }
        _ => false,
    }
}

/// Puts a component where a daemon may watch: in one step.
pub(super) fn put(into: &Path, name: &str, component: &[u8]) -> Result<(), Error> {
    let path = into.join(format!("{name}.wasm"));
    replace(&path, component).map_err(|error| file_error(&path, error))?;
    complain(&format!("built {}, {} KiB\n", path.display(), component.len().div_ceil(1024)), 0);
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
