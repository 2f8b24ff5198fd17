//! The tokens of a connection as one deployment has it: from whichever broker the connection has just then.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;

use super::{OAuth, broker::Broker, settings::Settings, state::Means};
use crate::auth::{AuthFailure, Token, TokenSource};

/// Outlives the broker it began with: plans are kept, and a deployment may come back.
pub(super) struct Following {
    oauth: OAuth,
    settings: Settings,
    means: Means,
    broker: ArcSwap<Broker>,
}

impl Following {
    pub(super) fn new(oauth: OAuth, settings: Settings, means: Means) -> Result<Self, AuthFailure> {
        let broker = oauth.broker(settings.clone(), means)?;
        Ok(Self { oauth, settings, means, broker: ArcSwap::new(broker) })
    }

    async fn broker(&self) -> Result<Arc<Broker>, AuthFailure> {
        let known = self.broker.load_full();
        if !known.is_retired() {
            return Ok(known);
        }
        if let Some(other) = self.oauth.known(&self.settings.wanted.path) {
            other.idle().await?;
        }
        let next = self.oauth.broker(self.settings.clone(), self.means)?;
        self.broker.store(Arc::clone(&next));
        Ok(next)
    }
}

impl TokenSource for Following {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthFailure>> {
        Box::pin(async move { self.broker().await?.token().await })
    }

    fn rejected(&self, token: &Token) {
        self.broker.load().rejected(token);
    }
}
