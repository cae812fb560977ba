//! Plugins in JavaScript: npm runs what `package.json` says, and leaves a component.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::build::{Error, file_error, put};

/// Where the script `build` leaves the component.
const OUTPUT: &str = "build/plugin.wasm";

#[derive(Deserialize)]
struct Manifest {
    name: String,
}

/// Whether a directory holds such a plugin.
pub(super) fn is_plugin(dir: &Path) -> bool {
    dir.join("package.json").is_file() && !dir.join("Cargo.toml").is_file()
}

/// Installs what the plugin needs where it is missing, and builds it.
///
/// # Errors
/// When npm is missing, or fails; it has said why.
pub(super) fn build(dir: &Path, into: &Path) -> Result<(), Error> {
    let manifest = dir.join("package.json");
    let text = std::fs::read(&manifest).map_err(|error| file_error(&manifest, error))?;
    let Manifest { name } = serde_json::from_slice(&text)
        .map_err(|error| Error::Answer { dir: manifest.display().to_string(), error })?;
    if !dir.join("node_modules").is_dir() {
        // not `ci`: it refuses a lock without packages of other platforms that were never published
        npm(dir, &["install", "--no-audit", "--no-fund"], &name)?;
    }
    npm(dir, &["run", "build", "--silent"], &name)?;
    let output = dir.join(OUTPUT);
    let component = std::fs::read(&output).map_err(|error| file_error(&output, error))?;
    put(into, &name, &component)
}

fn npm(dir: &Path, arguments: &[&str], name: &str) -> Result<(), Error> {
    let status = Command::new("npm")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .status()
        .map_err(Error::Npm)?;
    if status.success() { Ok(()) } else { Err(Error::Compile(name.to_owned())) }
}
