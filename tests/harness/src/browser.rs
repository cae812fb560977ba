//! Chromium, driven through chromedriver.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::nginx::free_port;
use crate::process::{Ending, Process, program};
use crate::wait::{eventually, within};

/// How long one command of the driver may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A browser without a window. It ends when this is dropped.
pub struct Browser {
    _driver: Process,
    _profile: TempDir,
    address: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts Chromium.
    pub async fn start() -> Self {
        let chromium = program("chromium", "chromium");
        let driver = program("chromedriver", "chromium-driver");
        let profile = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(driver);
        command.arg(format!("--port={}", address.port())).env("HOME", profile.path());
        let driver = Process::start("chromedriver", &mut command, Ending::Terminate);
        let listens = async || tokio::net::TcpStream::connect(address).await.ok();
        eventually("chromedriver listens", LIMIT, listens).await;
        let data = format!("--user-data-dir={}", profile.path().join("data").display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--autoplay-policy=no-user-gesture-required",
            &data,
        ];
        let options = json!({ "binary": chromium, "args": flags });
        let wish = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let mut browser =
            Self { _driver: driver, _profile: profile, address, session: "/session".to_owned() };
        let made = browser.command("", &wish).await;
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made}"));
        browser.session = format!("/session/{id}");
        browser
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.command("/url", &json!({ "url": url })).await;
    }

    /// Runs a script that returns a value.
    pub async fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let exchange = async {
            let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::post(format!("{}{path}", self.session))
                .header("host", self.address.to_string())
                .body(Full::new(Bytes::from(body.to_string())))
                .unwrap();
            let reply = sender.send_request(request).await.unwrap();
            reply.into_body().collect().await.unwrap().to_bytes()
        };
        let reply = within(path, LIMIT, exchange).await;
        let mut reply: Value = serde_json::from_slice(&reply).unwrap();
        let value = reply["value"].take();
        assert!(value.get("error").is_none(), "the browser says: {value}");
        value
    }
}

impl Drop for Browser {
    /// Ends the session, for Chromium does not end with its driver.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return };
        let request = format!(
            "DELETE {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.session, self.address
        );
        let limited = stream.set_read_timeout(Some(Duration::from_secs(5)));
        if limited.and_then(|()| stream.write_all(request.as_bytes())).is_ok() {
            // the answer means that Chromium has gone; without one there is nothing left to do
            drop(stream.read(&mut [0; 512]));
        }
    }
}
