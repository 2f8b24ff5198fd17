//! The ledger on the embedded store: one writer that decides, stores, then acts.
//!
//! ```text
//! handle ─ job ─► turn: decide in memory ─► durable commit ─► frames, replies, wake-ups
//! ```
//!
//! Jobs that arrive while a commit is under way share the next one, so the number of syncs follows
//! the disk and not the load. A job either changes nothing and is refused, or everything it changed
//! is durable before its reply is sent. Reads that callers wait for are the one exception: see `settling`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc, oneshot};
use wherry_daemon::{
    clock::Clock,
    store::{Batch, SharedStore, StoreError, files::FileStore},
};

mod access;
mod actions;
mod agents;
mod aliases;
mod applications;
mod asks;
mod audit;
mod catalogue;
mod changes;
mod classes;
mod connectors;
mod consents;
mod definitions;
mod delivery;
mod deployments;
mod descriptors;
mod directory;
mod enrolment;
mod files;
mod fitness;
mod frames;
mod freshen;
mod history;
mod inventory;
mod keyring;
mod load;
mod logs;
mod memories;
mod owners;
mod place;
mod policies;
mod programs;
mod query;
mod recall;
mod refusal;
mod results;
mod retention;
mod rollouts;
mod runs;
mod schemas;
mod seats;
mod sessions;
mod settling;
mod signing;
mod state;
mod submit;
mod turn;
mod undeploy;
mod upgrades;

pub use access::Caller;
pub use actions::{Call, Calling, Passed};
pub use agents::AgentView;
pub use aliases::{MappingView, Said};
pub use asks::{Answered, Inquiry};
pub use catalogue::{PublishersView, RevokedPublisher};
pub use consents::{BACK, Back, Connectedness, FlowView, NewFlow};
pub use deployments::{Asked, Deployed};
pub use directory::Directory;
pub(crate) use enrolment::TOKEN_INVALID;
pub use enrolment::{Admission, EnrolRequest};
pub use freshen::Freshened;
pub use inventory::{Differing, Placement, Readiness, StockView};
pub use keyring::{RosterView, SecretView};
pub(crate) use load::GENERATION;
pub use policies::PolicyView;
pub use query::{Page, RunFilter, STATES, Totals, state_word};
pub use refusal::{Kind, Refusal};
pub use runs::Watch;
pub use sessions::Opened;
pub use signing::{Signature, signers};
pub use state::{Settings, State};
pub use submit::{Idempotency, Submission, Submitted};
pub use turn::Turn;
pub use upgrades::{Changes, LockedView, Move, Moved, Plan, Stand, Wish};

use settling::Settling;
use turn::Decided;

/// Jobs that wait for the writer; a full queue is the answer "busy".
const INBOX: usize = 4_096;
/// Jobs that share one commit.
const TURN: usize = 512;

type Finish = Box<dyn FnOnce(Result<(), Refusal>) + Send>;
type Work = Box<dyn FnOnce(&mut Turn<'_>) -> Finish + Send>;

struct Job {
    needs: Needs,
    work: Work,
}

/// What there has to be for a job.
#[derive(Clone, Copy, Default)]
struct Needs {
    /// Everything that was decided before is in the store.
    settled: bool,
    /// New work is refused while the disk is nearly full; everything else may use the reserve.
    room: bool,
}

/// A handle to the ledger; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    jobs: mpsc::Sender<Job>,
    /// Access tokens, and names for people.
    pub directory: Directory,
    /// Snapshots and components by digest.
    pub files: Arc<FileStore>,
    /// The store, for copies and counters.
    pub store: SharedStore,
    writing: Arc<Mutex<()>>,
    asking: Arc<Semaphore>,
    ready: Arc<descriptors::Ready>,
}

/// The writer; [`Engine::run`] is its life.
pub struct Engine {
    state: State,
    store: SharedStore,
    clock: Clock,
    inbox: mpsc::Receiver<Job>,
    settling: Settling,
}

