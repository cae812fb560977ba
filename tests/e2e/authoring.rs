//! What an author of plugins meets: a new plugin builds and passes its tests as it is.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::players::repository;

/// The daemon's program on the command line, in a directory.
fn sluice(directory: &Path, arguments: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_sluice")).args(arguments).current_dir(directory))
}

/// Cargo finds here what the plugins that ship were built with, and asks no registry.
fn run(command: &mut Command) -> Output {
    let target = repository().join("plugins/target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, Into::into);
    command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Fails with what was said, unless it succeeded.
fn succeeds(output: &Output) -> String {
    let said = said(output);
    assert!(output.status.success(), "{said}");
    said
}

fn fails(output: &Output) -> String {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// A component begins with the magic of WebAssembly and the version of the component model.
fn assert_is_component(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\0asm\x0d\0\x01\0", "{}", path.display());
}

#[test]
fn a_new_plugin_in_rust_passes_its_tests_and_builds_as_it_is() {
    let place = TempDir::new().unwrap();
    for kind in ["scorer", "handler"] {
        let name = format!("my-{kind}");
        succeeds(&sluice(place.path(), &["plugin", "new", &name, "--kind", kind]));
        let plugin = place.path().join(&name);
        let tested = succeeds(&run(Command::new("cargo").arg("test").current_dir(&plugin)));
        assert!(tested.contains("test result: ok"), "{tested}");
        assert!(!tested.contains("warning"), "{tested}");
        succeeds(&sluice(place.path(), &["plugin", "build", &name, "--into", "built"]));
        assert_is_component(&place.path().join("built").join(format!("{name}.wasm")));
    }
}

#[test]
fn a_new_plugin_in_javascript_builds_as_it_is() {
    let place = TempDir::new().unwrap();
    for kind in ["scorer", "handler"] {
        let name = format!("my-{kind}");
        succeeds(&sluice(place.path(), &["plugin", "new", &name, "--kind", kind, "--lang", "js"]));
        // what npm has installed for the one is there for the other
        let modules = place.path().join("my-scorer/node_modules");
        if modules.is_dir() {
            std::os::unix::fs::symlink(&modules, place.path().join(&name).join("node_modules")).unwrap();
        }
        succeeds(&sluice(place.path(), &["plugin", "build", &name, "--into", "built"]));
        assert_is_component(&place.path().join("built").join(format!("{name}.wasm")));
    }
}

#[test]
fn what_cannot_be_built_is_said_in_a_sentence() {
    let place = TempDir::new().unwrap();
    let build = |directory: &Path| fails(&sluice(directory, &["plugin", "build"]));
    assert!(build(place.path()).contains("error: no plugin in ."));

    let crate_of = |name: &str, dependency: &str, source: &str| {
        let plugin = place.path().join(name);
        std::fs::create_dir_all(plugin.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{dependency}"
        );
        std::fs::write(plugin.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(plugin.join("src/lib.rs"), source).unwrap();
        plugin
    };
    assert!(build(&crate_of("other", "", "")).contains("error: no plugin in ."));
    let sdk = format!("sluice-plugin-sdk.path = {:?}\n", repository().join("plugin-sdk"));
    assert!(build(&crate_of("broken", &sdk, "fn")).contains("error: broken does not compile"));
    let silent = build(&crate_of("silent", &sdk, "//! Registers nothing."));
    assert!(silent.contains("error: silent exports nothing"), "{silent}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output =
        command.args(["plugin", "build"]).current_dir(place.path().join("silent")).env("PATH", "").output();
    assert!(fails(&output.unwrap()).contains("https://rustup.rs"));
}

#[test]
fn a_new_plugin_never_writes_over_what_is_there() {
    let place = TempDir::new().unwrap();
    std::fs::create_dir(place.path().join("taken")).unwrap();
    let new = |name: &str| fails(&sluice(place.path(), &["plugin", "new", name, "--kind", "handler"]));
    assert!(new("taken").contains("error: taken is there already"));
    for wrong in ["Upper", "1st", "under_score", ".."] {
        assert!(new(wrong).contains("is no name of a plugin"), "{wrong}");
    }
    let output = sluice(place.path(), &["plugin", "new", "x", "--kind", "scorer", "--sdk", "nowhere"]);
    assert!(fails(&output).contains("nowhere is no directory with the Cargo.toml"));
}
