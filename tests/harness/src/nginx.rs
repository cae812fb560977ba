//! A real nginx.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{Ending, Process, program};
use crate::wait::eventually;

/// nginx with a configuration of its own. It ends when this is dropped.
pub struct Nginx {
    process: Process,
    _home: TempDir,
    address: SocketAddr,
}

/// A port of the loopback that was free a moment ago, for programs that cannot choose one themselves.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Nginx {
    /// Serves the files of a directory, as an origin does.
    pub async fn serving(directory: &Path) -> Self {
        let root = directory.display();
        Self::start(1, &format!("location / {{ root {root}; add_header Cache-Control no-cache; }}")).await
    }

    /// A cache before another server: playlists for 1 s, all else for an hour. `workers` processes.
    pub async fn caching(origin: SocketAddr, workers: usize) -> Self {
        Self::start(
            workers,
            &format!(
                "location / {{ proxy_pass http://{origin}; proxy_cache relay; proxy_cache_valid 200 1h;
                 proxy_cache_lock on; proxy_cache_use_stale updating; proxy_http_version 1.1;
                 proxy_set_header Connection \"\"; }}
                 location ~ m3u8$ {{ proxy_pass http://{origin}; proxy_cache relay; proxy_cache_valid 200 1s;
                 proxy_cache_lock on; proxy_cache_use_stale updating; proxy_http_version 1.1;
                 proxy_set_header Connection \"\"; }}"
            ),
        )
        .await
    }

    async fn start(workers: usize, locations: &str) -> Self {
        let nginx = program("nginx", "nginx");
        let home = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let here = home.path().display();
        let text = format!(
            "daemon off; worker_processes {workers}; pid {here}/pid; error_log stderr warn; {}
             events {{ worker_connections 4096; }}
             http {{
               access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache off;
               types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }}
               client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
               uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
               proxy_cache_path {here}/cache keys_zone=relay:16m max_size=1g use_temp_path=off;
               server {{ listen {address}; {locations} }}
             }}",
            if nix::unistd::Uid::effective().is_root() { "user root;" } else { "" },
        );
        let file = home.path().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(home.path()).arg("-c").arg(&file).arg("-e").arg("stderr");
        let process = Process::start("nginx", &mut command, Ending::Terminate);
        let listens = async || TcpStream::connect(address).await.ok();
        let what = || format!("nginx listens; it says {}", process.log());
        eventually(what, Duration::from_secs(10), listens).await;
        Self { process, _home: home, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process id of the master.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}
