//! Where an exchange may go, and what it may carry there: decided by who named the host.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use sluice_core::conf::{HostRule, literal, same_host};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::stage::Provenance;
use url::{Host, Origin, Url};

use super::address::is_public;
use super::credentials::basic;

/// How far the connections of an exchange are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The host may resolve anywhere.
    Open,
    /// Every address that the host resolves to is checked.
    Guarded,
}

/// What the operator wrote about one source.
#[derive(Debug)]
pub(crate) struct Policy {
    origins: Vec<(Origin, Option<HeaderValue>)>,
    hosts: Vec<Host>,
    allowed: Vec<HostRule>,
}

impl Policy {
    /// A policy for a source whose operator wrote `urls`, and `allow_hosts` as what its playlists may lead to.
    pub(crate) fn new(urls: &[Url], allow_hosts: &[HostRule]) -> Self {
        Self {
            origins: urls.iter().map(|url| (url.origin(), basic(url))).collect(),
            hosts: urls.iter().filter_map(|url| url.host().map(|host| host.to_owned())).collect(),
            allowed: allow_hosts.to_vec(),
        }
    }

    /// Whether `url` may be asked at all, and how far its connections are watched.
    ///
    /// # Errors
    /// `Forbidden` for a scheme that is not HTTP, and for a learned address that is not public.
    pub(crate) fn admit(&self, url: &Url, provenance: &Provenance) -> Result<Trust, Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(forbidden(format!("the scheme {}", url.scheme())));
        }
        let host = url.host().ok_or_else(|| forbidden("a URL without a host"))?;
        let own = *provenance == Provenance::Operator || self.hosts.iter().any(|own| same_host(own, &host));
        if own || self.allowed.iter().any(|rule| rule.covers_host(&host)) {
            return Ok(Trust::Open);
        }
        match literal(&host) {
            Some(address) if !self.permits(address) => Err(forbidden(format!("the address {address}"))),
            _ => Ok(Trust::Guarded),
        }
    }

    /// Whether a learned host may resolve to this address.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|rule| rule.covers_address(address))
    }

    /// Whether the operator's headers may go to this URL.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        let origin = url.origin();
        self.origins.iter().any(|(own, _)| *own == origin)
    }

    /// The credentials that the operator wrote into the URL of this origin.
    pub(crate) fn credentials(&self, url: &Url) -> Option<HeaderValue> {
        let origin = url.origin();
        self.origins.iter().find(|(own, _)| *own == origin).and_then(|(_, basic)| basic.clone())
    }
}

/// The fault for `what` the policy refuses.
pub(crate) fn forbidden(what: impl Into<Arc<str>>) -> Fault {
    FaultKind::Forbidden(what.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<Trust>) {
        let policy = Policy::new(
            &[Url::parse("http://origin.lan:8080/live/").unwrap(), Url::parse("http://10.1.1.1/").unwrap()],
            &["cdn.lan", "*.Example.com", "10.9.0.0/16"].map(|rule| rule.parse().unwrap()),
        );
        let admitted = policy.admit(&Url::parse(url).unwrap(), &Provenance::Learned);
        assert_eq!(admitted.as_ref().ok(), expected.as_ref(), "{url}: {admitted:?}");
    }

    #[test]
    fn what_a_playlist_may_lead_to() {
        let (open, guarded) = (Some(Trust::Open), Some(Trust::Guarded));
        check("http://origin.lan/key", open);
        check("https://ORIGIN.lan:1/key", open);
        check("http://10.1.1.1:81/", open);
        check("http://cdn.lan/", open);
        check("http://a.b.example.com/", open);
        check("http://example.com/", guarded);
        check("http://badexample.com/", guarded);
        check("http://10.9.1.2/", open);
        check("http://10.8.1.2/", None);
        check("http://sub.cdn.lan/", guarded);
        check("http://1.1.1.1/", guarded);
        check("http://[2606:4700::1]/", guarded);
    }

    #[test]
    fn odd_spellings_of_inside_addresses_are_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[fe80::1]/",
            "http://%31%32%37.0.0.1/",
            "http://①②⑦.0.0.1/",
            "http://0/",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "gopher://1.1.1.1/",
            "data:text/plain,x",
        ] {
            check(url, None);
        }
    }

    #[test]
    fn the_operators_word_goes_anywhere_by_http_alone() {
        let policy = Policy::new(&[], &[]);
        let admit = |url: &str| policy.admit(&Url::parse(url).unwrap(), &Provenance::Operator);
        assert_eq!(admit("http://127.0.0.1/").unwrap(), Trust::Open);
        assert!(matches!(admit("ftp://127.0.0.1/").unwrap_err().kind, FaultKind::Forbidden(_)));
    }
}
