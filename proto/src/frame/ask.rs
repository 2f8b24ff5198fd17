//! Questions about connections, and their answers. They travel on the session's stream and die with it.

use core::time::Duration;

use wherry_domain::{
    area::Area,
    digest::Digest,
    failure::Failure,
    id::{AskId, RunId},
    name::Name,
    path::Path,
};

/// A question about a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Which question; the answer names it.
    pub id: AskId,
    /// The deployment's snapshot.
    pub deployment: Digest,
    /// Connection of that deployment.
    pub connection: Name,
    /// What is asked.
    pub question: Question,
    /// Within this time the agent answers; at most [`crate::MAX_ASK`].
    pub limit: Duration,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the connection works.
    Test,
    /// Something that the connector answers in its own words.
    Discover {
        /// The activity it is about; empty for none. At most [`crate::MAX_ACTIVITY`] bytes.
        activity: String,
        /// JSON, at most [`crate::MAX_QUESTION`] bytes.
        question: Vec<u8>,
    },
    /// The answer of an action, once more.
    Recall {
        /// The action's run.
        run: RunId,
    },
}

/// Answers an [`Ask`].
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which question.
    pub id: AskId,
    /// How long it took.
    pub duration: Duration,
    /// JSON, at most [`crate::MAX_ANSWER`] bytes, or [`crate::MAX_ACTION`] of an action; nothing for a test that went well.
    pub result: Result<Vec<u8>, Trouble>,
    /// The way that was taken; of tests that dialled only.
    pub path: Option<Path>,
}

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words that may leave the customer's network.
    pub failure: Failure,
    /// What has to be looked at.
    pub area: Area,
}
