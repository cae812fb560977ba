//! What plugins do for the daemon.

mod builtin;

pub(crate) use builtin::BuiltInAlone;
