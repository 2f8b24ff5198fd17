//! Carries out consents: makes the request that the browser takes along, and redeems what it brings back.
//!
//! Whatever comes from the controller is checked against what was written down here before: the `state` and its MAC,
//! the issuer, the endpoint and the client. A code is redeemed once, whatever happens in between.

mod account;
mod giving_back;
mod proof;
mod record;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use http::StatusCode;
use serde::Deserialize;
use url::Url;
use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::{Code as FailureCode, Failure},
    id::FlowId,
    project::auth::TokenFormat,
};
use wherry_trust::{keys::sha256, sealing::left};
use zeroize::Zeroizing;

use self::{
    giving_back::{give_back, revoke},
    proof::{STATE, check, random, tag},
    record::{Record, Records, Stage},
};
use super::{
    Inner, OAuth,
    answer::Granted,
    broker::Broker,
    client::{self, Parameters},
    flow::{Code, Done, Flows, Start, Started},
    place::PlaceError,
    settings::Settings,
    state::{Answer, Event, Means},
    tokens::Tokens,
    trouble::Trouble,
};
use crate::auth::{AuthFailure, calls::LIMIT, token::Wanted};

/// There is no such flow here, or no longer.
const UNKNOWN: FailureCode = FailureCode::new("oauth.flow_unknown");
/// Its code was redeemed already.
const USED: FailureCode = FailureCode::new("oauth.flow_used");
/// The address that a person is sent to has at most this length, so that every browser and proxy takes it.
const MAX_URL: usize = 8 << 10;

/// Finds what a deployment says of a connection.
pub trait Deployed: Send + Sync + 'static {
    /// The connection as it is deployed.
    ///
    /// # Errors
    /// If there is no such connection, or it does not use OAuth 2.0.
    fn wanted<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        deployment: Digest,
    ) -> BoxFuture<'a, Result<Wanted, Failure>>;
}

/// The consents of this agent.
pub(super) struct Consents {
    oauth: Weak<Inner>,
    deployed: Arc<dyn Deployed>,
    records: Records,
}

impl Consents {
    pub(super) fn new(oauth: &OAuth, deployed: Arc<dyn Deployed>) -> Result<Self, PlaceError> {
        let ground = &oauth.0.ground;
        let records = Records::open(&ground.places, Arc::clone(&ground.key), ground.clock.clone())?;
        Ok(Self { oauth: Arc::downgrade(&oauth.0), deployed, records })
    }

    fn oauth(&self) -> Result<OAuth, Failure> {
        let gone = || Failure::retry(FailureCode::new("agent.draining"), "the agent is stopping");
        self.oauth.upgrade().map(OAuth).ok_or_else(gone)
    }

    async fn settings(&self, connection: &ConnectionPath, deployment: Digest) -> Result<Settings, Failure> {
        let wanted = self.deployed.wanted(connection, deployment).await?;
        Settings::read(wanted, self.oauth()?.0.ground.clock.clone()).map_err(|failure| failure.failure())
    }

