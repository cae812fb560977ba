//! Where a transport stream comes from: an HTTP origin, or datagrams.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use sluice_core::conf::{HttpUrl, Scalar};

/// A URL of the schemes that bring a transport stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Address {
    /// An endless HTTP answer.
    Http(HttpUrl),
    /// Datagrams to an address of this machine, or to a multicast group.
    Datagrams(Datagrams),
}

/// The address that datagrams are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datagrams(pub(super) SocketAddr);

impl fmt::Display for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.0.ip().is_multicast() { "@" } else { "" };
        write!(f, "udp://{at}{}", self.0)
    }
}

impl Scalar for Address {
    const EXPECTED: &'static str =
        "an http, https or udp URL, as \"http://origin.example/news.ts\" or \"udp://@239.0.0.1:5000\"";

    fn read(value: &kdl::KdlValue) -> Result<Self, Option<String>> {
        let text = value.as_string().ok_or(None)?;
        match text.strip_prefix("udp://") {
            Some(rest) => datagrams(rest).map(Self::Datagrams).map_err(Some),
            None if text.starts_with("rtp://") => {
                Err(Some("write udp://: an RTP header is known by itself, and taken off".into()))
            }
            None => HttpUrl::read(value).map(Self::Http),
        }
    }
}

/// Reads what stands behind `udp://`: `@239.0.0.1:5000`, `@[ff15::1]:5000`, `0.0.0.0:5000`, `@:5000`.
fn datagrams(rest: &str) -> Result<Datagrams, String> {
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !query.is_empty() {
        return Err("options behind `?` are not read: write interface= and from= instead".into());
    }
    let address = address.strip_prefix('@').unwrap_or(address).trim_end_matches('/');
    if let Some(port) = address.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return with_port(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    match address.parse() {
        Ok(address) => with_port(address),
        Err(_) => {
            Err("an address with a port, as \"udp://@239.0.0.1:5000\" or \"udp://0.0.0.0:5000\"".into())
        }
    }
}

fn with_port(address: SocketAddr) -> Result<Datagrams, String> {
    if address.port() == 0 {
        return Err("the port cannot be 0".into());
    }
    Ok(Datagrams(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        match Address::read(&text.into()) {
            Ok(Address::Http(url)) => Ok(url.0.to_string()),
            Ok(Address::Datagrams(datagrams)) => Ok(datagrams.to_string()),
            Err(help) => Err(help.unwrap_or_default()),
        }
    }

    #[test]
    fn every_form_is_read_and_shown_as_one_that_reads_the_same() {
        for (text, shown) in [
            ("udp://@239.0.0.1:5000", "udp://@239.0.0.1:5000"),
            ("udp://239.0.0.1:5000", "udp://@239.0.0.1:5000"),
            ("udp://@[ff15::1]:5000/", "udp://@[ff15::1]:5000"),
            ("udp://0.0.0.0:5000", "udp://0.0.0.0:5000"),
            ("udp://@:5000", "udp://0.0.0.0:5000"),
            ("udp://[::1]:5000", "udp://[::1]:5000"),
            ("https://origin.example/a.ts", "https://origin.example/a.ts"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
            assert_eq!(read(shown).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_help() {
        for (text, help) in [
            ("udp://239.0.0.1", "an address with a port"),
            ("udp://host.example:5000", "an address with a port"),
            ("udp://239.0.0.1:0", "the port cannot be 0"),
            ("udp://239.0.0.1:5000?localaddr=10.0.0.1", "interface="),
            ("rtp://239.0.0.1:5000", "write udp://"),
            ("srt://origin.example:5000", "another scheme"),
        ] {
            assert!(read(text).is_err_and(|said| said.contains(help)), "{text}");
        }
    }
}
