//! The WebAssembly engine and the clock that interrupts it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::HostError;
use crate::settings::HostSettings;

/// How often running connectors hand the thread back to the runtime.
const TICK: Duration = Duration::from_millis(10);
/// A fibre's stack also holds the host's own frames.
const HOST_STACK: usize = 1 << 20;

/// Memories and tables that one component may have; a component from Rust has one memory and two tables.
const POOLED_MEMORIES: u32 = 2;
const POOLED_TABLES: u32 = 8;
/// Bookkeeping of one instance, in bytes.
const INSTANCE_BYTES: usize = 1 << 20;
/// Ended instances whose memory stays mapped for the next one of the same component.
const WARM: u32 = 64;
/// What of a memory and of a table is wiped in place rather than given back, in bytes.
const KEPT_MEMORY: usize = 128 << 10;
const KEPT_TABLE: usize = 16 << 10;

/// An engine whose running code yields every 10 ms.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    ticker: Ticker,
}

impl Machine {
    pub(crate) fn new(settings: &HostSettings) -> Result<Self, HostError> {
        let plain = || Engine::new(&config(settings));
        let engine = if settings.instances == 0 { plain() } else { pooled(settings).or_else(|_| plain()) };
        let engine = engine.map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine)?;
        Ok(Self { engine, ticker })
    }

    /// Which compiled code the engine accepts, as 16 hexadecimal digits.
    pub(crate) fn compatibility(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Keeps the clock running until the guard is dropped.
    pub(crate) fn tick(self: &Arc<Self>) -> Ticking {
        self.ticker.begin();
        Ticking(Arc::clone(self))
    }
}

fn config(settings: &HostSettings) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        // Experimental, and outside wasmtime's security patches.
        .concurrency_support(false)
        .max_wasm_stack(settings.stack_bytes)
        .async_stack_size(settings.stack_bytes + HOST_STACK)
        // Proposals that no connector needs; each one is more compiler to trust. Garbage collection, exceptions and
        // threads are not even compiled in.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .wasm_stack_switching(false);
    config
}

/// An engine that keeps memory, tables and stacks of ended instances for the next ones, wiped: mapping them anew costs
/// more than a short invocation. It reserves terabytes of address space and uses almost none of it; where that much
/// is not to be had (`ulimit -v`, 39-bit addresses) the engine fails to start and the plain one does the same, slower.
fn pooled(settings: &HostSettings) -> wasmtime::Result<Engine> {
    let count = u32::try_from(settings.instances)?;
    let parts = count.saturating_mul(u32::try_from(settings.core_instances)?);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count)
        .total_core_instances(parts)
        .total_memories(count.saturating_mul(POOLED_MEMORIES))
        .total_tables(count.saturating_mul(POOLED_TABLES))
        .total_stacks(count)
        // The limit itself is checked for every instance.
        .max_core_instances_per_component(parts)
        .max_memories_per_component(POOLED_MEMORIES)
        .max_tables_per_component(POOLED_TABLES)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_memory_size(settings.memory_bytes)
        .table_elements(settings.table_elements)
        .max_unused_warm_slots(WARM)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE)
        // Wipes only what was written, where the kernel can tell.
        .pagemap_scan(Enabled::Auto);
    let mut config = config(settings);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// Waits for the next tick.
#[expect(clippy::disallowed_methods, reason = "it waits for time itself, on a thread of its own")]
fn tick() {
    std::thread::sleep(TICK);
}

/// A thread that advances the engine's epoch while a connector runs, and sleeps otherwise.
struct Ticker {
    shared: Arc<TickerState>,
    thread: Thread,
}

#[derive(Default)]
struct TickerState {
    running: AtomicUsize,
    stopped: AtomicBool,
}

impl Ticker {
    fn start(engine: &Engine) -> Result<Self, HostError> {
        let shared = Arc::new(TickerState::default());
        let (state, engine) = (Arc::clone(&shared), engine.weak());
        let body = move || {
            while !state.stopped.load(Ordering::Acquire) {
                if state.running.load(Ordering::Acquire) == 0 {
                    std::thread::park();
                    continue;
                }
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
                tick();
            }
        };
        let handle = std::thread::Builder::new()
            .name("connector-tick".into())
            .spawn(body)
            .map_err(|error| HostError::Engine(format!("no thread for its clock: {error}")))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    fn begin(&self) {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A running invocation, for the clock.
pub(crate) struct Ticking(Arc<Machine>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.ticker.shared.running.fetch_sub(1, Ordering::AcqRel);
    }
}
