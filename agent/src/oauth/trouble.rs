//! Why a connection has no usable token, in words for whoever looks after it.

use std::time::Duration;

use wherry_domain::{connection::ConnectionPath, failure::Code};
use wherry_host::EgressError;

use crate::auth::AuthFailure;

/// Why there is no token now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody has consented yet.
    NotConnected,
    /// The provider no longer takes the refresh token.
    ConsentGone,
    /// An answer with a new refresh token may have been lost, twice.
    Doubt,
    /// The newest tokens were with an agent that left no copy.
    NoCopy,
    /// The token has expired and there is none to refresh it with.
    Expired,
    /// Another agent owns the connection; its name, if it is known.
    OwnerElsewhere(String),
    /// Copies have expired when they come: the agents' clocks differ.
    Stale,
    /// Who owns the connection cannot be asked now.
    Unasked,
    /// The controller refuses to say who owns it.
    Denied(AuthFailure),
    /// The provider refused the client or its request; the error code of RFC 6749, if it is one.
    Refused(String),
    /// The provider asked for patience.
    Busy(Duration),
    /// The answer of the provider is not one.
    Invalid(String),
    /// The way to the provider.
    Egress(EgressError),
    /// A file was replaced by an older one.
    RolledBack,
    /// The tokens cannot be kept.
    Storage(String),
    /// A secret, a proxy or another setting; with its own code.
    Setting(AuthFailure),
}

impl Trouble {
    /// Whether only a person can mend it.
    pub fn needs_consent(&self) -> bool {
        match self {
            Self::NotConnected | Self::ConsentGone | Self::Doubt | Self::NoCopy => true,
            Self::Expired
            | Self::OwnerElsewhere(_)
            | Self::Stale
            | Self::Unasked
            | Self::Denied(_)
            | Self::Refused(_)
            | Self::Busy(_)
            | Self::Invalid(_)
            | Self::Egress(_)
            | Self::RolledBack
            | Self::Storage(_)
            | Self::Setting(_) => false,
        }
    }

    /// As a request meets it.
    pub fn failure(&self, connection: &ConnectionPath) -> AuthFailure {
        let name = &connection.connection;
        match self {
            Self::NotConnected | Self::ConsentGone | Self::Doubt | Self::NoCopy => {
                AuthFailure::permanent(Code::new("oauth.needs_consent"), self.consent(connection))
            }
            Self::Expired => AuthFailure::permanent(
                Code::new("oauth.expired"),
                format!(
                    "the access token of connection {name} has expired: set a new one, with its created_ms and expires_in"
                ),
            ),
            Self::OwnerElsewhere(holder) => AuthFailure::passing(
                Code::new("oauth.owner_elsewhere"),
                format!(
                    "connection {name} is refreshed by the agent {holder}, and no copy of its token came here in time"
                ),
            ),
            Self::Stale => AuthFailure::passing(
                Code::new("oauth.owner_elsewhere"),
                format!(
                    "the copies of the token of connection {name} have expired when they come here: compare the clocks of the agents"
                ),
            ),
            Self::Unasked => AuthFailure::passing(
                Code::new("oauth.owner_elsewhere"),
                format!("which agent refreshes connection {name} cannot be asked: no answer from the controller"),
            ),
            Self::Refused(error) => AuthFailure::permanent(
                Code::new("oauth.refused"),
                format!(
                    "the token endpoint of connection {name} refused the request: {error}; check client_id, client_secret, client_authentication and scope"
                ),
            ),
            Self::Busy(wait) => AuthFailure::passing(
                Code::new("oauth.provider_busy"),
                format!("the token endpoint of connection {name} asks for patience, next try in {} s", wait.as_secs()),
            ),
            Self::Invalid(reason) => AuthFailure::passing(
                Code::new("oauth.provider_invalid"),
                format!("the token endpoint of connection {name} gave no usable answer: {reason}; check token_url"),
            ),
            Self::RolledBack => AuthFailure::permanent(
                Code::new("oauth.rolled_back"),
                format!(
                    "the tokens of connection {name} on this disk are older than the newest it had, or damaged, and their refresh token was used already: {}",
                    connect(connection)
                ),
            ),
            Self::Storage(reason) => AuthFailure::passing(
                Code::new("oauth.storage"),
                format!("the tokens of connection {name} cannot be kept: {reason}"),
            ),
            Self::Egress(error) => error.clone().into(),
            Self::Denied(failure) | Self::Setting(failure) => failure.clone(),
        }
    }

    fn consent(&self, connection: &ConnectionPath) -> String {
        let name = &connection.connection;
        let what = match self {
            Self::ConsentGone => "the provider no longer accepts its refresh token",
            Self::Doubt => "answers of the token endpoint were lost, and with them perhaps its new refresh token",
            Self::NoCopy => "its newest tokens were on an agent that is gone and left no copy",
            Self::NotConnected
            | Self::Expired
            | Self::OwnerElsewhere(_)
            | Self::Stale
            | Self::Unasked
            | Self::Denied(_)
            | Self::Refused(_)
            | Self::Busy(_)
            | Self::Invalid(_)
            | Self::Egress(_)
            | Self::RolledBack
            | Self::Storage(_)
            | Self::Setting(_) => "nobody has connected it yet",
        };
        format!("connection {name} needs consent: {what}; {}", connect(connection))
    }
}

fn connect(connection: &ConnectionPath) -> String {
    let ConnectionPath { environment, project, connection } = connection;
    format!(
        "run `wherry oauth connect {connection} --environment {environment} --project {project}`, or set a new refresh token"
    )
}
