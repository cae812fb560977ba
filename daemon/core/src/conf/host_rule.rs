//! Which hosts an operator allows besides public ones: the values of `allow-hosts`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use kdl::KdlValue;
use url::Host;

use super::scalar::{Scalar, read_text};

/// A rule of `allow-hosts`: a host, every host below a domain, or a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostRule {
    /// `cdn.example`, or an address.
    Exact(Host),
    /// `*.example.com`: hosts below the domain, not the domain itself. Kept with its leading dot.
    Below(String),
    /// `10.0.0.0/8`: addresses, written or resolved to.
    Network(IpNet),
}

impl FromStr for HostRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a host (cdn.example), *.example.com, or a network (10.0.0.0/8)";
        if let Some(domain) = text.strip_prefix("*.") {
            return match Host::parse(domain) {
                Ok(Host::Domain(domain)) => Ok(Self::Below(format!(".{domain}"))),
                _ => Err(EXPECTED.to_owned()),
            };
        }
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        Host::parse(text).map(Self::Exact).map_err(|_| EXPECTED.to_owned())
    }
}

impl HostRule {
    /// Whether a URL with this host is allowed as it is written.
    pub fn covers_host(&self, host: &Host<&str>) -> bool {
        match self {
            Self::Exact(rule) => same_host(rule, host),
            Self::Below(suffix) => matches!(host, Host::Domain(domain) if domain.ends_with(suffix)),
            Self::Network(network) => literal(host).is_some_and(|address| network.contains(&address)),
        }
    }

    /// Whether a host may resolve to this address.
    pub fn covers_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address))
    }
}

impl Scalar for HostRule {
    const EXPECTED: &'static str = "a host, as \"cdn.example\", \"*.cdn.example\" or \"10.0.0.0/8\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        read_text(value)
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// Whether both are the same host.
pub fn same_host(a: &Host, b: &Host<&str>) -> bool {
    match (a, b) {
        (Host::Domain(a), Host::Domain(b)) => a == b,
        (Host::Ipv4(a), Host::Ipv4(b)) => a == b,
        (Host::Ipv6(a), Host::Ipv6(b)) => a == b,
        _ => false,
    }
}

/// The address that a host is written as.
pub fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
    }
}
