//! One connection: its socket, watched as it reads and writes, and the driver that holds it to its limits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::Limits;
use super::activity::{Activity, Eviction, Order, Verdict};

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Up to here a head and its body are cheaper to copy together than to hand to the kernel apart.
const JOINED_BYTES: usize = 2048;

/// The slices one behind another, where they fit.
fn join<'a>(slices: &[io::IoSlice<'_>], joined: &'a mut [u8; JOINED_BYTES]) -> Option<&'a [u8]> {
    let joined = joined.get_mut(..slices.iter().map(|slice| slice.len()).sum())?;
    let mut rest = &mut *joined;
    for slice in slices {
        let (place, behind) = rest.split_at_mut_checked(slice.len())?;
        place.copy_from_slice(slice);
        rest = behind;
    }
    Some(joined)
}

/// A socket that tells [`Activity`] what happens on it. It stands beneath TLS, so that what it sees is the wire.
pub(super) struct Watched {
    socket: TcpStream,
    activity: Arc<Activity>,
    /// How much of the preface came, while the protocol is open.
    preface: Option<usize>,
}

impl Watched {
    /// `plain` where HTTP comes without TLS: then the first bytes tell the protocol.
    pub(super) fn plain(socket: TcpStream, activity: Arc<Activity>) -> Self {
        Self { socket, activity, preface: Some(0) }
    }

    /// Beneath TLS, where the handshake tells the protocol.
    pub(super) fn beneath_tls(socket: TcpStream, activity: Arc<Activity>) -> Self {
        Self { socket, activity, preface: None }
    }

    fn received(&mut self, bytes: &[u8]) {
        if let Some(seen) = self.preface {
            let rest = PREFACE.get(seen..).unwrap_or_default();
            let common = bytes.len().min(rest.len());
            let matches = bytes.get(..common) == rest.get(..common);
            let undecided = matches && common < rest.len();
            self.preface = undecided.then_some(seen + common);
            if !undecided {
                self.activity.open(matches);
            }
        }
        if !bytes.is_empty() {
            self.activity.received();
        }
    }

    fn written(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Pending => self.activity.blocked(),
            Poll::Ready(written) => self.activity.moved(*written.as_ref().unwrap_or(&0)),
        }
        outcome
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &outcome {
            self.received(buffer.filled().get(before..).unwrap_or_default());
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; JOINED_BYTES];
        let outcome = match join(slices, &mut joined) {
            Some(bytes) => Pin::new(&mut self.socket).poll_write(context, bytes),
            None => Pin::new(&mut self.socket).poll_write_vectored(context, slices),
        };
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    // flushing and closing a TCP socket never wait
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.activity.is_cut() {
            // else the kernel goes on offering the backlog to a peer that does not read, for minutes
            if let Err(error) = self.socket.set_zero_linger() {
                tracing::trace!(%error, "peer was gone already");
            }
        }
    }
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// By itself, or as it was told.
    Finished,
    /// With an error of the peer or of the way to it.
    Failed,
    /// Cut off.
    Evicted(Eviction),
    /// It did not finish by the deadline of a drain.
    Aborted,
}

/// Polls a connection and holds it to its limits.
pub(super) struct Driven<C> {
    connection: Pin<Box<C>>,
    activity: Arc<Activity>,
    limits: Arc<Limits>,
    alarm: Pin<Box<Sleep>>,
    finishing: bool,
}

impl<C: GracefulConnection> Driven<C> {
    /// Begins to watch.
    pub(super) fn new(connection: C, activity: Arc<Activity>, limits: Arc<Limits>) -> Self {
        let alarm = Box::pin(tokio::time::sleep_until(Instant::now() + limits.head.min(limits.write)));
        Self { connection: Box::pin(connection), activity, limits, alarm, finishing: false }
    }

    fn finish(&mut self) {
        self.finishing = true;
        self.connection.as_mut().graceful_shutdown();
    }

    /// What is due now; sets the alarm for what comes next. None where the connection goes on.
    fn judge(&mut self) -> Option<Ending> {
        let idle = if self.finishing { self.limits.write } else { self.limits.idle };
        match self.activity.verdict(&self.limits, idle) {
            Verdict::Wait(until) => self.alarm.as_mut().reset(until),
            Verdict::Evict(_) if self.finishing && self.activity.in_flight() == 0 => {
                return Some(Ending::Finished);
            }
            Verdict::Evict(reason) => {
                self.activity.cut();
                return Some(Ending::Evicted(reason));
            }
            Verdict::Idle if self.finishing => return Some(Ending::Finished),
            Verdict::Idle => {
                // HTTP/2 says goodbye and waits for the answer, but not for ever
                self.alarm.as_mut().reset(Instant::now() + self.limits.write);
                self.finish();
            }
        }
        None
    }
}

impl<C: GracefulConnection> Future for Driven<C> {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match self.connection.as_mut().poll(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ending::Finished),
                Poll::Ready(Err(_)) => return Poll::Ready(Ending::Failed),
                Poll::Pending => self.activity.settle(),
            }
            match self.activity.heed(context.waker()) {
                Order::Abort => {
                    self.activity.cut();
                    return Poll::Ready(Ending::Aborted);
                }
                Order::Finish if !self.finishing => {
                    self.finish();
                    continue;
                }
                _ => {}
            }
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if let Some(ending) = self.judge() {
                return Poll::Ready(ending);
            }
        }
    }
}
