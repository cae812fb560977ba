//! A run over datagrams: takes what comes to the address, for ever.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::fault::{Fault, FaultKind, Phase};
use sluice_core::pipeline::{Cutting, End, Intake, Source, SourceContext};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Listening, rtp, socket};

/// After this long without a datagram the group is joined anew: a switch or an interface may have forgotten it.
const SILENCE: Duration = Duration::from_secs(5);
/// No datagram is larger.
const LARGEST_DATAGRAM_BYTES: usize = 65_536;
/// What is read at once, before it is cut: about 50 of the usual datagrams of seven packets.
const BATCH_BYTES: usize = 64 * 1024;

/// A run.
pub(super) struct Listen {
    pub(super) listening: Listening,
    pub(super) cutting: Cutting,
    pub(super) context: SourceContext,
}

/// What one reading of the socket brought.
struct Batch {
    bytes: Vec<u8>,
    filled: usize,
    /// Whose datagrams were refused.
    stranger: Option<IpAddr>,
}

impl Source for Listen {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        async move { self.listen().await }.boxed()
    }
}

impl Listen {
    async fn listen(self) -> Result<End, Fault> {
        let feed = self.context.feed.clone();
        let mut intake = Intake::new(feed.clone(), self.cutting);
        let bytes = vec![0; BATCH_BYTES + LARGEST_DATAGRAM_BYTES];
        let mut batch = Batch { bytes, filled: 0, stranger: None };
        let (mut is_told, mut is_small_told) = (false, false);
        loop {
            let (socket, given) = socket::open(&self.listening).map_err(|error| self.closed(error))?;
            if let Some(bytes) = given.filter(|_| !is_small_told) {
                is_small_told = true;
                tracing::warn!(stage = %self.context.stage, bytes, "small receive buffer: raise net.core.rmem_max to 4194304");
            }
            while let Some(bytes) = self.next(&socket, &mut batch).await? {
                intake.push(bytes)?;
                is_told = false;
            }
            feed.beat();
            if is_told {
                continue; // still the same silence
            }
            is_told = true;
            intake.interrupted();
            feed.fault(&match batch.stranger.take() {
                Some(stranger) => FaultKind::Forbidden(format!("the sender {stranger}").into()).into(),
                None => Fault::new(FaultKind::Timeout(Phase::Read)),
            });
        }
    }

    /// What came since; none after a silence.
    async fn next<'b>(&self, socket: &UdpSocket, batch: &'b mut Batch) -> Result<Option<&'b [u8]>, Fault> {
        let reading = async {
            loop {
                socket.readable().await?;
                batch.fill(socket, self.listening.from)?;
                if batch.filled > 0 {
                    return Ok(());
                }
            }
        };
        match timeout(SILENCE, reading).await {
            Ok(read) => read.map_err(|error: io::Error| self.closed(error))?,
            Err(_) => return Ok(None),
        }
        Ok(batch.bytes.get(..batch.filled))
    }

    fn closed(&self, error: io::Error) -> Fault {
        let words = format!("cannot listen on {}: {error}", self.listening.address);
        Fault::new(FaultKind::Socket(words.into())).because(error)
    }
}

impl Batch {
    /// Reads datagrams one behind another, until there are no more or the batch is full.
    fn fill(&mut self, socket: &UdpSocket, from: Option<IpAddr>) -> io::Result<()> {
        self.filled = 0;
        while self.filled < BATCH_BYTES {
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            let (length, sender) = match socket.try_recv_from(room) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if from.is_some_and(|from| !is_same(from, sender)) {
                self.stranger = Some(sender.ip());
                continue;
            }
            let packets = rtp::payload(room.get(..length).unwrap_or_default());
            let kept = packets.len();
            if packets.start > 0 {
                room.copy_within(packets, 0);
            }
            self.filled += kept;
        }
        Ok(())
    }
}

fn is_same(permitted: IpAddr, sender: SocketAddr) -> bool {
    sender.ip().to_canonical() == permitted.to_canonical()
}
