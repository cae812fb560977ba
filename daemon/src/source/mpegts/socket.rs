//! The socket that datagrams come to: bound, joined to its group, with room for bursts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::Listening;

/// Half a second of 64 Mbit/s: what a busy machine may leave unread for a moment.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// An interface of this machine.
#[derive(Debug, Clone, Copy)]
struct Interface {
    index: u32,
    v4: Option<Ipv4Addr>,
}

/// Opens the socket; gives how many bytes of receive buffer the kernel gave where that is less than was asked for.
///
/// Another socket may be bound to the same address: the run that takes the place of this one opens its own first.
///
/// # Errors
/// When the interface is not there, the address is not of this machine, or the group cannot be joined.
pub(super) fn open(listening: &Listening) -> io::Result<(UdpSocket, Option<usize>)> {
    let address = listening.address.0;
    let interface = listening.interface.as_deref().map(find).transpose()?;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if address.ip().is_multicast() {
        join(&socket, listening, interface)?;
    } else {
        socket.bind(&address.into())?;
    }
    // Linux tells twice what it was asked for, and keeps the other half for itself (socket(7))
    let given = socket.recv_buffer_size()? / 2;
    Ok((UdpSocket::from_std(socket.into())?, (given < RECEIVE_BUFFER_BYTES).then_some(given)))
}

/// Binds to the group itself, so that nothing else that comes to the port is taken, and joins it.
fn join(socket: &Socket, listening: &Listening, interface: Option<Interface>) -> io::Result<()> {
    let (address, index) = (listening.address.0, interface.map_or(0, |interface| interface.index));
    match (address, listening.from) {
        (SocketAddr::V4(group), from) => {
            socket.set_multicast_all_v4(false)?; // not what other sockets joined on other interfaces
            socket.bind(&address.into())?;
            match (from, interface) {
                (Some(IpAddr::V4(from)), interface) => {
                    let local = match interface {
                        Some(interface) => interface.v4.ok_or_else(|| missing("it has no IPv4 address"))?,
                        None => Ipv4Addr::UNSPECIFIED,
                    };
                    socket.join_ssm_v4(&from, group.ip(), &local)
                }
                _ => socket.join_multicast_v4_n(group.ip(), &InterfaceIndexOrAddress::Index(index)),
            }
        }
        (SocketAddr::V6(group), _) => {
            socket.set_multicast_all_v6(false)?;
            socket.bind(&SocketAddrV6::new(*group.ip(), group.port(), 0, index).into())?;
            socket.join_multicast_v6(group.ip(), index)
        }
    }
}

/// The interface of this name, or with this address.
fn find(wanted: &str) -> io::Result<Interface> {
    let address: Option<IpAddr> = wanted.parse().ok();
    let all: Vec<(String, Option<IpAddr>)> = getifaddrs()?
        .map(|entry| {
            let found = entry.address.as_ref();
            let v4 = found.and_then(|found| found.as_sockaddr_in()).map(|found| IpAddr::V4(found.ip()));
            let v6 = || found.and_then(|found| found.as_sockaddr_in6()).map(|found| IpAddr::V6(found.ip()));
            (entry.interface_name, v4.or_else(v6))
        })
        .collect();
    let is_wanted = |(name, its): &&(String, Option<IpAddr>)| match address {
        Some(address) => *its == Some(address),
        None => name == wanted,
    };
    let Some((name, its)) = all.iter().find(is_wanted) else {
        return Err(missing(&format!("no interface `{wanted}`")));
    };
    let first_v4 = || all.iter().filter(|(other, _)| other == name).find_map(|(_, its)| v4(*its));
    Ok(Interface { index: if_nametoindex(name.as_str())?, v4: v4(*its).or_else(first_v4) })
}

fn v4(address: Option<IpAddr>) -> Option<Ipv4Addr> {
    if let Some(IpAddr::V4(address)) = address { Some(address) } else { None }
}

fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}
