//! How the agents of a group share the tokens of one connection: one of them owns it and refreshes, the others use
//! copies that only the group can open.
//!
//! A refresh token that is used twice ends the whole consent. So an agent asks before it uses one, and the controller,
//! which sees all agents of the group, gives each connection to one of them at a time. It sees numbers and sealed bytes.

use futures::future::BoxFuture;
use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code, Failure},
    id::FlowId,
    owner::OwnerFence,
    time::Timestamp,
};
use zeroize::Zeroizing;

pub use wherry_domain::owner::Intent;

/// A generation of tokens as it travels between agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Counts up from 1.
    pub generation: u64,
    /// Sealed to the group's key.
    pub sealed: Vec<u8>,
}

/// What the controller answers to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Whether the connection is this agent's.
    pub owner: bool,
    /// Goes with what the owner publishes.
    pub fence: OwnerFence,
    /// On this agent's own clock: a request that uses the refresh token must have ended by then.
    pub until: Timestamp,
    /// The newest generation that the controller knows of; 0 for none. It may be newer than the copy.
    pub generation: u64,
    /// The newest copy.
    pub newest: Option<Copy>,
    /// An earlier owner said that it refreshes this generation, and never said what came of it.
    pub in_doubt: bool,
    /// Name of the agent that owns the connection.
    pub holder: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopiesError {
    /// No session with the controller, or no answer in time. Until the last [`Ownership::until`] an owner may go on.
    Offline,
    /// It refused.
    Refused(Failure),
}

/// Why a generation was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Another agent was faster.
    Conflict {
        /// The newest copy.
        newest: Option<Copy>,
        /// The newest generation.
        generation: u64,
    },
    /// As everywhere.
    Copies(CopiesError),
}

/// The way to the other agents of the group.
pub trait Copies: Send + Sync + 'static {
    /// Asks for the connection. `have` is the generation that this agent has, 0 for none.
    ///
    /// # Errors
    /// If there is no answer.
    fn claim<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        have: u64,
        intent: Intent,
    ) -> BoxFuture<'a, Result<Ownership, CopiesError>>;

    /// Hands in a generation. Empty `sealed`: there is no group key, the generation is known all the same.
    ///
    /// # Errors
    /// If another one is newer, or there is no answer.
    fn publish<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        fence: OwnerFence,
        generation: u64,
        sealed: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PublishError>>;

    /// Asks the owner to refresh; resolves with the first copy newer than `generation`, within 10 s.
    ///
    /// # Errors
    /// If none came.
    fn wanted<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        generation: u64,
    ) -> BoxFuture<'a, Result<Copy, CopiesError>>;

    /// What is wrong with the connection, for people who look at it; nothing when it is well again.
    fn trouble(&self, connection: &ConnectionPath, trouble: Option<Failure>);
}

/// The key that the agents of a group share.
pub trait GroupKey: Send + Sync + 'static {
    /// Seals a generation; nothing if there is no such key here.
    ///
    /// # Errors
    /// If it cannot be sealed.
    fn seal(&self, connection: &ConnectionPath, generation: u64, plain: &[u8]) -> Result<Option<Vec<u8>>, Failure>;

    /// Opens a copy.
    ///
    /// # Errors
    /// If it is not what another member sealed for this connection and generation.
    fn open(&self, connection: &ConnectionPath, copy: &Copy) -> Result<Zeroizing<Vec<u8>>, Failure>;

    /// Opens what a browser brought back from a consent, which the controller sealed to the group.
    ///
    /// # Errors
    /// If it is for another flow, or the key is not here.
    fn open_code(&self, flow: FlowId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure>;
}

/// An agent that shares nothing: every connection is its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Copies for Alone {
    fn claim<'a>(
        &'a self,
        _: &'a ConnectionPath,
        have: u64,
        _: Intent,
    ) -> BoxFuture<'a, Result<Ownership, CopiesError>> {
        Box::pin(std::future::ready(Ok(Ownership {
            owner: true,
            fence: OwnerFence::from_bits(1),
            until: Timestamp::from_millis(u64::MAX),
            generation: have,
            newest: None,
            in_doubt: false,
            holder: String::new(),
        })))
    }

    fn publish<'a>(
        &'a self,
        _: &'a ConnectionPath,
        _: OwnerFence,
        _: u64,
        _: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn wanted<'a>(&'a self, _: &'a ConnectionPath, _: u64) -> BoxFuture<'a, Result<Copy, CopiesError>> {
        Box::pin(std::future::ready(Err(CopiesError::Offline)))
    }

    fn trouble(&self, _: &ConnectionPath, _: Option<Failure>) {}
}

impl GroupKey for Alone {
    fn seal(&self, _: &ConnectionPath, _: u64, _: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    fn open(&self, _: &ConnectionPath, _: &Copy) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Err(unshared())
    }

    fn open_code(&self, _: FlowId, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Err(unshared())
    }
}

fn unshared() -> Failure {
    Failure::permanent(Code::new("oauth.owner_elsewhere"), "this agent shares no key with others")
}
