//! Which addresses are on the public internet. Everything else is somebody's inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address that a stranger named may be connected to: global unicast, and for the IPv6 forms that
/// carry an IPv4 address, only where that one is public too (IANA special-purpose registries, RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)            // this network, private, loopback
            | (100, 64..=127, _)        // carrier-grade NAT, RFC 6598
            | (169, 254, _)             // link-local, with the metadata services of clouds
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)           // protocol assignments, documentation
            | (192, 31, 196)            // AS112
            | (192, 52, 193)            // AMT
            | (192, 88, 99)             // 6to4 relays, deprecated
            | (192, 175, 48)            // AS112
            | (198, 18..=19, _)         // benchmarks
            | (198, 51, 100)            // documentation
            | (203, 0, 113)             // documentation
            | (224.., _, _) // multicast, reserved, broadcast
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let words = address.segments();
    match words {
        // NAT64 (RFC 6052); the local-use prefix 64:ff9b:1::/48 falls through to the refusal
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)), // 6to4
        // Teredo: the server, and the client with its bits turned over (RFC 4380)
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            is_public_v4(v4(server_high, server_low)) && is_public_v4(v4(!high, !low))
        }
        [0x2001, second, ..] if second < 0x0200 => false, // protocol assignments, with ORCHID and benchmarks
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false, // documentation
        [0x2620, 0x4f, 0x8000, ..] => false,              // AS112
        // ISATAP carries an IPv4 address in any prefix (RFC 5214)
        [.., 0 | 0x0200, 0x5efe, high, low] if !is_public_v4(v4(high, low)) => false,
        // 2000::/3 is all that is assigned for global unicast: mapped, local, link, multicast are outside it
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::*;

    const INSIDE: &[&str] = &[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001:2::/48",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];

    #[test]
    fn the_edges_of_every_inside_network_are_refused() {
        for network in INSIDE.iter().map(|text| text.parse::<IpNet>().unwrap()) {
            assert!(!is_public(network.network()), "{network}");
            assert!(!is_public(network.broadcast()), "{network}");
        }
    }

    #[test]
    fn the_neighbours_of_inside_networks_and_well_known_hosts_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_form_of_an_inside_address_is_public(pick in 0..INSIDE.len(), bits: u128) {
            let network: IpNet = INSIDE[pick].parse().unwrap();
            let address = match network {
                IpNet::V4(network) => {
                    let host = (bits >> 96) as u32 & u32::from(network.hostmask());
                    IpAddr::V4((u32::from(network.network()) | host).into())
                }
                IpNet::V6(network) => {
                    IpAddr::V6((u128::from(network.network()) | (bits & u128::from(network.hostmask()))).into())
                }
            };
            prop_assert!(!is_public(address), "{}", address);
            if let IpAddr::V4(inside) = address {
                let number = u128::from(u32::from(inside));
                for carried in [
                    0xffff << 32 | number,                                  // mapped
                    number,                                                 // compatible
                    0x0064_ff9b << 96 | number,                             // NAT64
                    0x2002 << 112 | number << 80 | (bits & 0xffff),         // 6to4
                    0x2001 << 112 | 0x0808_0808 << 64 | (!number & 0xffff_ffff), // Teredo, client
                    0x2001 << 112 | number << 64 | 0xf7f7_f7f7,             // Teredo, server
                    0x2a00 << 112 | 0x5efe << 32 | number,                  // ISATAP
                ] {
                    prop_assert!(!is_public(IpAddr::V6(carried.into())), "{}", Ipv6Addr::from(carried));
                }
            }
        }
    }
}
