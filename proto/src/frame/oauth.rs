//! OAuth of connections: which agent refreshes, copies for the others, and a person's consent in the browser.

use core::{fmt, time::Duration};

use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::Failure,
    id::FlowId,
    owner::{Intent, OwnerFence},
};

use super::Wrapped;

/// What an agent says of a connection's tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuthReport {
    /// The connection.
    pub connection: ConnectionPath,
    /// Pairs an answer with what it answers; chosen by whoever asks.
    pub request: u64,
    /// What it says.
    pub said: OAuthSaid,
}

/// See [`OAuthReport`].
#[derive(Clone, Debug, PartialEq)]
pub enum OAuthSaid {
    /// Wants to be the owner, or to know who is.
    Claim {
        /// Number of the tokens it has; 0 for none.
        have: u64,
        /// Why.
        intent: Intent,
    },
    /// Has new tokens.
    Publish {
        /// As owner under this fence.
        fence: OwnerFence,
        /// Their number.
        generation: u64,
        /// Sealed to the group, at most [`crate::MAX_COPY`] bytes; empty if there is no group key.
        sealed: Wrapped,
    },
    /// Needs newer tokens than these.
    Wanted {
        /// Their number.
        generation: u64,
    },
    /// What is wrong with the connection, or nothing any more.
    State(Option<Failure>),
    /// The address for the browser.
    Started {
        /// The flow.
        flow: FlowId,
        /// The address.
        result: Result<ConsentAddress, Failure>,
    },
    /// The code was traded for tokens, which wait for the person's word.
    Redeemed {
        /// The flow.
        flow: FlowId,
        /// Whose they are.
        result: Result<ConsentedAccount, Failure>,
    },
    /// The tokens are in use, or forgotten.
    Kept {
        /// The flow.
        flow: FlowId,
        /// Whether that went well.
        result: Result<(), Failure>,
    },
    /// The tokens are given back; whether the provider revoked them.
    Disconnected(Result<bool, Failure>),
}

/// Where a person consents.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsentAddress {
    /// At most [`crate::MAX_CONSENT_URL`] bytes.
    pub url: String,
    /// SHA-256 of the `state` in it.
    pub state_hash: Digest,
    /// Whether the agent opens a code that is sealed to its group.
    pub opens_sealed: bool,
}

/// Who consented to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentedAccount {
    /// The account, in the provider's words.
    pub label: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// How long the first access token lives.
    pub expires_in: Option<Duration>,
}

/// Tokens of a connection, sealed to the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCopy {
    /// Their number.
    pub generation: u64,
    /// At most [`crate::MAX_COPY`] bytes.
    pub sealed: Wrapped,
}

/// What the controller asks or answers.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuthOrder {
    /// The connection.
    pub connection: ConnectionPath,
    /// Pairs an answer with what it answers; chosen by whoever asks.
    pub request: u64,
    /// What it asks or answers.
    pub asked: OAuthAsked,
}

/// See [`OAuthOrder`].
#[derive(Clone, Debug, PartialEq)]
pub enum OAuthAsked {
    /// Answers a claim.
    Ownership(TokenOwnership),
    /// Answers a publication.
    Published {
        /// Whether the tokens were taken.
        accepted: bool,
        /// Number of the newest ones.
        generation: u64,
        /// The newest ones, if others were newer.
        newest: Option<TokenCopy>,
    },
    /// Newer tokens for whoever wanted them.
    Newer(TokenCopy),
    /// Another agent needs newer tokens than these; only to the owner.
    RefreshWanted {
        /// Their number.
        generation: u64,
        /// With which the owner opens the tokens if it has not yet.
        deployment: Option<Digest>,
    },
    /// The question cannot be answered.
    Refused(Failure),
    /// A person wants to connect an account.
    Start {
        /// The flow.
        flow: FlowId,
        /// The deployment's snapshot.
        deployment: Digest,
        /// Where the provider sends the browser back to.
        redirect_uri: String,
    },
    /// The browser came back.
    Code {
        /// The flow.
        flow: FlowId,
        /// The code.
        code: Unshown,
        /// The `state`.
        state: Unshown,
        /// The provider's name for itself, if it gave one.
        iss: Option<String>,
    },
    /// The same, sealed to the group.
    SealedCode {
        /// The flow.
        flow: FlowId,
        /// At most [`crate::MAX_SEALED_CODE`] bytes.
        sealed: Wrapped,
    },
    /// The person's word on the account.
    Confirm {
        /// The flow.
        flow: FlowId,
        /// Whether it is the right one.
        accepted: bool,
    },
    /// Give the tokens back.
    Disconnect {
        /// With which the agent opens the tokens if it has not yet.
        deployment: Option<Digest>,
    },
}

/// Who refreshes the tokens of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwnership {
    /// Whether it is whoever asked.
    pub owner: bool,
    /// Of the owner.
    pub fence: OwnerFence,
    /// For how long after the claim was sent the owner may be refreshing.
    pub good_for: Duration,
    /// Number of the newest tokens.
    pub generation: u64,
    /// The newest ones that were copied.
    pub newest: Option<TokenCopy>,
    /// A refresh of them was announced and nothing more was heard of it.
    pub in_doubt: bool,
    /// Name of the owner.
    pub holder: String,
}

/// A text that nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Unshown(pub String);

impl fmt::Debug for Unshown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unshown({} bytes)", self.0.len())
    }
}

impl fmt::Debug for ConsentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds the state, which is as good as a key to the flow.
        write!(f, "ConsentAddress({} bytes)", self.url.len())
    }
}
