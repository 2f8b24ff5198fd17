//! Puts the parts of an agent together and runs them to their end.

mod error;
mod records;

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    runtime::{Handle, Runtime},
    sync::mpsc,
};
use wherry_daemon::{
    clock::Clock,
    exit::Exit,
    ids, notify,
    redaction::Redactor,
    shutdown::Shutdown,
    store::StoreStats,
    tasks::{OnError, OnStop, Tasks},
};
use wherry_domain::name::Name;
use wherry_host::HostSettings;
use wherry_proto::frame::FromAgent;
use wherry_trust::keys::SigningKey;

pub use self::error::AppError;
use self::records::open_journal;
use crate::{
    certificates::FileRules,
    config::Config,
    connectors::{Chain, ChainFileError, ChainSettings, ConnectorSettings, Connectors, Walls},
    controller::Controller,
    deployments::{Demand, Deployments},
    egress::{EgressSettings, Endpoints},
    executor::{self, Executor},
    identity::{Identity, Renewal, renew_when_due},
    journal::Journal,
    keyring::{self, Keyring, Keys, Left},
    link::Address,
    oauth::{self, OAuth, link::Link, shared::Shared},
    paths::DataDir,
    policy::Policy,
    presence::Presence,
    runs::{Runs, StopCause},
    secrets::{self, Secrets},
    session::{self, Session},
    slots::Slots,
    transforms::Transforms,
};

/// How long runs may take to let go at the very end.
const LET_GO: Duration = Duration::from_secs(2);
/// Instances of connectors that one run may have at the same time: its target up to sixteen times.
const INSTANCES_PER_RUN: usize = 18;
/// Most instances for which room is kept: 8 GiB of address space each, of the 128 TiB there are.
const MOST_INSTANCES: usize = 4_096;

/// An agent that is ready to run.
pub struct App {
    ground: Ground,
    session: Session,
    renewal: Renewal,
    presence: Presence,
    /// Held so that runs have somewhere to run.
    guests: Runtime,
}

/// What differs between the real process and tests.
pub struct Surroundings {
    /// The clock.
    pub clock: Clock,
    /// When to stop.
    pub shutdown: Shutdown,
    /// The program that compiles connectors.
    pub compiler: PathBuf,
    /// Told of the secrets in use, which must not be logged.
    pub redactor: Redactor,
}

/// What several parts hold a handle to.
#[derive(Clone)]
struct Ground {
    clock: Clock,
    shutdown: Shutdown,
    tasks: Tasks,
    policy: Policy,
    journal: Arc<Journal>,
    runs: Runs,
    slots: Slots,
    secrets: Arc<Secrets>,
    keyring: Keyring,
    left: Left,
    oauth: OAuth,
    link: Link,
    controller: Controller,
    chain: Chain,
}

impl App {
    /// Opens everything; nothing is dialled yet.
    ///
    /// # Errors
    /// With the first part that cannot be opened.
    pub async fn build(config: &Config, surroundings: Surroundings) -> Result<Self, AppError> {
        let Surroundings { clock, shutdown, compiler, redactor } = surroundings;
        let identity = Identity::load(&config.data)?;
        let url = config.controller_url.as_ref().unwrap_or(&identity.note().url);
        let address = Arc::new(Address::parse(url, config.controller_proxy.clone())?);
        let name = config.name.clone().unwrap_or_else(|| identity.note().name.clone());
        let presence = Presence::new(&config.data, identity.note().agent_id, name.clone());
        let (to_session, from_runs) = session::queue();
        let ring = ring(&config.data, &identity, clock.clone(), to_session.clone())?;
        let ground =
            Ground::open(config, (clock, shutdown), redactor, ring, (identity.identity_key()?, to_session.clone()))
                .await?;
        let transforms = Transforms::new(config.data.clone(), compiler.clone(), ground.tasks.clone());
        let guests = guest_runtime()?;
        let connectors = match ground.connectors(config, compiler, guests.handle()) {
            Ok(connectors) => connectors,
            Err(error) => {
                guests.shutdown_background();
                return Err(error);
            }
        };
        connectors.trust(&identity.note().publishers);
        ground.tasks.work("walls", OnStop::Cancel, presence.clone().note_walls(connectors.missing_walls()));
        let (stock, stock_speaks) = (connectors.clone(), to_session.clone());
        ground
            .tasks
            .service("connectors", OnError::Restart, OnStop::Cancel, move || stock.clone().tend(stock_speaks.clone()));
        let executor = ground.executor(config, name, (connectors, transforms), guests.handle().clone(), to_session)?;
        ground.link.serve(ground.oauth.flows(executor.deployed())?);
        let renewal = Renewal::new(config.data.clone(), Arc::clone(&address), ground.clock.clone(), identity);
        let Ground { clock, shutdown, journal, runs, slots, secrets, keyring, link, controller, chain, .. } =
            ground.clone();
        let session = Session::new(session::Parts {
            clock,
            shutdown,
            instance: ids::new_id(),
            address,
            renewal: renewal.clone(),
            journal,
            runs,
            slots,
            executor: Arc::new(executor),
            secrets,
            keyring,
            oauth: link,
            controller,
            chain,
            presence: presence.clone(),
            from_runs,
        });
        Ok(Self { ground, session, renewal, presence, guests })
    }

