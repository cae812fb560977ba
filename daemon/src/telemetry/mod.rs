//! What the daemon tells of itself: logs, and the metrics that belong to no pipeline.

mod config;
mod logfmt;
mod logging;
mod process;
mod runtime;

use prometheus::{Error, IntGauge, Opts, Registry};
use tokio::runtime::RuntimeMetrics;

pub(crate) use config::ConfigMetrics;
#[cfg(test)]
pub(crate) use logging::detached;
pub(crate) use logging::{LogError, LogHandle, install};

/// A registry with what belongs to the process: `process_*`, the runtime's figures, `sluice_build_info`.
/// `runtimes` are those that are watched.
///
/// # Errors
/// Never with an empty registry, which this one is.
pub(crate) fn registry(runtimes: Vec<RuntimeMetrics>) -> Result<Registry, Error> {
    let registry = Registry::new();
    let build = IntGauge::with_opts(
        Opts::new("sluice_build_info", "Always 1; the label says which version runs.")
            .const_label("version", env!("CARGO_PKG_VERSION")),
    )?;
    build.set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(process::Process::new()?))?;
    registry.register(Box::new(runtime::Runtime::new(runtimes)?))?;
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scrape_shows_the_version_the_process_and_the_runtime() {
        let registry = registry(vec![tokio::runtime::Handle::current().metrics()]).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains(&format!("sluice_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        for name in [
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_start_time_seconds",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "sluice_runtime_workers",
        ] {
            assert!(value(name) > 0.0, "{name}: {text}");
        }
        assert!(text.contains("# TYPE process_cpu_seconds_total counter"), "{text}");
    }
}
