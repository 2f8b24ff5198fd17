//! What is written down of a consent while it is under way, sealed: it survives the process, and nobody else reads it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use wherry_daemon::clock::Clock;
use wherry_domain::{connection::ConnectionPath, digest::Digest, failure::Failure, id::FlowId};
use wherry_trust::seal_local::LocalKey;
use zeroize::Zeroizing;

use crate::{
    auth::AuthFailure,
    oauth::{
        folder::{Folder, FolderError},
        place::{PlaceError, Places},
        settings::Settings,
        trouble::Trouble,
    },
};

/// How long a consent may take, from the click to the word of the person.
pub(super) const LIFE_MS: u64 = 10 * 60 * 1_000;
/// Most consents under way: one for each connection that somebody looks after right now.
const MOST: usize = 100;

/// How far a consent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// A person is at the provider.
    Started,
    /// The code is being redeemed: it is never sent again.
    Redeeming,
    /// The tokens wait for the person's word.
    Redeemed,
    /// It came: they are being kept or revoked, and nowhere else any more.
    Settling,
}

/// One consent.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) flow: FlowId,
    pub(super) connection: ConnectionPath,
    pub(super) deployment: Digest,
    pub(super) redirect_uri: String,
    pub(super) verifier: String,
    pub(super) nonce: String,
    /// SHA-256 of the `state`.
    pub(super) state: [u8; 32],
    /// What holds until the end, whatever is deployed meanwhile.
    pub(super) issuer: String,
    pub(super) token_url: String,
    pub(super) client_id: String,
    pub(super) begun_ms: u64,
    pub(super) stage: Stage,
    /// The tokens, in their own form as base64url.
    pub(super) tokens: String,
}

impl Record {
    /// Whether the connection still has the provider and the client that the consent began with.
    pub(super) fn is_of(&self, settings: &Settings) -> bool {
        let oauth = settings.oauth();
        settings.token_url().is_ok_and(|url| url.as_str() == self.token_url)
            && oauth.client_id == self.client_id
            && oauth.issuer == self.issuer
    }
}

/// All consents under way.
pub(super) struct Records {
    folder: Folder,
    key: Arc<LocalKey>,
    clock: Clock,
    turn: Mutex<()>,
}

impl Records {
    pub(super) fn open(places: &Places, key: Arc<LocalKey>, clock: Clock) -> Result<Self, PlaceError> {
        let records = Self { folder: places.shared("flows")?, key, clock, turn: Mutex::default() };
        records.sweep();
        Ok(records)
    }

    /// Forgets what is over: a consent that nobody confirmed has tokens in it.
    fn sweep(&self) {
        for name in self.folder.names(2 * MOST).unwrap_or_default() {
            let flow: Option<FlowId> = name.parse().ok();
            if let Some(flow) = flow.filter(|flow| self.get(*flow).is_none()) {
                self.remove(flow);
            }
        }
    }

    /// Writes a new one down, and forgets what is over or was of the same connection.
    pub(super) fn begin(&self, record: Record) -> Result<(), AuthFailure> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = record.connection.clone();
        let failed = |error: FolderError| Trouble::Storage(error.to_string()).failure(&connection);
        let names = self.folder.names(2 * MOST).map_err(failed)?;
        let mut others = 0;
        for name in names {
            let known = name.parse().ok().and_then(|flow| self.get(flow));
            if known.is_some_and(|known| known.connection != connection) {
                others += 1;
            } else {
                self.folder.remove(&name).map_err(failed)?;
            }
        }
        if others >= MOST {
            return Err(Trouble::Storage(format!("{MOST} consents are under way on this agent")).failure(&connection));
        }
        self.write(&record).map_err(failed)
    }

    /// The record of a flow that is not over.
    pub(super) fn get(&self, flow: FlowId) -> Option<Record> {
        let sealed = self.folder.read(&flow.to_string()).ok().flatten()?;
        let plain = self.key.open(&associated(flow), &sealed).ok()?;
        let record: Record = serde_json::from_slice(&plain).ok()?;
        let age = self.clock.wall_unix_millis().saturating_sub(record.begun_ms);
        (record.flow == flow && age < LIFE_MS).then_some(record)
    }

    /// From one stage to the next, durably; whether it was at the first.
    pub(super) fn advance(&self, flow: FlowId, from: Stage, to: Stage, tokens: String) -> Result<bool, Failure> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = self.get(flow).filter(|record| record.stage == from) else { return Ok(false) };
        let next = Record { stage: to, tokens, ..record };
        let failed = |error: FolderError| Trouble::Storage(error.to_string()).failure(&next.connection).failure();
        self.write(&next).map_err(failed)?;
        Ok(true)
    }

    /// Forgets one.
    pub(super) fn remove(&self, flow: FlowId) {
        if let Err(error) = self.folder.remove(&flow.to_string()) {
            tracing::warn!(%flow, %error, "the record of a consent is left behind");
        }
    }

    fn write(&self, record: &Record) -> Result<(), FolderError> {
        let text = Zeroizing::new(serde_json::to_vec(record).unwrap_or_default());
        let sealed = self.key.seal(&associated(record.flow), &text);
        let sealed = sealed.map_err(|_| FolderError::refused("seal", self.folder.path(), "it is too large"))?;
        self.folder.write(&record.flow.to_string(), &sealed)
    }
}

fn associated(flow: FlowId) -> Vec<u8> {
    format!("wherry/oauth/flow/v1/{flow}").into_bytes()
}
