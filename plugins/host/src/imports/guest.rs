//! What an instance has of the outside: nothing while it is made, what its invocation brings while that lasts.

use std::sync::Arc;

use tokio::sync::mpsc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi_http::WasiHttpCtx;

use super::limiter::Limiter;
use super::telemetry::{Counters, Telemetry};
use super::wasi;
use crate::blobs::Blobs;
use crate::describe::Nowhere;
use crate::egress::Egress;
use crate::message::{FromConnector, Level};
use crate::outgoing::{LastFailure, Outgoing};
use crate::settings::HostSettings;
use crate::settings::contract::LOG_LINE_BYTES;
use crate::state::ConnectionState;
use crate::stdio::Tail;
use crate::text;

/// Headers of one message, in wasmtime's accounting, which counts its own structures too.
const HEADER_BYTES: usize = 128 << 10;

/// Everything that belongs to one instance: the data of its store.
pub(crate) struct Guest {
    pub(super) wasi: WasiCtx,
    pub(super) http: WasiHttpCtx,
    pub(super) outgoing: Outgoing,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) state: ConnectionState,
    pub(super) telemetry: Telemetry,
    pub(super) blobs: Blobs,
    pub(super) failure: LastFailure,
}

/// What an invocation brings with it.
pub(crate) struct Engagement {
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) outbox: mpsc::Sender<FromConnector>,
    pub(crate) state: Vec<(String, Vec<u8>)>,
    pub(crate) blobs: Blobs,
}

/// What of an invocation outlives its instance.
pub(crate) struct Traces {
    stdout: Tail,
    pub(crate) stderr: Tail,
    pub(crate) failure: LastFailure,
    counters: Counters,
}

impl Guest {
    /// One that has nothing to do yet.
    pub(crate) fn idle(settings: &HostSettings, traces: &Traces) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES);
        let mut table = ResourceTable::new();
        table.set_max_capacity(settings.handles);
        Self {
            wasi: wasi::context(traces.stdout.clone(), traces.stderr.clone()),
            http,
            outgoing: nowhere(),
            table,
            limiter: Limiter::new(settings),
            state: ConnectionState::default(),
            telemetry: Telemetry::new(settings, traces.counters.clone()),
            blobs: Blobs::new(0),
            failure: traces.failure.clone(),
        }
    }

    /// Gives it what its invocation brings.
    pub(crate) fn engage(&mut self, settings: &HostSettings, traces: &Traces, engagement: Engagement) {
        let Engagement { egress, outbox, state, blobs } = engagement;
        self.outgoing = Outgoing::new(egress, settings.parallel_requests, traces.failure.clone());
        self.state = ConnectionState::new(state);
        self.telemetry.outbox = Some(outbox);
        self.blobs = blobs;
    }

    /// Takes all of it away, with what has come of it.
    pub(crate) fn disengage(&mut self) {
        self.table = ResourceTable::new();
        self.outgoing = nowhere();
        self.telemetry.outbox = None;
        self.blobs = Blobs::new(0);
    }
}

/// No way out.
fn nowhere() -> Outgoing {
    Outgoing::new(Arc::new(Nowhere), 0, LastFailure::default())
}

impl Traces {
    pub(crate) fn new(settings: &HostSettings) -> Self {
        Self {
            stdout: Tail::new(settings.stdio_bytes),
            stderr: Tail::new(settings.stdio_bytes),
            failure: LastFailure::default(),
            counters: Counters::default(),
        }
    }

    /// Hands on what is only known at the end. A caller that no longer listens misses nothing it wants.
    pub(crate) async fn report(&self, outbox: &mpsc::Sender<FromConnector>) {
        for (name, delta) in self.counters.take() {
            let _ = outbox.send(FromConnector::Counter { name, delta }).await;
        }
        for (level, tail) in [(Level::Info, &self.stdout), (Level::Warn, &self.stderr)] {
            for line in tail.text().lines().filter(|line| !line.is_empty()) {
                let message = text::one_line(line, LOG_LINE_BYTES);
                let _ = outbox.send(FromConnector::Log { level, message, fields: None }).await;
            }
        }
    }
}
