//! A plugin that does what its setting `mode` says, well or evil: `tests/plugins`, built by cargo where that is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::ComponentEncoder;

/// The plugin as a component. `feature` is its kind: `scorer` or `handler`.
///
/// # Panics
/// When it cannot be built, as without the target wasm32-unknown-unknown.
pub fn component(feature: &str) -> Vec<u8> {
    let module = module(feature);
    let encoded =
        ComponentEncoder::default().module(&module).and_then(|encoder| encoder.validate(true).encode());
    encoded.expect("a module of the contract can be made a component")
}

/// The same before it is a component.
///
/// # Panics
/// When it cannot be built.
pub fn module(feature: &str) -> Vec<u8> {
    let target = directory().join(feature);
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown", "--features", feature])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::read(target.join("wasm32-unknown-unknown/release/tried.wasm")).expect("cargo has built it")
}

/// Where what is built is kept, for tests to come: in the target directory of the project.
pub fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(target).join("test-plugins")
}
