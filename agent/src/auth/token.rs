//! Tokens that a scheme has to get before a request can carry them: the seam between the way out and whoever gets them.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code, Failure, FailureClass},
    name::Name,
    project::auth::OAuth2,
};
use wherry_host::EgressError;

use super::AuthCalls;
use crate::egress::Destination;

/// A token as it goes on the wire. Its value is marked sensitive and has no other form.
#[derive(Clone)]
pub struct Token {
    /// Header that carries it.
    pub name: HeaderName,
    /// The header's value.
    pub value: HeaderValue,
    /// Which one of the source's tokens it is; a newer one has a greater number.
    pub generation: u64,
}

/// Gets tokens for one connection, and keeps the current one.
pub trait TokenSource: Send + Sync + 'static {
    /// The current token; got first if there is none. Callers that come meanwhile share that one call.
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthFailure>>;

    /// The system refused this token (401): forget it, unless a newer one is there already.
    fn rejected(&self, token: &Token);
}

/// A shared source.
pub type Source = Arc<dyn TokenSource>;

/// Keeps the tokens of connections that use OAuth 2.0.
pub trait Tokens: Send + Sync {
    /// The source of that connection; the same one while nothing of it changed.
    ///
    /// # Errors
    /// If the connection cannot have tokens on this agent.
    fn source(&self, wanted: Wanted) -> Result<Source, AuthFailure>;

    /// The address that the connection's requests have to go to, if it is another one than its own: its provider has
    /// one for all its sites, and this one is not named by its id.
    ///
    /// # Errors
    /// If there is no token, or it is not good for the site.
    fn site(&self, wanted: Wanted) -> BoxFuture<'_, Result<Option<String>, AuthFailure>>;
}

/// Opens a secret of the connection's environment.
pub type OpenSecret = Arc<dyn Fn(&Name) -> Result<Arc<SecretString>, AuthFailure> + Send + Sync>;
/// Makes a client for another destination, on the connection's terms.
pub type OpenCalls = Arc<dyn Fn(Destination) -> AuthCalls + Send + Sync>;

/// A connection that needs tokens.
#[derive(Clone)]
pub struct Wanted {
    /// Which one.
    pub path: ConnectionPath,
    /// Its `auth`, with variables filled in.
    pub oauth: OAuth2,
    /// Its URL, with variables filled in.
    pub base: String,
    /// Its secrets.
    pub secret: OpenSecret,
    /// Its way to the provider.
    pub calls: OpenCalls,
}

/// Why a request could not be given a credential, in words that may leave the agent. Which part of a connection a
/// person has to look at follows from the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthFailure {
    /// Stable, such as `auth.login_refused`.
    pub code: Code,
    /// One sentence from our own templates; never a secret, never a word of the system.
    pub message: String,
    /// Whether another attempt may succeed.
    pub retry: bool,
}

impl AuthFailure {
    /// A failure that another attempt cannot cure.
    pub fn permanent(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: false }
    }

    /// A failure that may pass.
    pub fn passing(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: true }
    }

    /// The failure of a run that needed the credential, before anything was sent.
    pub fn failure(&self) -> Failure {
        if self.retry {
            Failure::retry(self.code.clone(), self.message.as_str())
        } else {
            Failure::permanent(self.code.clone(), self.message.as_str())
        }
    }
}

/// What went wrong on the way keeps its own code: a login that meets a closed port is `egress.connect_refused`.
impl From<EgressError> for AuthFailure {
    fn from(error: EgressError) -> Self {
        let retry = error.kind().class() == FailureClass::Retry;
        Self { code: error.code(), message: error.to_string(), retry }
    }
}

impl From<AuthFailure> for EgressError {
    fn from(failure: AuthFailure) -> Self {
        let AuthFailure { code, message, retry } = failure;
        Self::Auth { code, message, retry }
    }
}

/// An agent that keeps no tokens.
pub struct NoTokens;

impl Tokens for NoTokens {
    fn source(&self, _: Wanted) -> Result<Source, AuthFailure> {
        Err(AuthFailure::permanent(Code::new("oauth.unavailable"), "this agent keeps no tokens of OAuth 2.0"))
    }

    fn site(&self, _: Wanted) -> BoxFuture<'_, Result<Option<String>, AuthFailure>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
