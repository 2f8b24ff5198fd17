//! An access token that was got elsewhere: it is used as it is until it expires, and nothing is asked of anybody.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::header;
use secrecy::ExposeSecret;
use wherry_daemon::clock::Clock;
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

use super::{settings::Settings, trouble::Trouble};
use crate::{
    auth::{AuthFailure, Token, TokenSource},
    net::proxy,
};

/// The given token of one connection.
pub(super) struct Given {
    settings: Settings,
    clock: Clock,
}

impl Given {
    pub(super) fn shared(settings: Settings, clock: Clock) -> Arc<Self> {
        Arc::new(Self { settings, clock })
    }

    fn now(&self) -> Result<Token, AuthFailure> {
        let oauth = self.settings.oauth();
        let name = oauth.access_token.as_ref().ok_or_else(|| self.settings.invalid("it needs an access_token"))?;
        let (created, life) = self.settings.given_times()?;
        // Without its date a token of known life cannot be dated; the system's 401 says the rest.
        let until = created.zip(life).map(|(created, life)| created.saturating_add(life));
        if until.is_some_and(|until| until <= self.clock.wall_unix_millis()) {
            return Err(Trouble::Expired.failure(&self.settings.wanted.path));
        }
        let text = Zeroizing::new(format!("Bearer {}", self.settings.open(&name.secret)?.expose_secret()));
        let message = format!("the secret {} cannot stand in a header", name.secret);
        let value = proxy::sensitive(&text);
        let value = value.ok_or_else(|| AuthFailure::permanent(Code::new("secret.unusable"), message))?;
        Ok(Token { name: header::AUTHORIZATION, value, generation: 1 })
    }
}

impl TokenSource for Given {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthFailure>> {
        Box::pin(std::future::ready(self.now()))
    }

    /// There is no other one.
    fn rejected(&self, _: &Token) {}
}
