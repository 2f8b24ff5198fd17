//! The keys of the agent's group: who belongs to it, and the private halves that open its secrets.
//!
//! ```text
//! session ── Keyring frame ──► keyring (one task, one Ring) ── KeyringReport ──► session
//!                                  │ durable, then
//!                                  ▼
//!                                Keys ──► secrets, opened at their use
//! ```
//!
//! The controller stores and carries what is in the frames. What an agent believes of it is decided here: the roster
//! must continue the one it knows, a key must fit the roster, a secret must be signed by someone the roster names.

mod error;
mod files;
mod keys;
mod left;
mod look;
mod outgoing;
mod ring;
mod secrets;
mod tend;
mod vault;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::{Mutex as AsyncMutex, mpsc};
use wherry_daemon::clock::Clock;
use wherry_domain::id::AgentId;
use wherry_proto::frame::{FromAgent, Keyring as Frame, KeyringReport};
use wherry_trust::{
    keys::{PublicKey, SigningKey},
    names::AgentIdentity,
    seal_local::LocalKey,
    sealing::{
        SealingError,
        invite::{Invite, Join},
    },
    token::EnrolmentToken,
};

pub use self::{
    error::KeyringError,
    keys::Keys,
    left::Left,
    look::{Standing, sealed_names, standing},
    outgoing::seal_to_group,
};
use self::{
    files::{Files, Joining},
    ring::{Ring, Who},
    vault::Vault,
};
use crate::paths::DataDir;

/// Frames that wait to be worked on: 32 MiB of secrets at most.
const WAITING: usize = 64;
/// How often to look for secrets that the agent's owner hands to the group.
const LOOK: Duration = Duration::from_secs(5);
/// How long after frames were lost the controller is asked for them again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the session tells. Clones share it.
#[derive(Clone)]
pub struct Keyring {
    events: mpsc::Sender<Event>,
    /// Frames did not find room and have to come again.
    lost: Arc<AtomicBool>,
    keys: Keys,
}

enum Event {
    Welcomed,
    Heard(Box<Frame>),
    /// Another process left something to send.
    Outgoing,
}

/// Works on what the session tells; see [`Service::serve`].
pub struct Service {
    dir: PathBuf,
    ring: Arc<Mutex<Ring>>,
    events: AsyncMutex<mpsc::Receiver<Event>>,
    lost: Arc<AtomicBool>,
    keys: Keys,
    clock: Clock,
    to_session: mpsc::Sender<FromAgent>,
}

/// What a keyring is opened with.
pub struct Parts {
    /// The data folder.
    pub data: DataDir,
    /// Seals private keys at rest.
    pub key: LocalKey,
    /// Which agent this is.
    pub identity: AgentIdentity,
    /// Signs what it says in the roster.
    pub identity_key: SigningKey,
    /// For the times in entries of the roster.
    pub clock: Clock,
    /// Where reports go.
    pub to_session: mpsc::Sender<FromAgent>,
}

impl Keyring {
    /// Opens what lies in the data folder.
    ///
    /// # Errors
    /// If it cannot be read, or does not hold.
    pub fn open(parts: Parts) -> Result<(Self, Service), KeyringError> {
        let Parts { data, key, identity, identity_key, clock, to_session } = parts;
        let dir = data.keyring();
        let who = Who { organisation: identity.organisation(), group: identity.group(), agent: identity.agent() };
        let ring = Ring::open(Files::open(dir.clone(), key)?, Vault::open(&dir)?, who, identity_key)?;
        let keys = Keys::new(dir.clone(), (who.organisation, who.group));
        keys.are(ring.keys());
        let (events, receiver) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicBool::new(false));
        let service = Service {
            dir,
            ring: Arc::new(Mutex::new(ring)),
            events: AsyncMutex::new(receiver),
            lost: Arc::clone(&lost),
            keys: keys.clone(),
            clock,
            to_session,
        };
        Ok((Self { events, lost, keys }, service))
    }

    /// A session began: the controller is told what is here.
    pub fn welcomed(&self) {
        self.tell(Event::Welcomed);
    }

    /// The controller says what it has. Never waits; a frame that finds no room is asked for again.
    pub fn heard(&self, frame: Frame) {
        self.tell(Event::Heard(Box::new(frame)));
    }

    /// What opens secrets.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.lost.store(true, SeqCst);
        }
    }
}