    async fn begin(&self, start: Start) -> Result<Started, Failure> {
        let oauth = self.oauth()?;
        let settings = self.settings(&start.connection, start.deployment).await?;
        let own = settings.oauth();
        let missing = |what: &str| settings.invalid(what).failure();
        let address = settings.authorization_url.clone().ok_or_else(|| missing("it needs an authorization_url"))?;
        let token_url = settings.token_url().map_err(|failure| failure.failure())?.to_string();
        let (verifier, nonce) = (random(), random());
        let state = self.state(&oauth, start.flow, &start.connection);
        let state_hash = *sha256(state.as_bytes()).as_bytes();
        let mut asked = Parameters::further(&settings);
        asked.set("response_type", "code");
        asked.set("client_id", &own.client_id);
        asked.set("redirect_uri", &start.redirect_uri);
        asked.set_if("scope", &own.scope);
        asked.set("state", &state);
        asked.set("code_challenge", &URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()).as_bytes()));
        asked.set("code_challenge_method", "S256");
        if own.scope.split_whitespace().any(|scope| scope == "openid") {
            asked.set("nonce", &nonce);
        }
        let record = Record {
            flow: start.flow,
            connection: start.connection,
            deployment: start.deployment,
            redirect_uri: start.redirect_uri,
            verifier: verifier.to_string(),
            nonce: nonce.to_string(),
            state: state_hash,
            issuer: own.issuer.clone(),
            token_url,
            client_id: own.client_id.clone(),
            begun_ms: settings.now_ms(),
            stage: Stage::Started,
            tokens: String::new(),
        };
        // Before anybody can bring a code for it.
        self.records.begin(record).map_err(|failure| failure.failure())?;
        let url = match &settings.par_url {
            None => asked.query(&address),
            Some(par) => self.push(&oauth, &settings, (par, &address), asked).await?,
        };
        if url.as_str().len() > MAX_URL {
            return Err(missing("its authorization request is too long, shorten scope or parameters"));
        }
        Ok(Started { url: url.into(), state_hash })
    }

    /// The request goes to the provider directly; the browser takes only its number along (RFC 9126).
    async fn push(
        &self,
        oauth: &OAuth,
        settings: &Settings,
        (par, address): (&Url, &Url),
        mut asked: Parameters,
    ) -> Result<Url, Failure> {
        #[derive(Deserialize)]
        struct Pushed {
            request_uri: String,
        }
        let headers = client::prove(settings, &oauth.0.ground.files, par, &mut asked);
        let headers = headers.map_err(|failure| failure.failure())?;
        let pushed = client::post(settings, par, TokenFormat::Form, headers, &asked).await;
        let answer = pushed.map_err(|sent| sent.failure().failure())?;
        let invalid = || {
            let trouble =
                Trouble::Invalid(format!("the pushed request was answered with {}", answer.status().as_u16()));
            trouble.failure(&settings.wanted.path).failure()
        };
        if answer.status() != StatusCode::CREATED && answer.status() != StatusCode::OK {
            return Err(invalid());
        }
        let pushed: Pushed = serde_json::from_slice(answer.body()).map_err(|_| invalid())?;
        let mut short = Parameters::default();
        short.set("client_id", &settings.oauth().client_id);
        short.set("request_uri", &pushed.request_uri);
        Ok(short.query(address))
    }

    /// `flow id || 16 random bytes || MAC`, so that a `state` of another flow, connection or agent is known at once.
    fn state(&self, oauth: &OAuth, flow: FlowId, connection: &ConnectionPath) -> String {
        let chance: [u8; 16] = rand::random();
        let tag = tag(oauth, flow, connection, &chance);
        URL_SAFE_NO_PAD.encode([&flow.to_bytes()[..], &chance, &tag].concat())
    }

    async fn take(&self, code: Code) -> Result<Done, Failure> {
        let oauth = self.oauth()?;
        let record = self.records.get(code.flow).ok_or_else(unknown)?;
        check(&oauth, &record, &code)?;
        let settings = self.settings(&record.connection, record.deployment).await?;
        if !record.is_of(&settings) {
            return Err(changed());
        }
        if !self.records.advance(code.flow, Stage::Started, Stage::Redeeming, String::new())? {
            return Err(Failure::permanent(USED, "the code of this consent was redeemed already, begin again"));
        }
        let redeemed = self.exchange(&oauth, &settings, &record, &code).await;
        let (tokens, life) = match redeemed {
            Ok(redeemed) => redeemed,
            Err(trouble) => {
                self.records.remove(code.flow);
                return Err(trouble.failure(&record.connection).failure());
            }
        };
        let done = Done { label: tokens.label.clone(), scope: tokens.scope.clone(), expires_in: life };
        let kept = URL_SAFE_NO_PAD.encode(tokens.encode().as_slice());
        let written = self.records.advance(code.flow, Stage::Redeeming, Stage::Redeemed, kept);
        if matches!(written, Ok(true)) {
            return Ok(done);
        }
        // Another consent took its place, its time is over, or the disk is full: nobody can confirm these any more.
        self.records.remove(code.flow);
        give_back(&oauth, &settings, &tokens).await;
        written?;
        Err(unknown())
    }

    async fn exchange(
        &self,
        oauth: &OAuth,
        settings: &Settings,
        record: &Record,
        code: &Code,
    ) -> Result<(Tokens, Option<Duration>), Trouble> {
        let mut parameters = Parameters::new(settings, "authorization_code");
        parameters.set_secret("code", &code.code);
        parameters.set("redirect_uri", &record.redirect_uri);
        parameters.set("code_verifier", &record.verifier);
        let begun = settings.now_ms();
        let asked = settings.oauth().scope.clone();
        let granted = client::token(settings, &oauth.0.ground.files, parameters, &asked, LIMIT).await;
        let granted = granted.map_err(|answer| match answer {
            Answer::InvalidGrant => Trouble::Refused("invalid_grant".to_owned()),
            Answer::Unread(trouble, _) | Answer::Refused(trouble) | Answer::Unknown(trouble) => trouble,
            Answer::Got => Trouble::Invalid("nothing".to_owned()),
        })?;
        let account = match account::whose(settings, &granted, &record.nonce).await {
            Ok(account) => account,
            Err(trouble) => {
                // Nobody will ever use them, and their code is used up.
                revoke(oauth, settings, (granted.refresh.as_ref(), Some(&granted.access))).await;
                return Err(trouble);
            }
        };
        let Granted { access, refresh, life, scope, .. } = granted;
        let millis = life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let tokens = Tokens {
            generation: 0,
            access: Some(access),
            refresh,
            obtained_ms: begun,
            expires_ms: millis.map(|millis| begun.saturating_add(millis)),
            scope: scope.unwrap_or(asked),
            label: account,
            cloud_id: String::new(),
            seed: [0; 32],
        };
        Ok((tokens, life))
    }

    async fn settle(&self, flow: FlowId, accepted: bool) -> Result<(), Failure> {
        let oauth = self.oauth()?;
        let record = self.records.get(flow).filter(|record| record.stage == Stage::Redeemed).ok_or_else(unknown)?;
        let tokens = URL_SAFE_NO_PAD.decode(&record.tokens).map(Zeroizing::new).ok();
        let tokens = tokens.and_then(|bytes| Tokens::decode(&bytes)).ok_or_else(unknown)?;
        let settings = match self.settings(&record.connection, record.deployment).await {
            Ok(settings) if record.is_of(&settings) => settings,
            // Tokens of another client or provider than the connection has now are put to no use, and go to nobody.
            Ok(_) => return self.drop_unused(flow, Err(changed())),
            // What is declined is forgotten also when the deployment is gone.
            Err(failure) if accepted => return Err(failure),
            Err(_) => return self.drop_unused(flow, Ok(())),
        };
        if accepted {
            let broker = oauth.broker(settings, Means::Refresh).map_err(|failure| failure.failure())?;
            self.enter_settling(flow)?;
            let kept = broker.consent(tokens).await.map_err(|failure| failure.failure());
            // Also after a failure: they may have been saved and refreshed, and the originals must not come back.
            self.records.remove(flow);
            return kept;
        }
        self.enter_settling(flow)?;
        give_back(&oauth, &settings, &tokens).await;
        self.records.remove(flow);
        Ok(())
    }

    fn drop_unused(&self, flow: FlowId, result: Result<(), Failure>) -> Result<(), Failure> {
        self.enter_settling(flow)?;
        self.records.remove(flow);
        result
    }

    /// Only one word of the person counts, however often it comes.
    fn enter_settling(&self, flow: FlowId) -> Result<(), Failure> {
        let first = self.records.advance(flow, Stage::Redeemed, Stage::Settling, String::new())?;
        if first { Ok(()) } else { Err(unknown()) }
    }

    async fn take_sealed(&self, flow: FlowId, sealed: &[u8]) -> Result<Done, Failure> {
        let content = self.oauth()?.0.ground.group.open_code(flow, sealed)?;
        let foreign = || Failure::permanent(STATE, "what the controller sealed is no answer of a browser, begin again");
        let [code, state, iss] = left::split::<3>(&content).ok_or_else(foreign)?;
        let text = |part: &[u8]| std::str::from_utf8(part).map(ToOwned::to_owned).map_err(|_| foreign());
        let iss = Some(text(iss)?).filter(|iss| !iss.is_empty());
        self.take(Code { flow, code: text(code)?.into(), state: text(state)?.into(), iss }).await
    }

    /// The broker of a connection with the settings of a deployment, which no run has needed since the agent started.
    async fn opened(&self, connection: &ConnectionPath, deployment: Digest) -> Result<Arc<Broker>, Failure> {
        let settings = self.settings(connection, deployment).await?;
        let means = settings.means().ok_or_else(|| settings.invalid("nothing of it is renewed").failure())?;
        self.oauth()?.broker(settings, means).map_err(|failure| failure.failure())
    }

    async fn end(&self, connection: &ConnectionPath, deployment: Option<Digest>) -> Result<bool, Failure> {
        let oauth = self.oauth()?;
        let failed = |failure: AuthFailure| failure.failure();
        let known = match (oauth.known(connection), deployment) {
            (None, Some(deployment)) => self.opened(connection, deployment).await.ok(),
            (known, _) => known,
        };
        let Some(broker) = known else {
            oauth.forget_unopened(connection).map_err(failed)?;
            return Ok(false);
        };
        let tokens = broker.tokens();
        // Forgotten first: what the provider says changes nothing about that.
        Broker::forget(&broker).await.map_err(failed)?;
        // They go to nobody but who gave them.
        let settings = broker.settings();
        let own = tokens.filter(|tokens| settings.seed().is_ok_and(|seed| seed == tokens.seed));
        Ok(match own {
            Some(tokens) => give_back(&oauth, &settings, &tokens).await,
            None => false,
        })
    }
}

