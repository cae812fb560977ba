//! `sluice plugin inspect`: what a file is.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{complain, print};
use crate::plugin::{Inspected, inspect as look};

/// Prints kind, version, size, imports, keys, and the node that grants what it asks for. 0, or 1 with why it is no plugin.
pub(super) fn inspect(file: &Path) -> ExitCode {
    match super::block_on(look(file)) {
        Ok(inspected) => print(&words(file, &inspected), 0),
        Err(error) => complain(&format!("error: {}: {error}\n", file.display()), 1),
    }
}

fn words(file: &Path, inspected: &Inspected) -> String {
    let Inspected { name, kind, description, imports, sha256, size_bytes } = inspected;
    let mut text = format!(
        "{}\n  {}\n  kind     {kind}\n  version  {}\n  size     {} KiB\n  sha256   {sha256}\n  imports  {}\n",
        file.display(),
        description.about,
        description.version,
        size_bytes.div_ceil(1024),
        imports.join(", "),
    );
    if !description.keys.is_empty() {
        text += "\nkeys\n";
    }
    for key in &description.keys {
        let usual = match (&key.usual, key.required) {
            (Some(usual), _) => format!(", {usual:?} when left out"),
            (None, true) => ", required".to_owned(),
            (None, false) => String::new(),
        };
        let secret = if key.secret { ", secret" } else { "" };
        text += &format!("  {}: {}{usual}{secret}\n      {}\n", key.name, key.kind.expected(), key.about);
    }
    let grants = [("http", "    http \"https://SERVER\"\n"), ("kv", "    kv \"1MiB\"\n")];
    let wanted: String = grants
        .iter()
        .filter(|(import, _)| imports.iter().any(|one| one == import))
        .map(|(_, line)| *line)
        .collect();
    if !wanted.is_empty() {
        text += &format!("\nit asks for\nplugin {name:?} {{\n{wanted}}}\n");
    }
    text
}
