//! A loaded connector, and one invocation of it from start to end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Resource};

use crate::bindings::types::Error;
use crate::bindings::{ConnectorCore, ConnectorCorePre, Status};
use crate::blobs::Blobs;
use crate::descriptor::Descriptor;
use crate::egress::Egress;
use crate::engine::Machine;
use crate::error::HostError;
use crate::fault::{ConnectorError, ConnectorFault, ErrorKind, Limit};
use crate::imports::Guest;
use crate::imports::guest::{Engagement, Traces};
use crate::imports::invocation::Invocation;
use crate::imports::rows::{Outbox, Reader, Writer};
use crate::inbox::{self, Cancelled};
use crate::message::{Call, FromConnector, Outcome, Task, ToConnector};
use crate::settings::HostSettings;
use crate::settings::contract::DESCRIPTOR_BYTES;
use crate::supervise::{Allowance, supervise};
use crate::{clock, discovery, trap};

/// How long the end of an invocation waits for room to report what is only known then.
const REPORT_TIME: Duration = Duration::from_secs(1);

/// A component that is compiled, checked and linked; cheap to clone. Every invocation gets a fresh instance.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    machine: Arc<Machine>,
    settings: Arc<HostSettings>,
    pre: ConnectorCorePre<Guest>,
    discovery: Option<ComponentExportIndex>,
    /// The instance of the next invocation, where somebody makes them ahead.
    ahead: Mutex<Option<Made>>,
}

/// An instance that has nothing to do yet.
struct Made {
    store: Store<Guest>,
    core: ConnectorCore,
    traces: Traces,
}

