//! OAuth over the session: claims and copies to the controller and back, and a person's consent from it.
//!
//! ```text
//! broker ── claim, publish, wanted ──► session ──► controller ──► answer, by the number of the question
//! controller ── start, code, confirm, disconnect ──► flows ──► session
//! ```
//!
//! Whatever the controller sends is a request, never a proof: what becomes of it decides [`Flows`] alone.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wherry_daemon::{
    clock::Clock,
    tasks::{OnStop, Tasks},
};
use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::{Code, Failure},
    owner::OwnerFence,
};
use wherry_proto::{
    MAX_COPY,
    frame::{
        ConsentAddress, ConsentedAccount, FromAgent, OAuthAsked, OAuthOrder, OAuthReport, OAuthSaid, TokenCopy,
        TokenOwnership, Unshown, Wrapped,
    },
};

use super::{
    copies::{Copies, CopiesError, Copy, Intent, Ownership, PublishError},
    flow::{self, Flows, Start},
};

/// How long the controller may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Questions that may be open at once: one for each connection that is in use.
const MAX_OPEN: usize = 1_000;
/// Parts of flows that may be under way at once: each waits for a provider.
const MAX_WORK: usize = 8;
/// Too many flows at once.
const BUSY: Code = Code::new("agent.busy");
/// This agent was started without the part that does it.
const UNABLE: Code = Code::new("connection.agent_too_old");
/// The tokens are too long to be copied.
const TOO_LARGE: Code = Code::new("oauth.copy_too_large");

/// The way to the controller for everything about tokens. Clones share it.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    clock: Clock,
    tasks: Tasks,
    to_session: mpsc::Sender<FromAgent>,
    connected: AtomicBool,
    next: AtomicU64,
    open: Mutex<HashMap<u64, oneshot::Sender<OAuthAsked>>>,
    flows: OnceLock<Arc<dyn Flows>>,
    work: Arc<Semaphore>,
}

impl Link {
    /// Over a session that is not there yet.
    pub fn new(clock: Clock, tasks: Tasks, to_session: mpsc::Sender<FromAgent>) -> Self {
        Self(Arc::new(Inner {
            clock,
            tasks,
            to_session,
            connected: AtomicBool::new(false),
            next: AtomicU64::new(1),
            open: Mutex::default(),
            flows: OnceLock::new(),
            work: Arc::new(Semaphore::new(MAX_WORK)),
        }))
    }

    /// Who does what the controller asks; told once.
    pub fn serve(&self, flows: Arc<dyn Flows>) {
        if self.0.flows.set(flows).is_err() {
            tracing::error!("the flows of oauth were set twice");
        }
    }

