//! A person's consent in the browser: the half of it that only the agent can do.
//!
//! The agent makes verifier and state, the controller carries the browser's answer, the agent redeems it. What is
//! needed to redeem (the verifier, the client's secret) never leaves the agent, so that whoever carries the code gains
//! nothing by it.

use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use wherry_domain::{connection::ConnectionPath, digest::Digest, failure::Failure, id::FlowId};

/// Longest label of an account, in characters.
pub const MAX_LABEL: usize = 200;

/// A person wants to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The flow.
    pub flow: FlowId,
    /// For which connection.
    pub connection: ConnectionPath,
    /// The deployment whose settings hold.
    pub deployment: Digest,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
}

/// Where the browser has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The authorisation request.
    pub url: String,
    /// SHA-256 of the `state` in it, by which the answer is known.
    pub state_hash: [u8; 32],
}

/// What the browser brought back.
pub struct Code {
    /// The flow.
    pub flow: FlowId,
    /// The authorisation code.
    pub code: SecretString,
    /// The `state`.
    pub state: SecretString,
    /// The `iss`, if there was one (RFC 9207).
    pub iss: Option<String>,
}

/// The code became tokens, which wait for the person's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Who consented, at most [`MAX_LABEL`] characters.
    pub label: String,
    /// Scopes that were granted, separated by spaces.
    pub scope: String,
    /// How long the access token lives.
    pub expires_in: Option<Duration>,
}

/// What the controller asks of an agent.
pub trait Flows: Send + Sync + 'static {
    /// Begins a flow; an older one of the same connection is forgotten.
    fn start(&self, start: Start) -> BoxFuture<'_, Result<Started, Failure>>;

    /// Redeems a code, once.
    fn redeem(&self, code: Code) -> BoxFuture<'_, Result<Done, Failure>>;

    /// The same, from what was sealed to the agent's group.
    fn redeem_sealed(&self, flow: FlowId, sealed: Vec<u8>) -> BoxFuture<'_, Result<Done, Failure>>;

    /// The person's word: the tokens are used from now on, or forgotten.
    fn confirm(&self, flow: FlowId, accepted: bool) -> BoxFuture<'_, Result<(), Failure>>;

    /// Revokes and forgets the tokens; whether the provider revoked them. Tokens that were not used since the agent
    /// started are opened with the settings of `deployment` for it.
    fn disconnect<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        deployment: Option<Digest>,
    ) -> BoxFuture<'a, Result<bool, Failure>>;

    /// Another agent of the group needs a newer generation than this one. Only the owner is told. `false` if the tokens
    /// of the connection are not open here.
    fn refresh_wanted(&self, connection: &ConnectionPath, generation: u64) -> bool;

    /// The same, for tokens that were not used since the agent started: opens them with the settings of `deployment`.
    fn open_and_refresh<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        generation: u64,
        deployment: Digest,
    ) -> BoxFuture<'a, Result<(), Failure>>;
}
