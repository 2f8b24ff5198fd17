//! What the state machine of tokens hears and says.

use std::time::Duration;

use wherry_domain::time::Timestamp;

use crate::oauth::trouble::Trouble;

/// How a connection gets a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::oauth) enum Means {
    /// With credentials that can be used again and again: each agent for itself.
    Acquire,
    /// With a refresh token: one agent for all.
    Refresh,
}

/// What is known of the tokens that are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::oauth) struct Held {
    /// Which they are.
    pub(in crate::oauth) generation: u64,
    /// Since when, at most as long ago as this process lives.
    pub(in crate::oauth) since: Timestamp,
    /// Until when the access token is good, if the provider said.
    pub(in crate::oauth) until: Option<Timestamp>,
    /// From when on a new one should be got.
    pub(in crate::oauth) due: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub(in crate::oauth) refreshable: bool,
    /// Whether they descend from the values that are set now.
    pub(in crate::oauth) seed_is_current: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::oauth) enum Event {
    /// A request needs a token.
    Asked,
    /// The system refused the token of this generation.
    Rejected(u64),
    /// Other values are set than before; whether they differ from those that the tokens descend from.
    SeedChanged(bool),
    /// Another agent needs a newer generation than this.
    WantedElsewhere(u64),
    /// A copy of this generation came by itself.
    CopySeen(u64),
    /// A person consented; the new tokens wait to be saved.
    Consented,
    /// A person took the consent back.
    Disconnected,
    /// Answer to [`Effect::Claim`].
    Claimed(Claimed),
    /// No answer.
    ClaimFailed(Trouble),
    /// A copy was opened and saved.
    CopyTaken(Held),
    /// None came, or it cannot be used.
    CopyMissed(Trouble),
    /// The given values wait to be saved.
    Seeded,
    /// They cannot be had.
    SeedFailed(Trouble),
    /// It is on disk that a request begins, or that it ended.
    Noted,
    /// It is not.
    NotNoted(Trouble),
    /// Of the token endpoint.
    Answered(Answer),
    /// New tokens are on disk.
    Saved(Held),
    /// They are not.
    NotSaved(Trouble),
    /// The group has them.
    Published,
    /// The group has newer ones; whether there is a copy of them.
    Overtaken(bool),
    /// The group could not be told.
    NotPublished,
}

/// What the group says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::oauth) struct Claimed {
    /// Whether it is this agent's.
    pub(in crate::oauth) mine: bool,
    /// The newest generation.
    pub(in crate::oauth) generation: u64,
    /// The newest copy's generation, 0 for none.
    pub(in crate::oauth) copy: u64,
    /// Another agent used the refresh token of that generation, and nobody knows what came of it.
    pub(in crate::oauth) in_doubt: bool,
    /// Who has it.
    pub(in crate::oauth) holder: String,
}

/// What the token endpoint answered.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::oauth) enum Answer {
    /// Tokens, which wait to be saved.
    Got,
    /// The request was not sent, or turned away unread.
    Unread(Trouble, Option<Duration>),
    /// The refresh token, the password or the assertion is not accepted.
    InvalidGrant,
    /// The client or its request is not accepted.
    Refused(Trouble),
    /// Whether it was carried out is not known.
    Unknown(Trouble),
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::oauth) enum Effect {
    /// Ask the group who owns the connection; whether its refresh token is about to be used.
    Claim(bool),
    /// Open and save the newest copy.
    TakeCopy,
    /// Wait for a copy newer than this generation, then open and save it.
    AwaitCopy(u64),
    /// Make tokens of the values that are set.
    Seed,
    /// Write down how many outcomes are unknown, and whether a request begins now.
    Note(u8, bool),
    /// Ask the token endpoint.
    Post(Means),
    /// Save the tokens that wait, after a pause.
    Save(Duration),
    /// Tell the group.
    Publish,
}

/// What a request that needs a token gets.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::oauth) enum Verdict {
    /// The token of this generation.
    Use(u64),
    /// Patience: something is under way.
    Wait,
    /// Nothing.
    Fail(Trouble),
}

/// What was found when the process began.
#[derive(Clone, Debug, Default)]
pub(in crate::oauth) struct Found {
    /// The tokens on disk.
    pub(in crate::oauth) held: Option<Held>,
    /// The newest generation that there ever was here.
    pub(in crate::oauth) floor: u64,
    /// Requests whose end was not written down, or `GONE`.
    pub(in crate::oauth) doubts: u8,
    /// Values are set that no tokens were made of yet.
    pub(in crate::oauth) reseed: bool,
    /// Why there are no tokens although there were.
    pub(in crate::oauth) lost: Option<Trouble>,
}
