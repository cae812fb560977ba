//! The bare peer of the fan-out, as a child process: a ring of `Bytes`, one `watch` head, and a task for each viewer
//! that writes what is new.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sluice_harness::{Ending, Process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;

/// Chunks in the ring, each of a tenth of a second.
const SLOTS: usize = 256;
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: usize = 10;

/// The server as a child process, at so many bits in a second.
pub(crate) async fn start(rate_bps: f64) -> (Process, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("bare-fanout").arg(rate_bps.to_string());
    let process = Process::start("the bare fan-out", &mut command, Ending::Kill);
    let address = |line: &str| line.strip_prefix("listening ")?.parse().ok();
    let address = process.line("its address", Duration::from_secs(10), address).await;
    (process, address)
}

type Ring = Arc<Vec<Mutex<Bytes>>>;

/// The server.
pub(crate) async fn serve(rate_bps: &str) {
    let packets = rate_bps.parse::<usize>().unwrap() / 8 / 188 / TICKS_PER_SECOND;
    let chunk = vec![0x47; packets * 188];
    let ring: Ring = Arc::new((0..SLOTS).map(|_| Mutex::default()).collect());
    let head = watch::Sender::new(0_usize);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening {}", listener.local_addr().unwrap());
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (ring, head) = (ring.clone(), head.subscribe());
                // a client that leaves is no matter here
                tokio::spawn(async move { drop(send(accepted.unwrap().0, ring, head).await) });
            }
            _ = ticks.tick() => {
                let next = *head.borrow();
                *ring[next % SLOTS].lock().unwrap() = Bytes::copy_from_slice(&chunk);
                head.send_replace(next + 1);
            }
        }
    }
}

async fn send(mut stream: TcpStream, ring: Ring, mut head: watch::Receiver<usize>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut asked = [0; 1024];
    if stream.read(&mut asked).await? == 0 {
        return Ok(());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n").await?;
    let mut next = *head.borrow();
    loop {
        while next == *head.borrow_and_update() {
            if head.changed().await.is_err() {
                return Ok(());
            }
        }
        let chunk = ring[next % SLOTS].lock().unwrap().clone();
        stream.write_all(&chunk).await?;
        next += 1;
    }
}
