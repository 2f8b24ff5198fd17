//! The half of a broker that speaks with the token endpoint.

use std::time::Duration;

use wherry_domain::project::auth::Grant;

use super::{Broker, Tokens};
use crate::{
    auth::{AuthFailure, calls::LIMIT},
    oauth::{
        answer::Granted,
        client::{self, Parameters},
        settings::Settings,
        state::{Answer, Event, Means},
        trouble::Trouble,
    },
};

impl Broker {
    /// Tokens out of the values that are set.
    pub(super) fn seed(&self) -> Event {
        let seeded = self.given();
        match seeded {
            Ok(Some(tokens)) => {
                self.lock().pending = Some(tokens);
                Event::Seeded
            }
            Ok(None) => Event::SeedFailed(Trouble::NotConnected),
            Err(failure) => Event::SeedFailed(Trouble::Setting(failure)),
        }
    }

    fn given(&self) -> Result<Option<Tokens>, AuthFailure> {
        let settings = self.settings();
        let oauth = settings.oauth();
        let open = |secret: &Option<wherry_domain::project::SecretRef>| {
            secret.as_ref().map(|secret| settings.open(&secret.secret)).transpose()
        };
        let (access, refresh) = (open(&oauth.access_token)?, open(&oauth.refresh_token)?);
        if access.is_none() && refresh.is_none() {
            return Ok(None);
        }
        let (created, life) = settings.given_times()?;
        let now = self.ground.clock.wall_unix_millis();
        // A refresh token is there: a token whose end is not known is not worth a request that fails.
        let dated = created.zip(life).map(|(created, life)| (created.min(now), created.min(now).saturating_add(life)));
        let access = access.filter(|_| dated.is_some() || refresh.is_none());
        let state = self.lock();
        Ok(Some(Tokens {
            generation: state.next_generation(),
            access: access.map(|access| (*access).clone()),
            refresh: refresh.map(|refresh| (*refresh).clone()),
            obtained_ms: dated.map_or(now, |(obtained, _)| obtained),
            expires_ms: dated.map(|(_, expires)| expires),
            scope: oauth.scope.clone(),
            label: String::new(),
            cloud_id: String::new(),
            seed: state.seed,
        }))
    }

    pub(super) async fn post(&self, means: Means) -> Answer {
        let settings = self.settings();
        let asked = match means {
            Means::Acquire => self.acquire(&settings),
            Means::Refresh => self.refresh(&settings),
        };
        let (parameters, scope) = match asked {
            Ok(asked) => asked,
            Err(trouble) => return Answer::Unread(trouble, None),
        };
        let Some(limit) = self.time_left(means) else { return Answer::Unread(Trouble::Unasked, None) };
        let begun = self.ground.clock.wall_unix_millis();
        match client::token(&settings, &self.ground.files, parameters, &scope, limit).await {
            Ok(granted) => {
                self.take(granted, begun, means);
                Answer::Got
            }
            Err(answer) => {
                tracing::info!(connection = %self.path, ?answer, "no new token");
                answer
            }
        }
    }

    fn acquire(&self, settings: &Settings) -> Result<(Parameters, String), Trouble> {
        let oauth = settings.oauth();
        let mut parameters = match (&oauth.grant, &oauth.password) {
            (Grant::Password, Some(password)) => {
                let mut parameters = Parameters::new(settings, "password");
                parameters.set("username", &oauth.username);
                parameters.set_secret("password", &*settings.open(&password.secret).map_err(Trouble::Setting)?);
                parameters
            }
            _ => Parameters::new(settings, "client_credentials"),
        };
        parameters.set_if("scope", &oauth.scope);
        Ok((parameters, oauth.scope.clone()))
    }

    fn refresh(&self, settings: &Settings) -> Result<(Parameters, String), Trouble> {
        let tokens = self.tokens().ok_or(Trouble::NotConnected)?;
        let refresh = tokens.refresh.as_ref().ok_or(Trouble::Expired)?;
        // It goes to nobody but who gave it.
        if tokens.seed != settings.seed().map_err(Trouble::Setting)? {
            let changed = "its tokens were got with other settings or values than this agent has now, connect it again";
            return Err(Trouble::Setting(settings.invalid(changed)));
        }
        let mut parameters = Parameters::new(settings, "refresh_token");
        parameters.set_secret("refresh_token", refresh);
        // What it may grant was settled by the consent; a scope that is refused now would cost the token for nothing.
        Ok((parameters, String::new()))
    }

    /// How long a request may take: one that uses the refresh token ends while the connection is still ours.
    fn time_left(&self, means: Means) -> Option<Duration> {
        if means == Means::Acquire {
            return Some(LIMIT);
        }
        let state = self.lock();
        let until = state.ownership.as_ref()?.until;
        let left = until.since(self.ground.clock.now());
        (left >= Duration::from_secs(5)).then(|| left.min(LIMIT))
    }

    fn take(&self, granted: Granted, begun: u64, means: Means) {
        let Granted { access, refresh, life, scope, .. } = granted;
        let mut state = self.lock();
        let old = state.current.as_ref().map(|current| std::sync::Arc::clone(&current.tokens));
        let old = old.filter(|_| means == Means::Refresh);
        let millis = life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let tokens = Tokens {
            generation: state.next_generation(),
            access: Some(access),
            // Providers that do not rotate send no new one.
            refresh: match means {
                Means::Acquire => None,
                Means::Refresh => refresh.or_else(|| old.as_ref().and_then(|old| old.refresh.clone())),
            },
            // Its life began at the provider, at the earliest when it was asked for.
            obtained_ms: begun,
            expires_ms: millis.map(|millis| begun.saturating_add(millis)),
            scope: scope.or_else(|| old.as_ref().map(|old| old.scope.clone())).unwrap_or_default(),
            label: old.as_ref().map(|old| old.label.clone()).unwrap_or_default(),
            cloud_id: old.as_ref().map(|old| old.cloud_id.clone()).unwrap_or_default(),
            seed: old.as_ref().map_or(state.seed, |old| old.seed),
        };
        state.pending = Some(tokens);
    }
}
