//! The daemon under test: the real binary, in a directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use crate::exchange::{Connection, Reply, Version};
use crate::metrics::Metrics;
use crate::process::{Ending, Process};
use crate::wait::{eventually, within};

/// How long the daemon may take to start, and a reload to be seen.
const LIMIT: Duration = Duration::from_secs(15);

/// What a daemon is started with.
#[derive(Clone)]
pub struct Setup {
    binary: PathBuf,
    home: Arc<TempDir>,
    listen: String,
    lines: Vec<String>,
    variables: Vec<(String, String)>,
}

/// A running daemon. It is killed when this is dropped.
pub struct Sluice {
    process: Process,
    setup: Setup,
    /// Where viewers connect.
    pub viewers: SocketAddr,
    /// Where the API is.
    pub admin: SocketAddr,
}

impl Setup {
    /// An empty configuration for `binary`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.path().join("conf.d")).unwrap();
        let (listen, lines, variables) = ("127.0.0.1:0".to_owned(), Vec::new(), Vec::new());
        Self { binary: binary.into(), home, listen, lines, variables }
    }

    /// The same, listening for viewers elsewhere.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// Adds a line to the node `server`.
    #[must_use]
    pub fn server(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file to the configuration.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory().join(name), text).unwrap();
        self
    }

    /// The directory of the configuration.
    pub fn directory(&self) -> PathBuf {
        self.home.path().join("conf.d")
    }

    /// The directory of all that this daemon has.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command line of the binary, in its directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.home.path()).args(arguments).kill_on_drop(true);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary in its directory, to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn output(&self, arguments: &[&str]) -> Output {
        within(&format!("the end of sluice {arguments:?}"), LIMIT, self.command(arguments).output())
            .await
            .unwrap()
    }

    /// Starts the daemon and waits until it is ready.
    ///
    /// # Panics
    /// When it is not ready in time, with its log.
    pub async fn start(&self) -> Sluice {
        let process = self.launch();
        let viewers = listener(&process, "viewers").await;
        let admin = listener(&process, "admin").await;
        let sluice = Sluice { process, setup: self.clone(), viewers, admin };
        let ready = async || sluice.api("/readyz").await.status.is_success().then_some(());
        eventually("readiness", LIMIT, ready).await;
        // the directory is read once more as soon as it is watched: without it, that reload would be taken for one
        // that a test waits for
        sluice.wait_for_metric("sluice_config_reloads_total", &[], 2.0, LIMIT).await;
        sluice
    }

    /// Starts the daemon where it must end by itself; gives how it ended, and what it wrote.
    pub async fn start_in_vain(&self) -> (ExitStatus, String) {
        let mut process = self.launch();
        let status = process.ended(LIMIT).await;
        (status, process.log())
    }

    fn launch(&self) -> Process {
        let (listen, state) = (&self.listen, self.home.path().join("state"));
        let own = self.lines.join("\n    ");
        let given = |name: &str| self.lines.iter().any(|line| line.starts_with(name));
        let admin = if given("admin") { "" } else { "admin \"127.0.0.1:0\"" };
        let log = if given("log") { "" } else { "log level=\"info\" format=\"json\"" };
        let drain = if given("drain") { "" } else { "drain \"2s\"" };
        let text = format!(
            "server {{\n    listen \"{listen}\"\n    {admin}\n    state-dir \"{}\"\n    {log}\n    {drain}\n    {own}\n}}\n",
            state.display()
        );
        std::fs::write(self.directory().join("00-server.kdl"), text).unwrap();
        Process::start("sluice", &mut self.command(&["run", "--conf", "conf.d"]), Ending::Kill)
    }
}

impl Sluice {
    /// The URL of a viewers' path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.viewers)
    }

    /// Gets a viewers' path.
    pub async fn get(&self, path: &str) -> Reply {
        let mut connection = Connection::open(self.viewers, Version::One).await;
        connection.get(path).await.unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()))
    }

    /// Gets a path of the admin listener.
    pub async fn api(&self, path: &str) -> Reply {
        self.ask_admin(Method::GET, path, &[]).await
    }

    /// Sends a request to the admin listener.
    pub async fn ask_admin(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut connection = Connection::open(self.admin, Version::One).await;
        let reply = connection.ask(method, path, headers).await;
        reply.unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()))
    }

    /// A scrape.
    pub async fn metrics(&self) -> Metrics {
        Metrics::new(self.api("/metrics").await.text())
    }

    /// The state of a pipeline, as the API words it.
    pub async fn state(&self, pipeline: &str) -> String {
        let reply = self.api(&format!("/api/v1/pipelines/{pipeline}")).await;
        if !reply.status.is_success() {
            return reply.status.to_string();
        }
        find(&reply.json(), "state").unwrap_or_else(|| panic!("no state in {}", reply.text()))
    }

    /// Waits until a pipeline is in a state.
    ///
    /// # Panics
    /// After `limit`.
    pub async fn wait_for_state(&self, pipeline: &str, state: &str, limit: Duration) {
        let what = format!("state {state} of {pipeline}");
        eventually(&what, limit, async || (self.state(pipeline).await == state).then_some(())).await;
    }

    /// Waits until the sum of the series of `name` with `labels` is at least `least`.
    ///
    /// # Panics
    /// After `limit`.
    pub async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], least: f64, limit: Duration) {
        let what = format!("{name}{labels:?} of at least {least}");
        eventually(&what, limit, async || (self.metrics().await.sum(name, labels) >= least).then_some(()))
            .await;
    }

    /// Writes a file of the configuration as editors do, by a rename, and returns at once.
    pub fn write(&self, name: &str, text: &str) {
        let directory = self.setup.directory();
        let fresh = directory.join(format!(".{name}.new"));
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, directory.join(name)).unwrap();
    }

    /// Writes a file of the configuration and waits until the daemon has read it.
    pub async fn apply(&self, name: &str, text: &str) {
        let before = self.reloads().await;
        self.write(name, text);
        self.reloaded_since(before).await;
    }

    /// Deletes a file of the configuration and waits until the daemon has read that.
    pub async fn delete(&self, name: &str) {
        let before = self.reloads().await;
        std::fs::remove_file(self.setup.directory().join(name)).unwrap();
        self.reloaded_since(before).await;
    }

    /// How many reloads there were, with problems or without.
    pub async fn reloads(&self) -> f64 {
        self.metrics().await.sum("sluice_config_reloads_total", &[])
    }

    /// Waits for a reload after the first `before`.
    pub async fn reloaded_since(&self, before: f64) {
        self.wait_for_metric("sluice_config_reloads_total", &[], before + 1.0, LIMIT).await;
    }

    /// What it is started with, to start it again.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process, for its signals and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it by SIGTERM; gives how it ended, and its log.
    pub async fn terminate(mut self) -> (ExitStatus, String) {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.ended(LIMIT).await;
        (status, self.process.log())
    }
}

/// Waits for the line that names the address of a listener.
async fn listener(process: &Process, name: &str) -> SocketAddr {
    let read = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (find(&event, "listener")? == name).then(|| find(&event, "address"))??.parse().ok()
    };
    process.line(&format!("the address of the listener {name}"), LIMIT, read).await
}

/// The first text under `key`, at the top or one object below.
fn find(value: &serde_json::Value, key: &str) -> Option<String> {
    let object = value.as_object()?;
    let own = object.get(key).and_then(|text| text.as_str());
    own.map(str::to_owned).or_else(|| object.values().find_map(|child| find(child, key)))
}
