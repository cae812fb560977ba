//! Figures of the runtime: whether tasks pile up, and how busy the workers are.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Error, IntGauge};
use tokio::runtime::RuntimeMetrics;

pub(super) struct Runtime {
    sources: Vec<RuntimeMetrics>,
    workers: IntGauge,
    tasks: IntGauge,
    queue: IntGauge,
    busy: Counter,
}

impl Runtime {
    pub(super) fn new(sources: Vec<RuntimeMetrics>) -> Result<Self, Error> {
        Ok(Self {
            sources,
            workers: IntGauge::new(
                "sluice_runtime_workers",
                "Worker threads, those of viewers' connections included.",
            )?,
            tasks: IntGauge::new("sluice_runtime_tasks", "Tasks alive.")?,
            queue: IntGauge::new("sluice_runtime_queue_depth", "Tasks that wait in the global queue.")?,
            busy: Counter::new("sluice_runtime_busy_seconds_total", "Time that workers were busy, summed.")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.workers, &self.tasks, &self.queue, &self.busy]
    }
}

impl Collector for Runtime {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let sum = |of: fn(&RuntimeMetrics) -> usize| count(self.sources.iter().map(of).sum());
        self.workers.set(sum(RuntimeMetrics::num_workers));
        self.tasks.set(sum(RuntimeMetrics::num_alive_tasks));
        self.queue.set(sum(RuntimeMetrics::global_queue_depth));
        let busy = self.sources.iter().flat_map(|source| {
            (0..source.num_workers()).map(|worker| source.worker_total_busy_duration(worker).as_secs_f64())
        });
        let busy: f64 = busy.sum();
        self.busy.inc_by((busy - self.busy.get()).max(0.0));
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}
