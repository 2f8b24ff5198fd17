//! The loaded box, and one run's programs from start to end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmtime::component::ResourceAny;
use wasmtime::{Store, Trap};

use super::bindings::{Expr, ExprPre, programs};
use super::fault::{Place, TransformFault};
use super::message::{Transformation, Transformed};
use super::settings::TransformSettings;
use crate::engine::Machine;
use crate::fault::Limit;
use crate::imports::limiter::Limiter;
use crate::message::Batch;
use crate::settings::HostSettings;
use crate::settings::contract::{BATCH_BYTES, BATCH_ROWS};
use crate::supervise::Metered;
use crate::text;

/// What one call may move, in bytes: a batch of a connector, with room.
const CALL_BYTES: usize = 64 << 20;
const REASON_BYTES: usize = 300;

/// The box, compiled and checked; cheap to clone. Every run gets a fresh instance.
#[derive(Clone)]
pub struct Transformer(Arc<Inner>);

struct Inner {
    machine: Arc<Machine>,
    settings: Arc<TransformSettings>,
    pre: ExprPre<Inside>,
}

/// All that belongs to an instance on the host's side.
pub(super) struct Inside {
    limiter: Limiter,
}

/// An instance with both programs compiled inside.
struct Running {
    store: Store<Inside>,
    expr: Expr,
    pipeline: ResourceAny,
    /// Records used up so far.
    used: u64,
    memory: usize,
    time: Duration,
}

impl Transformer {
    pub(super) fn new(machine: Arc<Machine>, settings: Arc<TransformSettings>, pre: ExprPre<Inside>) -> Self {
        Self(Arc::new(Inner { machine, settings, pre }))
    }

    /// Runs one run's programs until the inbox is closed and everything in it has come out, or nobody listens.
    ///
    /// Results wait in `outbox` for room. Dropping the future stops the programs at once.
    ///
    /// # Errors
    /// If a program does not compile, a record comes to nothing, or a limit is reached. The results of the records
    /// before have come out then.
    pub async fn run(
        &self,
        what: Transformation,
        mut inbox: mpsc::Receiver<Batch>,
        outbox: mpsc::Sender<Transformed>,
    ) -> Result<(), TransformFault> {
        let _ticking = self.0.machine.tick();
        let mut running = self.open(&what).await?;
        while let Some(batch) = inbox.recv().await {
            running.feed(&batch.data).await?;
            while let Some(results) = running.next().await? {
                if outbox.send(Transformed::Batch(results)).await.is_err() {
                    return Ok(());
                }
            }
            running.used += u64::from(batch.count);
            if outbox.send(Transformed::Used { records: batch.count }).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn open(&self, what: &Transformation) -> Result<Running, TransformFault> {
        let TransformSettings { memory_bytes, cpu_time, .. } = *self.0.settings;
        let limits = HostSettings { memory_bytes, ..HostSettings::default() };
        let mut store = Store::new(self.0.pre.engine(), Inside { limiter: Limiter::new(&limits) });
        store.limiter(|inside| &mut inside.limiter);
        store.set_hostcall_fuel(CALL_BYTES);
        // Yields at every tick and goes on for ever: the meter ends what takes too long.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(wasmtime::UpdateDeadline::Yield(1)));
        let setup = self.setup(what);
        let opened = Metered::new(
            Box::pin(async {
                let expr = self.0.pre.instantiate_async(&mut store).await?;
                let pipeline = expr.wherry_expr_programs().pipeline().call_open(&mut store, &setup).await?;
                wasmtime::Result::Ok((expr, pipeline))
            }),
            cpu_time,
        );
        let (expr, pipeline) = settle(opened.await, memory_bytes, 0)?;
        let pipeline = pipeline.map_err(TransformFault::invalid)?;
        Ok(Running { store, expr, pipeline, used: 0, memory: memory_bytes, time: cpu_time })
    }

    fn setup(&self, what: &Transformation) -> programs::Setup {
        let TransformSettings { record_results, record_bytes, .. } = *self.0.settings;
        let Transformation { condition, transformation, variables } = what.clone();
        programs::Setup {
            condition,
            transformation,
            variables,
            batch_rows: BATCH_ROWS,
            batch_bytes: u32::try_from(BATCH_BYTES).unwrap_or(u32::MAX),
            record_results,
            record_bytes,
        }
    }
}

impl Running {
    async fn feed(&mut self, records: &Bytes) -> Result<(), TransformFault> {
        let Self { store, expr, pipeline, used, memory, time } = self;
        let call = async { expr.wherry_expr_programs().pipeline().call_feed(store, *pipeline, records).await };
        settle(Metered::new(Box::pin(call), *time).await, *memory, *used)
    }

    async fn next(&mut self) -> Result<Option<Batch>, TransformFault> {
        let Self { store, expr, pipeline, used, memory, time } = self;
        let call = async { expr.wherry_expr_programs().pipeline().call_next(store, *pipeline).await };
        let results = settle(Metered::new(Box::pin(call), *time).await, *memory, *used)?;
        let used = *used;
        match results {
            Ok(results) => Ok(results.map(|batch| Batch { count: batch.count, data: batch.data.into() })),
            Err(failure) => {
                let at = self.locate().await;
                Err(TransformFault::record(failure, at, used))
            }
        }
    }

    /// Where the program failed, as closely as it is found within the programs' own limits. Whatever the search runs
    /// into, why the record came to nothing is known already.
    async fn locate(&mut self) -> Option<Place> {
        let Self { store, expr, pipeline, time, .. } = self;
        let mut closest = None;
        let search = async {
            while let Ok(Some(at)) = expr.wherry_expr_programs().pipeline().call_narrow(&mut *store, *pipeline).await {
                closest = Some(Place::from(at));
            }
        };
        drop(Metered::new(Box::pin(search), *time).await);
        closest
    }
}

/// What a call gave, or which wall it ran into.
fn settle<T>(ended: Result<wasmtime::Result<T>, Limit>, limit_bytes: usize, after: u64) -> Result<T, TransformFault> {
    let error = match ended {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(Limit::Cpu { limit_ms }) => return Err(TransformFault::Time { limit_ms, after }),
        Err(other) => return Err(TransformFault::Broke { reason: other.to_string(), after }),
    };
    if let Some(Limit::Memory { .. }) = error.downcast_ref::<Limit>() {
        return Err(TransformFault::Memory { limit_bytes, after });
    }
    match error.downcast_ref::<Trap>() {
        // Rust keeps its own stack at the beginning of linear memory and runs out of it downwards.
        Some(&(Trap::StackOverflow | Trap::MemoryOutOfBounds)) => Err(TransformFault::Stack { after }),
        Some(_) | None => {
            let reason = text::one_line(&error.root_cause().to_string(), REASON_BYTES);
            Err(TransformFault::Broke { reason, after })
        }
    }
}