    /// Runs until the process is asked to stop and everything is said, or until the grace period is over. Gives back
    /// the runtime of the runs, which must not be dropped inside another one.
    pub async fn run(self) -> (Exit, Runtime) {
        let Self { ground, session, renewal, presence, guests } = self;
        let Ground { shutdown, tasks, journal, runs, .. } = ground;
        tasks.service("renewal", OnError::Restart, OnStop::Cancel, move || renew_when_due(renewal.clone()));
        tasks.work("runs", OnStop::Finish, stop_runs(shutdown.clone(), runs.clone()));
        session.run().await;
        notify::stopping();
        shutdown.stop("the session is over", Exit::Success);
        runs.stop_all(StopCause::ProcessEnds);
        tasks.finish().await;
        // Whatever does not let go is dropped with the runtime; its record says STARTED, and the next process reports
        // it.
        drop(tokio::time::timeout(LET_GO, runs.idle()).await);
        presence.gone();
        let StoreStats { commits, records, syncs, sync_micros, .. } = journal.stats();
        tracing::info!(commits, records, syncs, sync_micros, "the agent ends");
        (shutdown.exit(), guests)
    }
}

impl Ground {
    async fn open(
        config: &Config,
        (clock, shutdown): (Clock, Shutdown),
        redactor: Redactor,
        (keyring, service): (Keyring, keyring::Service),
        (signer, to_session): (SigningKey, mpsc::Sender<FromAgent>),
    ) -> Result<Self, AppError> {
        let policy = Policy::open(config.policy.clone(), clock.wall_unix_millis())?;
        let tasks = Tasks::new(shutdown.clone());
        let (kept, looked_at, note) = (policy.clone(), clock.clone(), config.data.policy_note());
        tasks.service("policy", OnError::Restart, OnStop::Cancel, move || {
            kept.clone().keep(looked_at.clone(), note.clone())
        });
        let journal = Arc::new(open_journal(config, &clock, &tasks).await?);
        let key = secrets::local_key(&config.data.local_key())?;
        let secrets = Secrets::new(config.data.secrets(), key).with_keys(keyring.keys()).redacted_by(redactor);
        let service = Arc::new(service);
        tasks.service("keyring", OnError::Restart, OnStop::Cancel, move || Arc::clone(&service).serve());
        let link = Link::new(clock.clone(), tasks.clone(), to_session);
        let signer = Arc::new(signer);
        let left = Left::new(keyring.keys(), Arc::clone(&signer));
        let group = Shared::new(keyring.keys(), signer);
        let oauth = oauth(config, (&clock, &tasks), (&link, group), &policy)?;
        let controller = Controller::default();
        let chain = open_chain(config, &clock, keyring.keys(), (controller.clone(), policy.clone()))?;
        let slots = Slots::new(config.slots, policy.clone(), clock.clone());
        let serving = chain.clone();
        tasks.service("catalogue", OnError::Restart, OnStop::Cancel, move || serving.clone().serve());
        Ok(Self {
            clock,
            tasks,
            shutdown,
            journal,
            runs: Runs::default(),
            slots,
            policy,
            secrets: Arc::new(secrets),
            keyring,
            left,
            oauth,
            link,
            controller,
            chain,
        })
    }

