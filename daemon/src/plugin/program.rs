//! A plugin's file, from its bytes to something that can be instantiated.

use sha2::{Digest, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

use super::clock::Clock;
use super::contract::v0_1::{any, handling, scoring};
use super::engine::Engine;
use super::grants::Grants;
use super::guest::{self, Guest};
use super::settings::Description;

/// The package of the contract, and the version that is hosted.
const PACKAGE: &str = "sluice:plugin/";
const VERSION: &str = "0.1";

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `health "NAME"`.
    Scorer,
    /// `on "PATTERN" run="NAME"`.
    Handler,
}

impl Kind {
    /// The word for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Scorer => "scorer",
            Self::Handler => "handler",
        }
    }
}

/// A compiled plugin.
pub(super) struct Compiled {
    component: Component,
    pub(super) kind: Kind,
    /// The interfaces that it asks for, as `log`, in the order of names.
    pub(super) imports: Vec<String>,
    pub(super) hash: String,
    pub(super) size_bytes: usize,
}

/// The interfaces that a component exports, found once.
#[derive(Clone)]
pub(super) enum Exports {
    Scorer(scoring::ScoringIndices),
    Handler(handling::HandlingIndices),
}

/// A compiled plugin, linked to what it is granted.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) instances: InstancePre<Guest>,
    /// What interrupts its calls.
    pub(super) clock: Clock,
    pub(super) lifecycle: any::AnyIndices,
    pub(super) exports: Exports,
    pub(super) description: Description,
    pub(super) kind: Kind,
    pub(super) imports: Vec<String>,
    pub(super) hash: String,
    pub(super) size_bytes: usize,
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Compiled {
    /// Compiles a file, which takes up to seconds: not for a thread that others wait for.
    ///
    /// # Errors
    /// A sentence for the author, where it is no plugin of this version.
    pub(super) fn new(engine: &Engine, bytes: &[u8]) -> Result<Self, String> {
        look(bytes)?;
        let component = Component::from_binary(&engine.wasm, bytes).map_err(|error| unreadable(&error))?;
        let shape = component.component_type();
        let mut imports = Vec::new();
        for (name, _) in shape.imports(&engine.wasm) {
            imports.push(import(name)?);
        }
        imports.sort();
        let exports: Vec<String> = shape
            .exports(&engine.wasm)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)))
            .map(|(name, _)| name.to_owned())
            .collect();
        let kind = kind(&exports)?;
        Ok(Self { kind, imports, hash: hash(bytes), size_bytes: bytes.len(), component })
    }

    /// Links it. What it asks for and is not granted is refused, with the node that would grant it.
    ///
    /// # Errors
    /// A sentence for the operator or the author.
    pub(super) fn link(&self, engine: &Engine, name: &str, grants: &Grants) -> Result<Program, String> {
        let wants = |interface: &str| self.imports.iter().any(|import| import == interface);
        if wants("kv") && grants.kv_bytes == 0 {
            return Err(format!(
                "it keeps values, which is not granted: write plugin {name:?} {{ kv \"1MiB\"; }}"
            ));
        }
        if wants("http") && grants.http.is_empty() {
            return Err(format!(
                "it sends requests, which is not granted: write plugin {name:?} {{ http \"https://SERVER\"; }} with the servers it may ask"
            ));
        }
        let mut linker = Linker::new(&engine.wasm);
        guest::link(&mut linker, grants).map_err(|error| error.to_string())?;
        let other = |error: wasmtime::Error| {
            format!("it was not built for version {VERSION} of sluice:plugin: {:#}", error.root_cause())
        };
        let instances = linker.instantiate_pre(&self.component).map_err(other)?;
        let lifecycle = any::AnyIndices::new(&instances).map_err(other)?;
        let exports = match self.kind {
            Kind::Scorer => Exports::Scorer(scoring::ScoringIndices::new(&instances).map_err(other)?),
            Kind::Handler => Exports::Handler(handling::HandlingIndices::new(&instances).map_err(other)?),
        };
        Ok(Program {
            instances,
            clock: engine.clock.clone(),
            lifecycle,
            exports,
            description: Description::default(),
            kind: self.kind,
            imports: self.imports.clone(),
            hash: self.hash.clone(),
            size_bytes: self.size_bytes,
        })
    }
}

/// The head of a WebAssembly file: magic, version, and the layer that tells components from modules.
fn look(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(
            "it is a core module and no component: build it with `sluice plugin build`, which makes one of it".to_owned(),
        ),
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [] => Err("the file is empty".to_owned()),
        _ if b"\0asm".starts_with(bytes.get(..4).unwrap_or(bytes)) => {
            Err("the file ends too early: was it copied whole?".to_owned())
        }
        _ => Err("it is no WebAssembly".to_owned()),
    }
}

fn unreadable(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    if cause.contains("unexpected end") || cause.contains("out of bounds") {
        return format!("the file ends too early: was it copied whole? ({cause})");
    }
    format!("it is no component that can be run: {cause}")
}

/// The interface of an import, where it is one of the contract.
fn import(name: &str) -> Result<String, String> {
    if name.starts_with("wasi:") {
        return Err(format!(
            "it asks for {name}, and plugins have no WASI: build it for wasm32-unknown-unknown with `sluice plugin build`"
        ));
    }
    let interface =
        versioned(name).ok_or_else(|| format!("it asks for {name}, which no plugin is given"))??;
    if ["log", "config", "clock", "kv", "http"].contains(&interface) {
        Ok(interface.to_owned())
    } else {
        // the interfaces of a kind hold types that may come in as imports
        Err(format!("it asks for {name}, which this version does not know"))
    }
}

/// The interface in a name as `sluice:plugin/log@0.1.0`; none for names of other packages.
fn versioned(name: &str) -> Option<Result<&str, String>> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    let is_hosted = version.strip_prefix(VERSION).is_some_and(|rest| rest.starts_with('.'));
    let wrong =
        || format!("it was built for version {version} of sluice:plugin, and this daemon hosts {VERSION}");
    Some(if is_hosted { Ok(interface) } else { Err(wrong()) })
}

fn kind(exports: &[String]) -> Result<Kind, String> {
    let mut interfaces = Vec::new();
    for name in exports {
        interfaces.extend(versioned(name).transpose()?);
    }
    if !interfaces.contains(&"lifecycle") {
        return Err("it is a component and no plugin: it does not export `lifecycle`".to_owned());
    }
    match (interfaces.contains(&"scorer"), interfaces.contains(&"handler")) {
        (true, false) => Ok(Kind::Scorer),
        (false, true) => Ok(Kind::Handler),
        (true, true) => Err("it exports both `scorer` and `handler`: make two plugins of it".to_owned()),
        (false, false) => Err("it exports neither `scorer` nor `handler`".to_owned()),
    }
}
