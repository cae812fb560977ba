//! Sockets: how listeners are bound, and how what they accept is tuned.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;
use tokio::net::TcpStream;

/// Connections that wait to be accepted: a page full of players reconnects at once after a restart.
const BACKLOG: i32 = 4096;

/// How much of what was written may wait unsent in the kernel. Beyond it a write waits, so that a viewer's
/// backlog stays in the window, where it is seen. Memory of a stalled viewer is this and no more, because what
/// was sent and not acknowledged is bounded by the viewer's own receive buffer. A fixed SO_SNDBUF would bound both
/// at once, but Linux caps it at 208 KiB unless told otherwise, which is 17 Mbit/s at 100 ms. Measured with 1 MiB
/// bodies on loopback: 128 KiB costs 15 % more CPU than no bound, 256 KiB 10 %, 512 KiB nothing.
const UNSENT_BYTES: u32 = 512 * 1024;

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {cause}")]
pub(crate) struct BindError {
    /// The address as configured.
    pub(crate) address: SocketAddr,
    /// What the system says.
    #[source]
    pub(crate) cause: io::Error,
}

/// Listens on `address`; `[::]` takes IPv4 too.
///
/// # Errors
/// When the port is taken or may not be used.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    open(address).map_err(|cause| BindError { address, cause })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // else connections in TIME_WAIT hold the port after a restart
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Tunes an accepted connection.
///
/// # Errors
/// When the peer is gone already.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}