    fn connectors(&self, config: &Config, compiler: PathBuf, guests: &Handle) -> Result<Connectors, AppError> {
        let settings = HostSettings { instances: instances(config.slots), ..HostSettings::default() };
        Ok(Connectors::open(ConnectorSettings {
            data: config.data.clone(),
            key: secrets::local_key(&config.data.local_key())?,
            walls: Walls::new(config.workers.clone(), settings, &compiler, guests)?,
            compiler,
            only: config.publishers.clone(),
            policy: self.policy.clone(),
            slots: self.slots.clone(),
            controller: self.controller.clone(),
            tasks: self.tasks.clone(),
            clock: self.clock.clone(),
            locks: Arc::new(self.chain.clone()),
        })?)
    }

    fn executor(
        &self,
        config: &Config,
        name: Name,
        (connectors, transforms): (Connectors, Transforms),
        runtime: Handle,
        to_session: mpsc::Sender<FromAgent>,
    ) -> Result<Executor, AppError> {
        Ok(Executor::new(executor::Parts {
            name,
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            shutdown: self.shutdown.clone(),
            runtime,
            journal: Arc::clone(&self.journal),
            runs: self.runs.clone(),
            slots: self.slots.clone(),
            deployments: Deployments::open(&config.data, self.controller.clone(), demand(&self.policy))?,
            connectors,
            transforms,
            endpoints: Endpoints::new(egress(config, &self.policy)).with_secrets(Arc::clone(&self.secrets)),
            secrets: Arc::clone(&self.secrets),
            tokens: Arc::new(self.oauth.clone()),
            left: self.left.clone(),
            answers: config.answers.clone(),
            policy: self.policy.clone(),
            to_session,
        }))
    }
}

/// The tokens of connections.
fn oauth(
    config: &Config,
    (clock, tasks): (&Clock, &Tasks),
    (link, group): (&Link, Shared),
    policy: &Policy,
) -> Result<OAuth, AppError> {
    Ok(OAuth::open(oauth::Parts {
        data: config.data.clone(),
        locations: config.locations.clone(),
        files: egress(config, policy).files,
        key: secrets::local_key(&config.data.local_key())?,
        clock: clock.clone(),
        tasks: tasks.clone(),
        copies: Arc::new(link.clone()),
        group: Arc::new(group),
    })?)
}

/// The owner's settings for traffic, narrowed by the policy.
fn egress(config: &Config, policy: &Policy) -> EgressSettings {
    let files = FileRules { policy: policy.clone(), ..config.egress.files.clone() };
    EgressSettings { files, policy: policy.clone(), ..config.egress.clone() }
}

/// Whose signature a deployment needs now, if the owner demands one.
fn demand(policy: &Policy) -> Demand {
    let policy = policy.clone();
    Arc::new(move || {
        let rules = policy.rules();
        rules.deployments().require_signed().then(|| rules.deployments().operators().into())
    })
}

/// The keys of the group, with what works on them.
fn ring(
    data: &DataDir,
    identity: &Identity,
    clock: Clock,
    to_session: mpsc::Sender<FromAgent>,
) -> Result<(Keyring, keyring::Service), AppError> {
    Ok(Keyring::open(keyring::Parts {
        data: data.clone(),
        key: secrets::local_key(&data.local_key())?,
        identity: identity.name()?,
        identity_key: identity.identity_key()?,
        clock,
        to_session,
    })?)
}

/// Instances for which the host keeps room: every run has a source, a transformation and a target, and a target may be
/// there many times. One more is made ahead.
fn instances(slots: u32) -> usize {
    let running = usize::try_from(slots).unwrap_or(MOST_INSTANCES).saturating_mul(INSTANCES_PER_RUN);
    running.saturating_add(1).min(MOST_INSTANCES)
}

/// Ends the runs that are left when the grace period is over.
async fn stop_runs(shutdown: Shutdown, runs: Runs) -> Result<(), Infallible> {
    let finished = async {
        shutdown.stopping().await;
        runs.idle().await;
    };
    tokio::select! {
        () = shutdown.cancelled() => runs.stop_all(StopCause::ProcessEnds),
        () = finished => {}
    }
    Ok(())
}

/// Runs get threads of their own, one less than the machine has, so that heartbeats never wait for a connector.
fn guest_runtime() -> Result<Runtime, std::io::Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("guests")
        .worker_threads(cores.saturating_sub(1).max(1))
        .enable_all()
        .build()
}

fn open_chain(
    config: &Config,
    clock: &Clock,
    keys: Keys,
    (controller, policy): (Controller, Policy),
) -> Result<Chain, ChainFileError> {
    let (path, organisation) = (config.data.catalogue(), keys.organisation());
    Chain::open(ChainSettings { path, organisation, clock: clock.clone(), keys, controller, policy })
}
