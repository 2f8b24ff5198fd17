//! Access tokens of people and services.

use wherry_daemon::ids;
use wherry_domain::id::OrganisationId;
use wherry_trust::access::AccessToken as Secret;

use super::{Kind, Ledger, Refusal, Turn};
use crate::model::{AccessToken, Scope};

/// Most access tokens of an organisation.
const MAX_TOKENS: usize = 1_000;

/// Who calls the API, as its token says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The organisation it belongs to.
    pub organisation: OrganisationId,
}

impl Caller {
    /// Whether the caller may do what needs `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        match scope {
            // Whoever may only look may not call, though calling is less.
            Scope::Call => self.scopes.iter().any(|held| *held == Scope::Call || *held >= Scope::Run),
            Scope::Read | Scope::Run | Scope::Deploy | Scope::Admin => self.scopes.iter().any(|held| *held >= scope),
        }
    }
}

impl Ledger {
    /// Whom a token belongs to.
    ///
    /// # Errors
    /// If it is malformed, unknown or expired: one answer for all.
    pub fn authenticate(&self, token: &str, wall_ms: u64) -> Result<Caller, Refusal> {
        let secret = Secret::parse(token).map_err(|_| unauthenticated())?;
        self.directory.caller(&secret, wall_ms).ok_or_else(unauthenticated)
    }

    /// Makes an access token; its secret is shown this once.
    ///
    /// # Errors
    /// If there are too many already, or one of that name.
    pub async fn create_access_token(
        &self,
        who: String,
        name: String,
        scopes: Vec<Scope>,
        expires_in_s: Option<u64>,
    ) -> Result<(AccessToken, Secret), Refusal> {
        let secret =
            Secret::generate().map_err(|error| Refusal::new(Kind::Busy, "controller.crypto", error.to_string()))?;
        let token = self.register(who, &secret, name, scopes, expires_in_s).await?;
        Ok((token, secret))
    }

    async fn register(
        &self,
        who: String,
        secret: &Secret,
        name: String,
        scopes: Vec<Scope>,
        expires_in_s: Option<u64>,
    ) -> Result<AccessToken, Refusal> {
        let (id, hash) = (secret.id().as_str().to_owned(), secret.hash());
        self.begin(move |turn| {
            let known = turn.state.directory.tokens();
            if known.iter().any(|token| token.name == name) {
                let message =
                    format!("there is an access token {name} already: choose another name, or revoke that one");
                return Err(Refusal::conflict("token.name_taken", message));
            }
            if known.len() >= MAX_TOKENS {
                let message = format!("an organisation has at most {MAX_TOKENS} access tokens: remove one first");
                return Err(Refusal::conflict("token.too_many", message));
            }
            let token = AccessToken {
                id,
                name,
                hash,
                scopes,
                created_ms: turn.wall_ms,
                expires_ms: expires_in_s.map(|seconds| turn.wall_ms.saturating_add(seconds.saturating_mul(1_000))),
            };
            turn.audit(&who, "token.create", &token.id, &token.name);
            turn.define("access", &token.id, &token);
            turn.state.directory.add_token(token.clone());
            Ok(token)
        })
        .await
    }

    /// Every access token, without secrets.
    pub fn access_tokens(&self) -> Vec<AccessToken> {
        self.directory.tokens()
    }

    /// Ends an access token.
    ///
    /// # Errors
    /// If there is none of that id, or it is the only one left that may do everything.
    pub async fn revoke_access_token(&self, who: String, id: String) -> Result<(), Refusal> {
        self.act(move |turn| {
            let missing = || Refusal::not_found("token.not_found", "there is no access token of that id");
            let tokens = turn.state.directory.tokens();
            let revoked = tokens.iter().find(|token| token.id == id).ok_or_else(missing)?;
            let in_force = |token: &&AccessToken| token.administers(turn.wall_ms);
            if in_force(&revoked) && tokens.iter().filter(in_force).count() == 1 {
                let message = "this is the last administrator's token: make another one first";
                return Err(Refusal::conflict("token.last_administrator", message));
            }
            turn.state.directory.remove_token(&id);
            turn.audit(&who, "token.revoke", &id, "");
            turn.undefine("access", &id);
            Ok(())
        })
        .await
    }

    /// Accepts the first administrator's token, whose secret lies where its owner finds it already:
    /// a token that nobody knows would lock everybody out.
    ///
    /// # Errors
    /// If the store is full.
    pub async fn first_administrator(&self, secret: &Secret) -> Result<AccessToken, Refusal> {
        self.register("controller".into(), secret, "administrator".into(), vec![Scope::Admin], None).await
    }
}

impl Turn<'_> {
    /// A fresh id.
    pub(super) fn fresh<T: From<u128>>(&self) -> T {
        ids::new_id()
    }
}

fn unauthenticated() -> Refusal {
    let message = "the access token is not valid: log in again with wherry login";
    Refusal::new(Kind::Unauthenticated, "auth.token_invalid", message)
}