impl Ledger {
    /// Reads everything back and gives the writer and a handle to it.
    ///
    /// # Errors
    /// If the store cannot be read or was written by a newer version.
    pub fn open(
        store: SharedStore,
        files: Arc<FileStore>,
        clock: Clock,
        settings: Settings,
    ) -> Result<(Self, Engine), StoreError> {
        let state = load::load(store.as_ref(), &files, &clock, settings)?;
        let (jobs, inbox) = mpsc::channel(INBOX);
        let directory = state.directory.clone();
        let (writing, asking) = (Arc::default(), asks::places());
        let ready = Arc::default();
        let ledger = Self { jobs, directory, files, store: Arc::clone(&store), writing, asking, ready };
        Ok((ledger, Engine { state, store, clock, inbox, settling: Settling::default() }))
    }

    /// Does `work` in a turn of the writer; answers once it is durable.
    pub(crate) async fn act<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        self.queue(Needs { settled: true, room: false }, work).await
    }

    /// As [`Ledger::act`], for work that begins something: refused while the disk is nearly full.
    pub(crate) async fn begin<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        self.queue(Needs { settled: true, room: true }, work).await
    }

    /// As [`Ledger::act`], for work that reads nothing that may be on its way to the store.
    pub(crate) async fn glance<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        self.queue(Needs::default(), work).await
    }

    /// As [`Ledger::glance`], for work that begins something: refused while the disk is nearly full.
    pub(crate) async fn begin_reading<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        self.queue(Needs { settled: false, room: true }, work).await
    }

    /// Does `work` without anyone waiting for the answer; it reads nothing that may be on its way to the store.
    pub(crate) async fn tell(&self, work: impl FnOnce(&mut Turn<'_>) + Send + 'static) -> Result<(), Refusal> {
        let work: Work = Box::new(move |turn| {
            work(turn);
            Box::new(|_| ())
        });
        self.jobs.send(Job { needs: Needs::default(), work }).await.map_err(|_| Refusal::stopping())
    }

    async fn queue<R: Send + 'static>(
        &self,
        needs: Needs,
        work: impl FnOnce(&mut Turn<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |turn| {
            let result = if needs.room && !turn.has_room { Err(Refusal::full()) } else { work(turn) };
            Box::new(move |stored: Result<(), Refusal>| {
                // Nobody waits any more: the caller hung up, which changes nothing here.
                let _ = reply.send(stored.and(result));
            })
        });
        self.jobs.try_send(Job { needs, work }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::busy(),
            mpsc::error::TrySendError::Closed(_) => Refusal::stopping(),
        })?;
        answer.await.unwrap_or_else(|_| Err(Refusal::stopping()))
    }
}

impl Engine {
    /// Works until every handle is gone.
    ///
    /// # Errors
    /// If the store fails: nothing is acknowledged any more and the process has to restart.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let mut jobs = Vec::with_capacity(TURN);
        loop {
            let wait = self.state.next_deadline().map_or(Duration::from_secs(60), |at| at.since(self.clock.now()));
            tokio::select! {
                biased;
                settled = self.settling.next(self.store.as_ref()) => {
                    self.state.acknowledge(settled?);
                    continue;
                }
                taken = self.inbox.recv_many(&mut jobs, TURN) => if taken == 0 { return self.settle().await },
                () = tokio::time::sleep(wait) => (),
            }
            self.turn(&mut jobs).await?;
        }
    }

    async fn turn(&mut self, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        if self.settling.is_full() || jobs.iter().any(|job| job.needs.settled) {
            self.settle().await?;
        }
        let has_room = !jobs.iter().any(|job| job.needs.room) || self.store.has_room();
        let mut turn = Turn::new(&mut self.state, self.store.as_ref(), &self.clock, has_room);
        let mut replies = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            replies.push((job.work)(&mut turn));
            turn.seam();
        }
        turn.tick();
        turn.place();
        let Decided { commits, mut outgoing, waits } = turn.finish()?;
        let stored = if waits {
            self.settling.let_go(self.store.as_ref());
            commit(self.store.as_ref(), commits).await
        } else {
            self.settling.hold(commits, std::mem::take(&mut outgoing.acks));
            Ok(())
        };
        let refusal = stored.as_ref().copied().map_err(|_| Refusal::stopping());
        if stored.is_ok() {
            outgoing.perform(&mut self.state);
        }
        for reply in replies {
            reply(refusal.clone());
        }
        stored
    }
}

/// A refusal here would leave memory ahead of the disk, so whatever goes wrong is final.
async fn commit(store: &dyn wherry_daemon::store::Store, commits: Vec<Batch>) -> Result<(), StoreError> {
    for batch in commits {
        store.commit(batch.essential()).await?;
    }
    Ok(())
}