    /// A session began or ended; whatever was asked in the one before is not answered any more.
    pub fn connected(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::SeqCst);
        if !connected {
            self.open().clear();
        }
    }

    /// The controller said something.
    pub fn heard(&self, order: OAuthOrder) {
        let OAuthOrder { connection, request, asked } = order;
        match asked {
            OAuthAsked::Ownership(_) | OAuthAsked::Published { .. } | OAuthAsked::Newer(_) | OAuthAsked::Refused(_) => {
                if let Some(waiting) = self.open().remove(&request) {
                    // Whoever asked may have given up.
                    drop(waiting.send(asked));
                }
            }
            OAuthAsked::RefreshWanted { generation, deployment } => {
                let open = self.0.flows.get().is_none_or(|flows| flows.refresh_wanted(&connection, generation));
                if !open && deployment.is_some() {
                    self.work(connection, request, asked);
                }
            }
            OAuthAsked::Start { .. }
            | OAuthAsked::Code { .. }
            | OAuthAsked::SealedCode { .. }
            | OAuthAsked::Confirm { .. }
            | OAuthAsked::Disconnect { .. } => {
                self.work(connection, request, asked);
            }
        }
    }

    /// Does a part of a flow beside the session, and tells what came of it.
    fn work(&self, connection: ConnectionPath, request: u64, asked: OAuthAsked) {
        let Some(flows) = self.0.flows.get().cloned() else {
            let failure = Failure::permanent(UNABLE, "this agent cannot do three-legged OAuth");
            return self.refuse(connection, request, &asked, failure);
        };
        let Ok(place) = Arc::clone(&self.0.work).try_acquire_owned() else {
            let failure = Failure::retry(BUSY, "this agent connects other accounts just now: try again in a moment");
            return self.refuse(connection, request, &asked, failure);
        };
        let link = self.clone();
        self.0.tasks.work(format!("oauth of {connection}"), on_stop(&asked), async move {
            let said = perform(flows.as_ref(), &connection, asked).await;
            if let Some(said) = said {
                link.tell(connection, request, said);
            }
            drop(place);
            Ok::<(), Infallible>(())
        });
    }

    fn refuse(&self, connection: ConnectionPath, request: u64, asked: &OAuthAsked, failure: Failure) {
        let said = match asked {
            OAuthAsked::Start { flow, .. } => OAuthSaid::Started { flow: *flow, result: Err(failure) },
            OAuthAsked::Code { flow, .. } | OAuthAsked::SealedCode { flow, .. } => {
                OAuthSaid::Redeemed { flow: *flow, result: Err(failure) }
            }
            OAuthAsked::Confirm { flow, .. } => OAuthSaid::Kept { flow: *flow, result: Err(failure) },
            OAuthAsked::Disconnect { .. } => OAuthSaid::Disconnected(Err(failure)),
            OAuthAsked::Ownership(_)
            | OAuthAsked::Published { .. }
            | OAuthAsked::Newer(_)
            | OAuthAsked::RefreshWanted { .. }
            | OAuthAsked::Refused(_) => return,
        };
        self.tell(connection, request, said);
    }

    /// Says something; `false` if nobody hears it.
    fn tell(&self, connection: ConnectionPath, request: u64, said: OAuthSaid) -> bool {
        let report = OAuthReport { connection, request, said };
        self.0.connected.load(Ordering::SeqCst) && self.0.to_session.try_send(FromAgent::OAuth(report)).is_ok()
    }

    async fn ask(&self, connection: &ConnectionPath, said: OAuthSaid) -> Result<OAuthAsked, CopiesError> {
        let request = self.0.next.fetch_add(1, Ordering::SeqCst);
        let (sender, answer) = oneshot::channel();
        {
            let mut open = self.open();
            open.retain(|_, waiting| !waiting.is_closed());
            if open.len() >= MAX_OPEN {
                return Err(CopiesError::Offline);
            }
            open.insert(request, sender);
        }
        if !self.tell(connection.clone(), request, said) {
            self.open().remove(&request);
            return Err(CopiesError::Offline);
        }
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(OAuthAsked::Refused(failure))) => Err(CopiesError::Refused(failure)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => {
                self.open().remove(&request);
                Err(CopiesError::Offline)
            }
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<OAuthAsked>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn claimed(&self, path: &ConnectionPath, have: u64, intent: Intent) -> Result<Ownership, CopiesError> {
        let sent = self.0.clock.now();
        let answer = self.ask(path, OAuthSaid::Claim { have, intent }).await?;
        let OAuthAsked::Ownership(ownership) = answer else { return Err(CopiesError::Offline) };
        let TokenOwnership { owner, fence, good_for, generation, newest, in_doubt, holder } = ownership;
        let until = sent.plus(good_for);
        Ok(Ownership { owner, fence, until, generation, newest: newest.map(copied), in_doubt, holder })
    }

    async fn published(
        &self,
        path: &ConnectionPath,
        fence: OwnerFence,
        generation: u64,
        sealed: Vec<u8>,
    ) -> Result<(), PublishError> {
        if sealed.len() > MAX_COPY {
            let message = format!("these tokens take {} bytes, at most {MAX_COPY} are copied", sealed.len());
            return Err(PublishError::Copies(CopiesError::Refused(Failure::permanent(TOO_LARGE, message))));
        }
        let said = OAuthSaid::Publish { fence, generation, sealed: Wrapped(sealed) };
        match self.ask(path, said).await.map_err(PublishError::Copies)? {
            OAuthAsked::Published { accepted: true, .. } => Ok(()),
            OAuthAsked::Published { accepted: false, generation, newest } => {
                Err(PublishError::Conflict { newest: newest.map(copied), generation })
            }
            OAuthAsked::Ownership(_)
            | OAuthAsked::Newer(_)
            | OAuthAsked::RefreshWanted { .. }
            | OAuthAsked::Refused(_)
            | OAuthAsked::Start { .. }
            | OAuthAsked::Code { .. }
            | OAuthAsked::SealedCode { .. }
            | OAuthAsked::Confirm { .. }
            | OAuthAsked::Disconnect { .. } => Err(PublishError::Copies(CopiesError::Offline)),
        }
    }
}

