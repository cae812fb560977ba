//! The edge: where viewers connect. Listeners, connections and their limits, the route table, drain.
//!
//! [`Server`] owns sockets and connections and knows nothing of routes; the admin listener runs on it too.
//! [`Edge`] is the server with the viewers' route table on it.

mod activity;
mod answer;
mod connection;
mod forwarded;
mod lag;
mod metrics;
mod outgoing;
mod path;
mod routes;
mod serve;
mod server;
mod settings;
mod socket;
mod tls;
mod viewers;
mod workers;

pub(crate) use metrics::{ConnectionMetrics, EdgeMetrics};
pub(crate) use routes::{Mount, Routes};
pub(crate) use server::{Handler, Listener, Server};
pub(crate) use settings::{Cors, Limits, Settings};
pub(crate) use socket::BindError;
pub(crate) use tls::{Identity, IdentityError};
pub(crate) use viewers::Edge;
pub(crate) use workers::Workers;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
