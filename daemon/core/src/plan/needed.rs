//! What a configuration needs to exist besides its own files.

use std::path::PathBuf;

use super::Server;
use super::read::read_all;
use crate::conf::Lookup;
use crate::stage::{Configured, Kinds};

/// A file or a program that must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Who needs it: the server or a pipeline.
    pub by: String,
    /// What it is.
    pub what: Thing,
}

/// What is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A file, and what is in it: a certificate.
    File(PathBuf, &'static str),
    /// A program, by its path or its name in `PATH`.
    Program(String),
}

/// Everything that `files` need to exist: of the server, and of each stage that can be read of a pipeline that is
/// enabled, whatever else in the files has a problem.
pub fn needed(files: &[(String, String)], kinds: &Kinds, lookup: &dyn Lookup) -> Vec<Needed> {
    read_all(files, kinds, lookup).2
}

impl Needed {
    pub(super) fn of_server(server: &Server) -> Vec<Self> {
        let need = |(path, what)| Self { by: "the server".to_owned(), what: Thing::File(path, what) };
        server.files().into_iter().map(need).collect()
    }

    pub(super) fn of_stage(pipeline: &str, stage: &dyn Configured) -> Vec<Self> {
        let files = stage.files().into_iter().map(|(path, what)| Thing::File(path, what));
        let things = files.chain(stage.programs().into_iter().map(Thing::Program));
        things.map(|what| Self { by: format!("pipeline `{pipeline}`"), what }).collect()
    }
}
