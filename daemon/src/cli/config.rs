//! `sluice config`: the effective plan as KDL.

use std::path::Path;
use std::process::ExitCode;

use sluice_core::conf::{Reveal, print};
use sluice_core::plan::show;

use super::{CONFIGURATION, complain, read, render};

/// Prints the plan; with problems, prints those: 78.
pub(super) fn config(dir: &Path, reveal: bool) -> ExitCode {
    let settled = match read(dir) {
        Ok((_, settled)) => settled,
        Err(code) => return code,
    };
    if settled.problems.are_fatal() {
        return complain(&render::problems(&settled.problems), CONFIGURATION);
    }
    let reveal = if reveal { Reveal::Whole } else { Reveal::Hidden };
    super::print(&print(&show(&settled.good.plan, reveal)), 0)
}
