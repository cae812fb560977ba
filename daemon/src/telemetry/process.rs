//! `process_*`: the figures that every Prometheus exporter shows of its process, read when they are asked for.

use jiff::Timestamp;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Error, IntGauge};

/// Figures that the system does not offer stay at zero.
pub(super) struct Process {
    cpu: Counter,
    start: IntGauge,
    resident: IntGauge,
    virtual_size: IntGauge,
    open_files: IntGauge,
    max_files: IntGauge,
    threads: IntGauge,
}

impl Process {
    pub(super) fn new() -> Result<Self, Error> {
        let start = IntGauge::new("process_start_time_seconds", "Unix time at which the process started.")?;
        start.set(Timestamp::now().as_second());
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "CPU time of the process, user and system.")?,
            start,
            resident: IntGauge::new("process_resident_memory_bytes", "Resident memory.")?,
            virtual_size: IntGauge::new("process_virtual_memory_bytes", "Virtual memory.")?,
            open_files: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            max_files: IntGauge::new("process_max_fds", "File descriptors that may be open.")?,
            threads: IntGauge::new("process_threads", "Threads.")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.start,
            &self.resident,
            &self.virtual_size,
            &self.open_files,
            &self.max_files,
            &self.threads,
        ]
    }

    fn refresh(&self) {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let seconds = |time: nix::sys::time::TimeVal| {
                time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6 // exact for centuries
            };
            let total = seconds(usage.user_time()) + seconds(usage.system_time());
            self.cpu.inc_by((total - self.cpu.get()).max(0.0));
        }
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            self.resident.set(field(&status, "VmRSS:") * 1024);
            self.virtual_size.set(field(&status, "VmSize:") * 1024);
            self.threads.set(field(&status, "Threads:"));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            self.max_files.set(i64::try_from(soft).unwrap_or(i64::MAX));
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.refresh();
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

/// The number behind `name` in `/proc/self/status` (proc_pid_status(5)); 0 where there is none.
fn field(status: &str, name: &str) -> i64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}
