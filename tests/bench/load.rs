//! `wrk`, driven by a script that asks for many paths in turn and prints what it counted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_harness::{program, within};
use tokio::process::Command;

/// What one run counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests in a second.
    pub(crate) requests: f64,
    /// Bytes in a second.
    pub(crate) bytes: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub(crate) p99_us: f64,
}

/// Writes a script that asks for `paths` in turn.
pub(crate) fn script(directory: &Path, name: &str, paths: &[String]) -> PathBuf {
    let list: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
    let text = format!(
        r#"local paths, ready, at = {{ {} }}, {{}}, 0
init = function() for i, path in ipairs(paths) do ready[i] = wrk.format("GET", path) end end
request = function() at = at % #ready + 1; return ready[at] end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.bytes, summary.duration,
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#,
        list.join(", ")
    );
    let file = directory.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// Loads a server over so many connections.
pub(crate) async fn load(address: SocketAddr, script: &Path, connections: usize, seconds: u64) -> Load {
    let mut command = Command::new(program("wrk", "wrk"));
    command.args(["-t", "1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"]);
    command.arg(script).arg(format!("http://{address}")).kill_on_drop(true);
    let output = within("wrk", Duration::from_secs(seconds + 20), command.output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result = result.unwrap_or_else(|| panic!("wrk says {text}"));
    let numbers: Vec<f64> = result.split(' ').map(|number| number.parse().unwrap()).collect();
    let [requests, bytes, duration_us, p99_us, errors] = numbers[..] else { panic!("{result}") };
    assert!(errors == 0.0, "{errors} errors of {requests} requests to {address}");
    let seconds = duration_us / 1e6;
    Load { requests: requests / seconds, bytes: bytes / seconds, p99_us }
}