impl Flows for Consents {
    fn start(&self, start: Start) -> BoxFuture<'_, Result<Started, Failure>> {
        Box::pin(self.begin(start))
    }

    fn redeem(&self, code: Code) -> BoxFuture<'_, Result<Done, Failure>> {
        Box::pin(self.take(code))
    }

    fn confirm(&self, flow: FlowId, accepted: bool) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.settle(flow, accepted))
    }

    fn redeem_sealed(&self, flow: FlowId, sealed: Vec<u8>) -> BoxFuture<'_, Result<Done, Failure>> {
        Box::pin(async move { self.take_sealed(flow, &sealed).await })
    }

    fn disconnect<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        deployment: Option<Digest>,
    ) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(self.end(connection, deployment))
    }

    fn refresh_wanted(&self, connection: &ConnectionPath, generation: u64) -> bool {
        let known = self.oauth().ok().and_then(|oauth| oauth.known(connection));
        known.is_some_and(|broker| {
            broker.tell(Event::WantedElsewhere(generation));
            true
        })
    }

    fn open_and_refresh<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        generation: u64,
        deployment: Digest,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            self.opened(connection, deployment).await?.tell(Event::WantedElsewhere(generation));
            Ok(())
        })
    }
}

fn unknown() -> Failure {
    Failure::permanent(UNKNOWN, "this agent knows no such consent, or it has expired: begin again")
}

fn changed() -> Failure {
    Failure::permanent(UNKNOWN, "the connection was changed since the consent began, begin again")
}
