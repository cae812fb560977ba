//! The client against real sockets on the loopback.

mod bodies;
mod guarding;
mod http2;
mod sending;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::stage::{Answer, Class, Deadlines, Exchange, Provenance};
use tower::ServiceExt;
use url::Url;

use super::connect::system_tls;
use super::{Client, ClientLimits, Policy};

const PATIENCE: Duration = Duration::from_millis(300);

fn exchange(url: &Url, class: Class) -> Exchange {
    Exchange {
        url: url.clone(),
        provenance: Provenance::Operator,
        class,
        range: None,
        headers: Arc::default(),
        validators: HeaderMap::new(),
        deadlines: Deadlines { connect: Duration::from_secs(5), read: PATIENCE },
        audience: 0,
    }
}

fn learned(url: &Url) -> Exchange {
    Exchange { provenance: Provenance::Learned, ..exchange(url, Class::Segment) }
}

/// A client of an operator who wrote this URL.
fn client(operator: &Url) -> Client {
    client_with(Policy::new(std::slice::from_ref(operator), &[]))
}

fn client_with(policy: Policy) -> Client {
    Client::new(policy, ClientLimits::default(), &system_tls().unwrap())
}

async fn fetch(client: &Client, exchange: Exchange) -> Result<Answer, Fault> {
    client.clone().oneshot(exchange).await
}

async fn fault(client: &Client, exchange: Exchange) -> FaultKind {
    fetch(client, exchange).await.unwrap_err().kind
}