impl Copies for Link {
    fn claim<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        have: u64,
        intent: Intent,
    ) -> BoxFuture<'a, Result<Ownership, CopiesError>> {
        Box::pin(self.claimed(connection, have, intent))
    }

    fn publish<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        fence: OwnerFence,
        generation: u64,
        sealed: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(self.published(connection, fence, generation, sealed))
    }

    fn wanted<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        generation: u64,
    ) -> BoxFuture<'a, Result<Copy, CopiesError>> {
        Box::pin(async move {
            match self.ask(connection, OAuthSaid::Wanted { generation }).await? {
                OAuthAsked::Newer(newest) => Ok(copied(newest)),
                OAuthAsked::Ownership(_)
                | OAuthAsked::Published { .. }
                | OAuthAsked::RefreshWanted { .. }
                | OAuthAsked::Refused(_)
                | OAuthAsked::Start { .. }
                | OAuthAsked::Code { .. }
                | OAuthAsked::SealedCode { .. }
                | OAuthAsked::Confirm { .. }
                | OAuthAsked::Disconnect { .. } => Err(CopiesError::Offline),
            }
        })
    }

    fn trouble(&self, connection: &ConnectionPath, trouble: Option<Failure>) {
        // Nobody waits for it: the next time it is told again.
        let _ = self.tell(connection.clone(), 0, OAuthSaid::State(trouble));
    }
}

/// A code and a word of the person count once: what became of them is written down before the process ends.
const fn on_stop(asked: &OAuthAsked) -> OnStop {
    match asked {
        OAuthAsked::Code { .. } | OAuthAsked::SealedCode { .. } | OAuthAsked::Confirm { .. } => OnStop::Finish,
        OAuthAsked::Start { .. }
        | OAuthAsked::Disconnect { .. }
        | OAuthAsked::Ownership(_)
        | OAuthAsked::Published { .. }
        | OAuthAsked::Newer(_)
        | OAuthAsked::RefreshWanted { .. }
        | OAuthAsked::Refused(_) => OnStop::Cancel,
    }
}

/// Does what the controller asks; `None` for what is no part of a flow.
async fn perform(flows: &dyn Flows, connection: &ConnectionPath, asked: OAuthAsked) -> Option<OAuthSaid> {
    Some(match asked {
        OAuthAsked::Start { flow, deployment, redirect_uri } => {
            let start = Start { flow, connection: connection.clone(), deployment, redirect_uri };
            let result = flows.start(start).await.map(|started| ConsentAddress {
                url: started.url,
                state_hash: Digest::from_bytes(started.state_hash),
                opens_sealed: true,
            });
            OAuthSaid::Started { flow, result }
        }
        OAuthAsked::Code { flow, code: Unshown(code), state: Unshown(state), iss } => {
            let code = flow::Code { flow, code: SecretString::from(code), state: SecretString::from(state), iss };
            OAuthSaid::Redeemed { flow, result: flows.redeem(code).await.map(consented) }
        }
        OAuthAsked::SealedCode { flow, sealed } => {
            OAuthSaid::Redeemed { flow, result: flows.redeem_sealed(flow, sealed.0).await.map(consented) }
        }
        OAuthAsked::Confirm { flow, accepted } => OAuthSaid::Kept { flow, result: flows.confirm(flow, accepted).await },
        OAuthAsked::Disconnect { deployment } => {
            OAuthSaid::Disconnected(flows.disconnect(connection, deployment).await)
        }
        OAuthAsked::RefreshWanted { generation, deployment } => {
            if let Err(failure) = flows.open_and_refresh(connection, generation, deployment?).await {
                // Whoever wants them asks again, and is told in the end that nothing came.
                tracing::warn!(%connection, %failure, "another agent needs newer tokens, but they cannot be opened here");
            }
            return None;
        }
        OAuthAsked::Ownership(_) | OAuthAsked::Published { .. } | OAuthAsked::Newer(_) | OAuthAsked::Refused(_) => {
            return None;
        }
    })
}

fn consented(done: flow::Done) -> ConsentedAccount {
    ConsentedAccount { label: done.label, scope: done.scope, expires_in: done.expires_in }
}

fn copied(copy: TokenCopy) -> Copy {
    Copy { generation: copy.generation, sealed: copy.sealed.0 }
}

#[cfg(test)]
mod tests;
