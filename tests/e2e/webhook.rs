//! The plugin `webhook` that ships, in the daemon, against a server that is sometimes away.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sluice_harness::eventually;
use sluice_harness::origin::{Answer, Live, Origin};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::players::repository;
use super::{SOON, relay, serves, setup};

/// A server that takes messages, or is away.
struct Receiver {
    address: SocketAddr,
    away: Arc<AtomicBool>,
    /// The head and the body of each message that was taken.
    taken: Arc<Mutex<Vec<(String, Value)>>>,
    attempts: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (away, taken, attempts) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<_>>>::default(), Arc::default());
        let (is_away, taking, counted) = (away.clone(), taken.clone(), Arc::clone(&attempts));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let message = message(socket, is_away.load(Ordering::SeqCst)).await;
                *Mutex::lock(&counted).unwrap() += 1;
                if let Some(message) = message.filter(|_| !is_away.load(Ordering::SeqCst)) {
                    taking.lock().unwrap().push(message);
                }
            }
        });
        Self { address, away, taken, attempts, task }
    }

    /// Waits for a message about this kind of event.
    async fn takes(&self, kind: &str) -> (String, Value) {
        let found =
            async || self.taken.lock().unwrap().iter().find(|(_, body)| body["kind"] == kind).cloned();
        eventually(&format!("a message about {kind}"), SOON, found).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a message and answers it.
async fn message(socket: TcpStream, away: bool) -> Option<(String, Value)> {
    let mut socket = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    let status = if away { "503 Service Unavailable" } else { "204 No Content" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await.ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_its_server_also_where_that_and_the_daemon_were_away_between() {
    let (receiver, origin) = (Receiver::start().await, Origin::start().await);
    let live = Live::new("a").window(20).filled(6);
    origin.mount("/news", &live);
    let _ticking = live.ticking(std::time::Duration::from_secs(1));
    let server = format!("http://{}", receiver.address);
    let granted = format!("plugin \"webhook\" {{ http \"{server}\"; kv \"1MiB\"; deadline \"1s\"; }}\n");
    let handled = format!(
        "    on \"stream.*\" run=\"webhook\" {{ url \"{server}/in\"; signing-key (env)\"HOOK_KEY\"; }}\n}}\n"
    );
    let text = relay("news", &origin.url("/news/index.m3u8"), "");
    let text = text.trim_end().trim_end_matches('}').to_owned() + &handled;
    let plugins = format!("plugins {:?}", repository().join("plugins").display().to_string());
    let setup = setup().server(&plugins).variable("HOOK_KEY", "a key of some length");
    let sluice = setup.file("grants.kdl", &granted).file("news.kdl", &text).start().await;
    serves(&sluice, "/live/news/index.m3u8").await;
    let (head, started) = receiver.takes("stream.started").await;
    assert!(head.starts_with("post /in ") && head.contains("webhook-signature: v1,"), "{head}");
    assert_eq!(
        (&started["pipeline"], &started["detail"]["source"]),
        (&"news".into(), &"source 1 hls".into())
    );

    receiver.away.store(true, Ordering::SeqCst);
    let before = *receiver.attempts.lock().unwrap();
    origin.fail("/news/index", Answer::status(404));
    let tried = async || (*receiver.attempts.lock().unwrap() > before).then_some(());
    eventually("an attempt to tell of the stall", SOON * 2, tried).await;
    let setup = sluice.setup().clone();
    let (status, log) = sluice.terminate().await;
    assert!(status.success(), "{log}");
    receiver.away.store(false, Ordering::SeqCst);
    let sluice = setup.start().await;
    let (_, stalled) = receiver.takes("stream.stalled").await;
    assert!(stalled["id"].as_u64() > started["id"].as_u64(), "{stalled}");
    let handlers = sluice.api("/api/v1/events/handlers").await.json();
    assert_eq!(
        (&handlers[0]["plugin"], &handlers[0]["pipeline"]),
        (&"webhook".into(), &"news".into()),
        "{handlers}"
    );
}