impl Service {
    /// Works until the process ends.
    ///
    /// # Errors
    /// Never.
    pub async fn serve(self: Arc<Self>) -> Result<(), Infallible> {
        let mut events = self.events.lock().await;
        loop {
            let event = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => event,
                    None => return Ok(()),
                },
                () = self.clock.sleep(LOOK) => {
                    if !outgoing::is_waiting(&self.dir) {
                        continue;
                    }
                    Event::Outgoing
                }
            };
            let report = self.work(event).await;
            self.say(report).await;
            if events.is_empty() && self.lost.swap(false, SeqCst) {
                self.clock.sleep(AGAIN).await;
                let report = self.work(Event::Welcomed).await;
                self.say(report).await;
            }
        }
    }

    /// Files are written and keys are used, so this happens on a thread of its own.
    async fn work(&self, event: Event) -> Option<KeyringReport> {
        let (ring, dir, now_ms) = (Arc::clone(&self.ring), self.dir.clone(), self.clock.wall_unix_millis());
        let worked = tokio::task::spawn_blocking(move || {
            let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            let report = match event {
                Event::Welcomed => Some(ring.begin()),
                Event::Heard(frame) => ring.heard(*frame, now_ms),
                Event::Outgoing => ring.outgoing(&dir),
            };
            (report, ring.keys())
        });
        // It is only cancelled when the process ends.
        let (report, keys) = worked.await.ok()?;
        self.keys.are(keys);
        report
    }

    async fn say(&self, report: Option<KeyringReport>) {
        if let Some(report) = report {
            // A session that is gone tells in its next one.
            drop(self.to_session.send(FromAgent::Keyring(report)).await);
        }
    }
}

/// What an agent that was just admitted needs to join its group's keys.
pub struct Admitted<'a> {
    /// What the controller passed on; empty for nothing.
    pub invite: &'a [u8],
    /// The token that the agent was admitted with.
    pub token: &'a EnrolmentToken,
    /// Who it is now.
    pub identity: &'a AgentIdentity,
    /// Its identity key.
    pub identity_key: PublicKey,
}

/// Prepares to join, before the identity counts; gives the operator who vouches, if there is one.
///
/// # Errors
/// If the invitation was not made with this token, or for another group: then the controller passed on a wrong one.
pub fn prepare(data: &DataDir, key: LocalKey, admitted: &Admitted<'_>) -> Result<Option<Invited>, KeyringError> {
    files::put_aside(&data.keyring())?;
    if admitted.invite.is_empty() {
        return Ok(None);
    }
    let files = Files::open(data.keyring(), key)?;
    let sealing = files.sealing_key()?;
    let Admitted { identity, identity_key, token, .. } = *admitted;
    let invite = Invite::from_json(admitted.invite)?;
    let token = (token.id(), token.roster_part());
    invite.check_as_holder(token, identity.organisation(), identity.group())?;
    let agent: AgentId = identity.agent();
    let join = Join::make(token, agent, identity_key, sealing.public()).map_err(SealingError::from)?;
    let invited =
        Invited { operator: *invite.operator(), fingerprint: invite.founding().map(|digest| digest.to_string()) };
    files.keep_joining(&Joining { invite, join })?;
    Ok(Some(invited))
}

/// Who vouches for a new agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The operator who made the token.
    pub operator: PublicKey,
    /// Fingerprint of the group's roster, if it has one.
    pub fingerprint: Option<String>,
}