/// What is left of an instance that has ended: its memory, which it takes a while to free. It has nothing of the outside
/// any more.
pub struct Remains(#[expect(dead_code, reason = "kept to be dropped")] Option<Store<Guest>>);

/// What an instance is to do, with everything it needs.
struct Work {
    task: Arc<Task>,
    engagement: Engagement,
    reader: Option<Reader>,
    writer: Option<Writer>,
    cancelled: Cancelled,
    deadline: Instant,
}

impl Connector {
    pub(crate) fn new(machine: Arc<Machine>, settings: Arc<HostSettings>, pre: ConnectorCorePre<Guest>) -> Self {
        let discovery = discovery::find(pre.instance_pre().component());
        Self(Arc::new(Inner { machine, settings, pre, discovery, ahead: Mutex::default() }))
    }

    /// What the connector says of itself. The caller compares it with the signed release
    /// ([`Descriptor::belongs_to`]).
    pub async fn describe(&self) -> Result<Descriptor, HostError> {
        Ok(Descriptor::parse(&self.describe_text().await?)?)
    }

    /// The same as the text that the component returns, unread: its release names it by digest.
    pub async fn describe_text(&self) -> Result<String, HostError> {
        self.describe_raw().await.map_err(|fault| HostError::DescribeFailed(Box::new(fault)))
    }

    /// Whether it answers questions ([`Call::Discover`]).
    pub fn has_discovery(&self) -> bool {
        self.0.discovery.is_some()
    }

    /// Runs one invocation to its end, with blobs of its own.
    ///
    /// Messages to the connector are read from `inbox`; what it produces is sent to `outbox`, and waits there for
    /// room. Dropping the future stops the connector at once.
    pub async fn run(
        &self,
        task: Task,
        egress: Arc<dyn Egress>,
        inbox: mpsc::Receiver<ToConnector>,
        outbox: mpsc::Sender<FromConnector>,
    ) -> Result<Outcome, ConnectorFault> {
        let blobs = Blobs::new(self.0.settings.blob_bytes);
        self.run_with(task, egress, inbox, outbox, blobs).await
    }

    /// The same with the blobs of a run, so that a target can open what its source wrote.
    pub async fn run_with(
        &self,
        task: Task,
        egress: Arc<dyn Egress>,
        inbox: mpsc::Receiver<ToConnector>,
        outbox: mpsc::Sender<FromConnector>,
        blobs: Blobs,
    ) -> Result<Outcome, ConnectorFault> {
        let (ended, _) = self.run_and_leave(task, egress, inbox, outbox, blobs).await;
        ended
    }

    /// The same for callers who free what is left when nobody waits.
    pub async fn run_and_leave(
        &self,
        mut task: Task,
        egress: Arc<dyn Egress>,
        inbox: mpsc::Receiver<ToConnector>,
        outbox: mpsc::Sender<FromConnector>,
        blobs: Blobs,
    ) -> (Result<Outcome, ConnectorFault>, Remains) {
        if task.call == Call::Discover && !self.has_discovery() {
            return (Err(HostError::NoDiscovery.into()), Remains(None));
        }
        let wall = Duration::from_millis(task.time_limit_ms);
        let deadline = clock::now() + wall;
        let (pump, rows, cancelled) = inbox::open(inbox, task.has_input);
        let ear = Outbox { messages: outbox.clone(), cancelled: cancelled.clone() };
        let engagement = Engagement { egress, outbox: outbox.clone(), state: std::mem::take(&mut task.state), blobs };
        let work = Work {
            engagement,
            reader: task.has_input.then(|| Reader::new(rows, ear.clone(), task.first_row)),
            writer: task.has_output.then(|| Writer::new(ear)),
            task: Arc::new(task),
            cancelled: cancelled.clone(),
            deadline,
        };
        let (store, core, traces) = self.at_hand(work.task.call);
        let _ticking = self.0.machine.tick();
        let instance = Box::pin(self.instance(store, core, &traces, work));
        let ended = supervise(instance, pump, cancelled.clone(), deadline, self.allowance(wall)).await;
        // A caller that takes nothing any more must not hold up the end.
        let _ = tokio::time::timeout(REPORT_TIME, traces.report(&outbox)).await;
        let stopped = cancelled.is_set() || outbox.is_closed();
        let (ended, store) = match ended {
            Ok((ended, store)) => (Ok(ended), Some(store)),
            Err(fault) => (Err(fault), None),
        };
        (self.verdict(ended, &traces, stopped), Remains(store))
    }

    /// Makes the instance of the next invocation, unless there is one: that takes longer than many an invocation. It has
    /// as much time as for a descriptor. What goes wrong is not told: the invocation that makes its own will tell it.
    pub async fn make_ahead(&self) {
        if self.ahead().is_some() {
            return;
        }
        let (mut store, traces) = self.idle();
        let wall = self.0.settings.describe_time;
        let (pump, _, cancelled) = inbox::open(mpsc::channel(1).1, false);
        let _ticking = self.0.machine.tick();
        let work = Box::pin(async move {
            let core = self.0.pre.instantiate_async(&mut store).await?;
            Ok::<_, wasmtime::Error>((store, core))
        });
        let made = supervise(work, pump, cancelled, clock::now() + wall, self.allowance(wall)).await;
        if let Ok(Ok((store, core))) = made {
            *self.ahead() = Some(Made { store, core, traces });
        }
    }

    /// The instance that was made ahead, or where one can be made. A question has no use for one: it is asked by name.
    fn at_hand(&self, call: Call) -> (Store<Guest>, Option<ConnectorCore>, Traces) {
        let made = if call == Call::Discover { None } else { self.ahead().take() };
        match made {
            Some(Made { store, core, traces }) => (store, Some(core), traces),
            None => {
                let (store, traces) = self.idle();
                (store, None, traces)
            }
        }
    }

    fn ahead(&self) -> MutexGuard<'_, Option<Made>> {
        self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn describe_raw(&self) -> Result<String, ConnectorFault> {
        let wall = self.0.settings.describe_time;
        let deadline = clock::now() + wall;
        let (pump, _, cancelled) = inbox::open(mpsc::channel(1).1, false);
        let (mut store, traces) = self.idle();
        let _ticking = self.0.machine.tick();
        let work = Box::pin(async {
            let instance = self.0.pre.instantiate_async(&mut store).await?;
            instance.wherry_connector_meta().call_describe(&mut store).await
        });
        let ended = supervise(work, pump, cancelled, deadline, self.allowance(wall)).await?;
        let json = ended.map_err(|error| self.broken(&error, &traces))?;
        if json.len() > DESCRIPTOR_BYTES {
            return Err(Limit::Output { bytes: json.len(), limit_bytes: DESCRIPTOR_BYTES }.into());
        }
        Ok(json)
    }

    fn allowance(&self, wall: Duration) -> Allowance {
        Allowance { wall, cpu: self.0.settings.cpu_time, cancel_grace: self.0.settings.cancel_grace }
    }

    /// A store for an instance that has nothing to do yet.
    fn idle(&self) -> (Store<Guest>, Traces) {
        let traces = Traces::new(&self.0.settings);
        let mut store = Store::new(self.0.pre.engine(), Guest::idle(&self.0.settings, &traces));
        store.limiter(|guest| &mut guest.limiter);
        store.set_hostcall_fuel(self.0.settings.hostcall_bytes);
        store.set_max_component_handles(self.0.settings.handles);
        // Yields at every tick and goes on for ever: the supervisor ends what takes too long.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(wasmtime::UpdateDeadline::Yield(1)));
        (store, traces)
    }

    /// Its whole life, up to what it leaves.
    async fn instance(
        &self,
        mut store: Store<Guest>,
        core: Option<ConnectorCore>,
        traces: &Traces,
        work: Work,
    ) -> (wasmtime::Result<Result<Outcome, Error>>, Store<Guest>) {
        let ended = match (work.task.call, &self.0.discovery) {
            (Call::Discover, Some(function)) => self.ask(&mut store, traces, work, function).await,
            (Call::Test | Call::Invoke | Call::Discover, _) => self.call(&mut store, core, traces, work).await,
        };
        store.data_mut().disengage();
        (ended, store)
    }

    async fn call(
        &self,
        store: &mut Store<Guest>,
        core: Option<ConnectorCore>,
        traces: &Traces,
        work: Work,
    ) -> wasmtime::Result<Result<Outcome, Error>> {
        let core = match core {
            Some(core) => core,
            None => self.0.pre.instantiate_async(&mut *store).await?,
        };
        let Work { task, engagement, reader, writer, cancelled, deadline } = work;
        let call = task.call;
        store.set_epoch_deadline(1);
        store.data_mut().engage(&self.0.settings, traces, engagement);
        let table = &mut store.data_mut().table;
        // Borrowed handles: the host keeps what it lends, and frees it at the end.
        let invocation = Resource::new_borrow(table.push(Invocation { task, deadline, cancelled })?.rep());
        let answer = match call {
            Call::Test => core
                .wherry_connector_activities()
                .call_test(&mut *store, invocation)
                .await?
                .map(|output| Outcome { output: Some(output), ..Outcome::default() }),
            // What is no test carries records; questions were answered above.
            Call::Invoke | Call::Discover => invoke(store, &core, invocation, reader, writer).await?,
        };
        let state = store.data_mut().state.take_changed();
        Ok(answer.map(|outcome| Outcome { state, ..outcome }))
    }

    async fn ask(
        &self,
        store: &mut Store<Guest>,
        traces: &Traces,
        work: Work,
        function: &ComponentExportIndex,
    ) -> wasmtime::Result<Result<Outcome, Error>> {
        let instance = self.0.pre.instance_pre().instantiate_async(&mut *store).await?;
        let Work { task, engagement, cancelled, deadline, .. } = work;
        store.data_mut().engage(&self.0.settings, traces, engagement);
        let question = task.params.clone();
        let invocation = store.data_mut().table.push(Invocation { task, deadline, cancelled })?;
        let invocation = Resource::new_borrow(invocation.rep());
        let answer = discovery::call(store, &instance, function, invocation, &question).await?;
        Ok(answer.map(|answer| Outcome { output: Some(answer), ..Outcome::default() }))
    }

    fn broken(&self, error: &wasmtime::Error, traces: &Traces) -> ConnectorFault {
        trap::fault(error, &self.0.settings, &traces.stderr, &traces.failure)
    }

    fn verdict(
        &self,
        ended: Result<wasmtime::Result<Result<Outcome, Error>>, ConnectorFault>,
        traces: &Traces,
        stopped: bool,
    ) -> Result<Outcome, ConnectorFault> {
        let outcome = match ended?.map_err(|error| self.broken(&error, traces))? {
            Ok(outcome) => outcome,
            Err(error) => {
                let error = trap::reported(error, &traces.failure);
                let obeyed = stopped && error.kind == ErrorKind::Cancelled;
                return Err(if obeyed { ConnectorFault::Cancelled } else { ConnectorFault::Reported(Box::new(error)) });
            }
        };
        self.check_output(outcome.output.as_deref())?;
        Ok(outcome)
    }

    fn check_output(&self, output: Option<&str>) -> Result<(), ConnectorFault> {
        let Some(output) = output else { return Ok(()) };
        let limit_bytes = self.0.settings.output_bytes;
        if output.len() > limit_bytes {
            return Err(Limit::Output { bytes: output.len(), limit_bytes }.into());
        }
        serde_json::from_str::<serde::de::IgnoredAny>(output).map(drop).map_err(|_| {
            ConnectorFault::Reported(Box::new(ConnectorError {
                kind: ErrorKind::Internal,
                code: "sandbox.output_invalid".into(),
                message: "the connector returned a document that is not JSON".into(),
                retry_after_ms: None,
                details: None,
                cause: None,
            }))
        })
    }
}

/// Calls an activity with the records that go in, or the place for those that come out.
async fn invoke(
    store: &mut Store<Guest>,
    core: &ConnectorCore,
    invocation: Resource<Invocation>,
    reader: Option<Reader>,
    writer: Option<Writer>,
) -> wasmtime::Result<Result<Outcome, Error>> {
    let table = &mut store.data_mut().table;
    let rows = reader.map(|reader| table.push(reader)).transpose()?.map(|reader| reader.rep());
    let output = writer.map(|writer| table.push(writer)).transpose()?;
    let input = rows.map(Resource::new_borrow);
    let output = output.map(|writer| Resource::new_borrow(writer.rep()));
    let outcome = core.wherry_connector_activities().call_invoke(&mut *store, invocation, input, output).await?;
    let table = &store.data().table;
    let reader = rows.map(|rows| table.get(&Resource::<Reader>::new_borrow(rows))).transpose()?;
    let input_left = reader.is_some_and(|reader| !reader.saw_end);
    Ok(outcome.map(|outcome| Outcome {
        more: matches!(outcome.status, Status::More),
        output: outcome.output,
        input_left,
        ..Outcome::default()
    }))
}
