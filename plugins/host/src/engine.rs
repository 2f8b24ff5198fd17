//! The WebAssembly engine and the clock that interrupts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::error::HostError;
use crate::settings::HostSettings;

/// How often running connectors hand the thread back to the runtime.
const TICK: Duration = Duration::from_millis(10);
/// A fibre's stack also holds the host's own frames.
const HOST_STACK: usize = 1 << 20;

/// An engine whose running code yields every 10 ms.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    ticker: Ticker,
}

impl Machine {
    pub(crate) fn new(settings: &HostSettings) -> Result<Self, HostError> {
        let engine = Engine::new(&config(settings)).map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine)?;
        Ok(Self { engine, ticker })
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
