//! The engine that compiles and runs plugins: one for the daemon.

use std::ops::ControlFlow;
use std::path::Path;

use thiserror::Error;
use wasmtime::{Cache, CacheConfig, Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::clock::Clock;

/// The most memory that a node can grant, in bytes: each slot of the pool reserves as much address space.
pub(super) const MOST_MEMORY_BYTES: usize = 256 << 20;

/// Instances that live at once, those that are kept between calls included.
pub(super) const SLOTS: u32 = 64;

/// Core instances, memories and tables that one component may have: those of other languages come with adapters, and what
/// QuickJS is built into has three memories.
const CORE_INSTANCES: u32 = 16;
const MEMORIES: u32 = 3;
const TABLES: u32 = 8;
const TABLE_ELEMENTS: usize = 20_000;

/// Compiled plugins are kept up to this size.
const CACHE_BYTES: u64 = 256 << 20;

/// The engine cannot be made.
#[derive(Debug, Error)]
#[error("plugins cannot run on this machine: {0:#}")]
pub(crate) struct EngineError(#[from] wasmtime::Error);

/// The engine with its clock: while it lives, plugins are interrupted in time.
pub(crate) struct Engine {
    pub(super) wasm: wasmtime::Engine,
    pub(super) clock: Clock,
}

impl Engine {
    /// An engine that keeps what it compiled in `cache`; in memory only without one, or where it cannot be used. Where
    /// the machine gives no address space for the pool (as under `ulimit -v`), instances are made without one.
    ///
    /// # Errors
    /// Where the machine is none that code can be made for.
    pub(crate) fn new(cache: Option<&Path>) -> Result<Self, EngineError> {
        let cache = cache.and_then(open_cache);
        let pooled = wasmtime::Engine::new(&config(cache.clone(), true));
        let wasm = pooled.or_else(|error| {
            tracing::info!(%error, "no pool for plugins; each instance takes its memory from the system");
            wasmtime::Engine::new(&config(cache, false))
        })?;
        let weak = wasm.weak(); // held only for the moment of a tick, so that it can go
        let tick = move || match weak.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        };
        let clock = Clock::start(tick).map_err(wasmtime::Error::from)?;
        Ok(Self { wasm, clock })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.clock.end();
    }
}

fn open_cache(directory: &Path) -> Option<Cache> {
    let mut config = CacheConfig::new();
    let opened = std::fs::create_dir_all(directory)
        .and_then(|()| std::path::absolute(directory)) // it takes no other
        .map_err(wasmtime::Error::from)
        .and_then(|directory| {
            config.with_directory(directory).with_files_total_size_soft_limit(CACHE_BYTES);
            Cache::new(config)
        });
    opened
        .inspect_err(|error| {
            tracing::warn!(%error, directory = %directory.display(), "compiled plugins are not kept; each start compiles them");
        })
        .ok()
}

fn config(cache: Option<Cache>, pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .cache(cache)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .memory_reservation(MOST_MEMORY_BYTES as u64)
        .memory_may_move(false)
        .generate_address_map(false); // names of functions are enough in a backtrace
    if pooled {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(SLOTS)
            .total_core_instances(SLOTS * CORE_INSTANCES)
            .total_memories(SLOTS * MEMORIES)
            .total_tables(SLOTS * TABLES)
            .total_stacks(SLOTS)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_tables_per_component(TABLES)
            .table_elements(TABLE_ELEMENTS)
            .max_memory_size(MOST_MEMORY_BYTES)
            .max_unused_warm_slots(SLOTS);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cache_may_stand_in_a_directory_that_is_written_from_here() {
        let here = std::env::current_dir().unwrap();
        let directory = tempfile::tempdir_in(&here).unwrap();
        let relative = directory.path().strip_prefix(&here).unwrap();
        assert!(open_cache(&relative.join("cache")).is_some());
    }

    #[test]
    fn an_engine_can_have_its_pool_here_and_its_clock_ends_with_it() {
        assert!(wasmtime::Engine::new(&config(None, true)).is_ok());
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::new(Some(&directory.path().join("cache"))).unwrap();
        let weak = engine.wasm.weak();
        drop(engine);
        let began = tokio::time::Instant::now();
        while weak.upgrade().is_some() {
            assert!(began.elapsed() < Duration::from_secs(10), "the clock holds the engine");
            std::thread::yield_now();
        }
    }
}
