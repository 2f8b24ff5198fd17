//! A person's consent, with the browser and the controller played by the test.

use std::collections::HashMap;

use futures::future::BoxFuture;
use url::Url;
use wherry_agent::{
    auth::token::Wanted,
    oauth::{
        consent::Deployed,
        flow::{Code, Flows, Start, Started},
    },
};
use wherry_domain::{connection::ConnectionPath, digest::Digest, failure::Failure, id::FlowId};

use super::{group::settled, hub::Hub, rig::path, *};

const REDIRECT: &str = "https://controller.example/oauth/callback";

#[tokio::test]
async fn a_consent_gives_tokens_after_the_persons_word_and_not_before() {
    let world = World::new(json!({})).await;
    let started = world.start(1).await.unwrap();
    let query = query(&started.url);
    let field = |name: &str| query.get(name).map(String::as_str);
    assert_eq!(
        (
            field("response_type"),
            field("client_id"),
            field("redirect_uri"),
            field("code_challenge_method"),
            field("scope")
        ),
        (Some("code"), Some("wherry"), Some(REDIRECT), Some("S256"), Some("read"))
    );
    let state = query["state"].clone();
    assert_eq!(started.state_hash, *wherry_trust::keys::sha256(state.as_bytes()).as_bytes());
    assert!(!query.contains_key("code_verifier") && !started.url.contains("s3cret"));

    let source = world.source();
    assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent");
    world.browser(&query, "code-1");
    let done = world.redeem(1, "code-1", &state, None).await.unwrap();
    assert_eq!((done.label.as_str(), done.scope.as_str(), done.expires_in), ("unknown account", "read", Some(HOUR)));
    assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent", "nobody has said yet that it is theirs");
    world.flows.confirm(flow(1), true).await.unwrap();
    assert_eq!(token(&source).await.unwrap(), "at.1.0");
    world.agent.hand.advance(HOUR + HOUR);
    assert_eq!(token(&source).await.unwrap(), "at.1.1");
    assert_eq!(world.code_of(world.flows.confirm(flow(1), true).await), "oauth.flow_unknown", "once");

    assert!(!world.flows.disconnect(&path(), None).await.unwrap(), "it names no revocation_url");
    assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent");
}

#[tokio::test]
async fn a_code_is_redeemed_once_and_only_where_it_belongs() {
    let world = World::new(json!({ "issuer": "https://issuer.example" })).await;
    let started = world.start(1).await.unwrap();
    let own = query(&started.url);
    world.browser(&own, "code-1");
    let other = World::new(json!({})).await;
    let foreign = query(&other.start(1).await.unwrap().url)["state"].clone();
    let mut turned = own["state"].clone().into_bytes();
    turned[30] ^= 1;
    let turned = String::from_utf8_lossy(&turned).into_owned();
    for state in ["", "x", &foreign, &turned, &format!("{}AAAA", own["state"])] {
        assert_eq!(world.code_of(world.redeem(1, "code-1", state, None).await), "oauth.state_invalid", "{state}");
    }
    let evil = Some("https://evil.example");
    assert_eq!(world.code_of(world.redeem(1, "code-1", &own["state"], evil).await), "oauth.issuer_mismatch");
    assert_eq!(world.code_of(world.redeem(2, "code-1", &own["state"], None).await), "oauth.flow_unknown");
    assert_eq!(world.provider.lock().asked, 0, "nothing of that reached the provider");

    let good = Some("https://issuer.example");
    let both =
        futures::join!(world.redeem(1, "code-1", &own["state"], good), world.redeem(1, "code-1", &own["state"], good));
    assert_eq!([&both.0, &both.1].iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(world.provider.lock().asked, 1);
}

#[tokio::test]
async fn a_code_of_somebody_elses_request_is_refused_by_the_provider_and_ends_the_consent() {
    let world = World::new(json!({})).await;
    let own = query(&world.start(1).await.unwrap().url);
    // The code was made for another verifier.
    world.provider.lock().codes.insert("stolen".to_owned(), "another".to_owned());
    assert_eq!(world.code_of(world.redeem(1, "stolen", &own["state"], None).await), "oauth.refused");
    assert_eq!(world.code_of(world.redeem(1, "stolen", &own["state"], None).await), "oauth.flow_unknown");
}

#[tokio::test]
async fn a_consent_survives_the_process_and_ends_after_ten_minutes() {
    let mut world = World::new(json!({})).await;
    let own = query(&world.start(1).await.unwrap().url);
    world.browser(&own, "code-1");
    world.restart();
    world.redeem(1, "code-1", &own["state"], None).await.unwrap();
    world.restart();
    world.flows.confirm(flow(1), true).await.unwrap();
    assert_eq!(token(&world.source()).await.unwrap(), "at.1.0");

    let next = query(&world.start(2).await.unwrap().url);
    world.browser(&next, "code-2");
    world.agent.hand.advance(Duration::from_secs(601));
    assert_eq!(world.code_of(world.redeem(2, "code-2", &next["state"], None).await), "oauth.flow_unknown");
}

#[tokio::test]
async fn a_declined_account_leaves_nothing_and_a_second_click_replaces_the_first() {
    let world = World::new(json!({})).await;
    let first = query(&world.start(1).await.unwrap().url);
    let second = query(&world.start(2).await.unwrap().url);
    world.browser(&first, "code-1");
    world.browser(&second, "code-2");
    assert_eq!(world.code_of(world.redeem(1, "code-1", &first["state"], None).await), "oauth.flow_unknown");
    world.redeem(2, "code-2", &second["state"], None).await.unwrap();
    world.flows.confirm(flow(2), false).await.unwrap();
    assert_eq!(token(&world.source()).await.unwrap_err(), "oauth.needs_consent");
    assert_eq!(world.code_of(world.flows.confirm(flow(2), true).await), "oauth.flow_unknown");
}

#[tokio::test]
async fn of_two_words_for_one_consent_one_counts() {
    let world = World::new(json!({})).await;
    for (number, second) in [(1, true), (2, false)] {
        let own = query(&world.start(number).await.unwrap().url);
        world.browser(&own, "code");
        world.redeem(number, "code", &own["state"], None).await.unwrap();
        let (first, other) =
            futures::join!(world.flows.confirm(flow(number), true), world.flows.confirm(flow(number), second));
        assert_eq!((first.is_ok(), world.code_of(other).as_str()), (true, "oauth.flow_unknown"));
        assert_eq!(token(&world.source()).await.unwrap(), format!("at.{number}.0"));
    }
}

#[tokio::test]
async fn tokens_that_nobody_can_confirm_any_more_are_revoked() {
    let mut world = World::new(json!({})).await;
    world.settings["revocation_url"] = json!(format!("{}/revoke", world.provider.system.url()));
    world.restart();
    let own = query(&world.start(1).await.unwrap().url);
    world.browser(&own, "code-1");
    // The second click comes while the first code is on its way.
    let (redeemed, second) = futures::join!(world.redeem(1, "code-1", &own["state"], None), world.start(2));
    assert_eq!((world.code_of(redeemed).as_str(), second.is_ok()), ("oauth.flow_unknown", true));
    let state = world.provider.lock();
    assert_eq!((state.asked, state.taken_back.as_slice()), (1, ["rt.1.0".to_owned()].as_slice()));
}

#[tokio::test]
async fn tokens_that_are_not_good_for_the_site_or_whose_sites_nobody_names_are_revoked() {
    let foreign = r#"[{"id":"c-1","url":"https://another.example"}]"#.to_owned();
    for (sites, code) in [(Some(foreign), "oauth.site_not_granted"), (None, "oauth.provider_invalid")] {
        let mut world = World::new(json!({})).await;
        let url = world.provider.system.url();
        world.settings["revocation_url"] = json!(format!("{url}/revoke"));
        world.settings["sites_url"] = json!(format!("{url}/sites"));
        world.restart();
        world.provider.lock().sites = sites;
        let own = query(&world.start(1).await.unwrap().url);
        world.browser(&own, "code-1");
        assert_eq!(world.code_of(world.redeem(1, "code-1", &own["state"], None).await), code);
        assert_eq!(world.provider.lock().taken_back, ["rt.1.0".to_owned()], "{code}");
        assert_eq!(world.code_of(world.flows.confirm(flow(1), true).await), "oauth.flow_unknown");
    }
}

#[tokio::test]
async fn a_connection_that_was_changed_meanwhile_redeems_nothing() {
    let mut world = World::new(json!({})).await;
    let own = query(&world.start(1).await.unwrap().url);
    world.browser(&own, "code-1");
    // A controller that deploys another token endpoint does not get the code, the verifier or the client's secret.
    world.settings["token_url"] = json!("http://127.0.0.1:1/token");
    world.restart();
    assert_eq!(world.code_of(world.redeem(1, "code-1", &own["state"], None).await), "oauth.flow_unknown");
    assert_eq!(world.provider.lock().asked, 0);
}

#[tokio::test]
async fn tokens_that_were_not_used_since_the_start_are_opened_for_another_agent_and_to_be_given_back() {
    let mut world = World::new(json!({})).await;
    world.settings["revocation_url"] = json!(format!("{}/revoke", world.provider.system.url()));
    world.restart();
    let own = query(&world.start(1).await.unwrap().url);
    world.browser(&own, "code-1");
    world.redeem(1, "code-1", &own["state"], None).await.unwrap();
    world.flows.confirm(flow(1), true).await.unwrap();
    world.restart();
    world.agent.hand.advance(HOUR + HOUR);
    let deployment = Digest::from_bytes([0; 32]);
    assert!(!world.flows.refresh_wanted(&path(), 1), "nothing has opened them");
    world.flows.open_and_refresh(&path(), 1, deployment).await.unwrap();
    eventually("the refresh", || world.provider.lock().asked == 2).await;
    assert!(world.flows.refresh_wanted(&path(), 1), "they are open now");
    assert_eq!(settled(&world.source()).await, "at.1.1");

    world.restart();
    let taken_back = async {
        loop {
            match world.flows.disconnect(&path(), Some(deployment)).await {
                // The agent before lets go of the folder with the last of its tasks.
                Err(failure) if failure.code.as_str() == "oauth.location_shared" => tokio::task::yield_now().await,
                ended => break ended,
            }
        }
    };
    let taken_back = tokio::time::timeout(Duration::from_secs(20), taken_back).await.unwrap();
    assert!(taken_back.unwrap(), "the provider has revoked them");
    assert_eq!(world.provider.lock().taken_back, ["rt.1.1".to_owned()]);
}

#[tokio::test]
async fn a_code_that_was_sealed_to_the_group_is_redeemed_and_one_for_another_flow_is_not() {
    let (hub, dir, time) = (Hub::new(), tempfile::tempdir().unwrap(), clock());
    let provider = Provider::start().await;
    let url = provider.system.url();
    let mut settings = client(&url, "authorization_code", json!({ "scope": "read" }));
    settings["authorization_url"] = json!(format!("{url}/authorize"));
    let member = hub.member("pier-1", time.0.clone());
    let agent = Arc::new(Agent::member(dir.path(), &time, member.clone()));
    agent.set("client", "s3cret");
    let flows = agent.oauth.flows(Arc::new(Deployment(Arc::clone(&agent), url, settings))).unwrap();
    let deployment = Digest::from_bytes([0; 32]);
    let start = Start { flow: flow(1), connection: path(), deployment, redirect_uri: REDIRECT.to_owned() };
    let own = query(&flows.start(start).await.unwrap().url);
    provider.lock().codes.insert("code-1".to_owned(), own["code_challenge"].clone());
    let content = wherry_trust::sealing::left::join(&[b"code-1", own["state"].as_bytes(), b""]);
    assert!(flows.redeem_sealed(flow(1), hub.sealed("nothing of the kind", flow(1))).await.is_err());
    assert!(flows.redeem_sealed(flow(2), hub.sealed(&content, flow(2))).await.is_err(), "there is no such flow");
    assert_eq!(provider.lock().asked, 0);
    flows.redeem_sealed(flow(1), hub.sealed(&content, flow(1))).await.unwrap();
    assert_eq!(provider.lock().asked, 1);
}

#[tokio::test]
async fn a_connection_that_was_changed_before_the_persons_word_puts_no_tokens_to_use() {
    for (field, value) in
        [("token_url", "http://127.0.0.1:1/token"), ("client_id", "other"), ("issuer", "https://i.example")]
    {
        let mut world = World::new(json!({})).await;
        let own = query(&world.start(1).await.unwrap().url);
        world.browser(&own, "code-1");
        world.redeem(1, "code-1", &own["state"], None).await.unwrap();
        let before = world.settings.clone();
        world.settings[field] = json!(value);
        world.restart();
        assert_eq!(world.code_of(world.flows.confirm(flow(1), true).await), "oauth.flow_unknown", "{field}");
        world.settings = before;
        world.restart();
        assert_eq!(
            world.code_of(world.flows.confirm(flow(1), true).await),
            "oauth.flow_unknown",
            "{field}: it is gone"
        );
        assert_eq!(token(&world.source()).await.unwrap_err(), "oauth.needs_consent");
    }
}

#[tokio::test]
async fn what_nobody_confirmed_in_time_is_not_kept_over_a_start() {
    let mut world = World::new(json!({})).await;
    let own = query(&world.start(1).await.unwrap().url);
    world.browser(&own, "code-1");
    world.redeem(1, "code-1", &own["state"], None).await.unwrap();
    let records = || std::fs::read_dir(world.dir.path().join("oauth/flows")).unwrap().count();
    let kept = records();
    world.agent.hand.advance(Duration::from_secs(601));
    world.restart();
    let left = std::fs::read_dir(world.dir.path().join("oauth/flows")).unwrap().count();
    assert!(kept > 0 && left < kept, "{kept} files, then {left}");
}

struct World {
    provider: Provider,
    dir: tempfile::TempDir,
    time: (wherry_daemon::clock::Clock, wherry_daemon::clock::Hand),
    settings: serde_json::Value,
    agent: Arc<Agent>,
    flows: Arc<dyn Flows>,
}

struct Deployment(Arc<Agent>, String, serde_json::Value);

impl Deployed for Deployment {
    fn wanted<'a>(&'a self, _: &'a ConnectionPath, _: Digest) -> BoxFuture<'a, Result<Wanted, Failure>> {
        Box::pin(std::future::ready(Ok(self.0.wanted(&self.1, self.2.clone()))))
    }
}

impl World {
    async fn new(more: serde_json::Value) -> Self {
        let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
        let url = provider.system.url();
        let mut settings = client(&url, "authorization_code", json!({ "scope": "read" }));
        settings["authorization_url"] = json!(format!("{url}/authorize?tenant=1"));
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (agent, flows) = begin(&dir, &time, &url, &settings);
        Self { provider, dir, time, settings, agent, flows }
    }

    /// As if the process had ended and begun again.
    fn restart(&mut self) {
        let nothing = tempfile::tempdir().unwrap();
        let url = self.provider.system.url();
        (self.agent, self.flows) = begin(&nothing, &self.time, &url, &self.settings);
        (self.agent, self.flows) = begin(&self.dir, &self.time, &url, &self.settings);
    }

    fn source(&self) -> wherry_agent::auth::Source {
        self.agent.source(&self.provider.system.url(), self.settings.clone()).unwrap()
    }

    async fn start(&self, number: u128) -> Result<Started, Failure> {
        let deployment = Digest::from_bytes([0; 32]);
        let redirect_uri = REDIRECT.to_owned();
        self.flows.start(Start { flow: flow(number), connection: path(), deployment, redirect_uri }).await
    }

    /// The person consents at the provider, which remembers the challenge with the code.
    fn browser(&self, query: &HashMap<String, String>, code: &str) {
        self.provider.lock().codes.insert(code.to_owned(), query["code_challenge"].clone());
    }

    async fn redeem(
        &self,
        number: u128,
        code: &str,
        state: &str,
        iss: Option<&str>,
    ) -> Result<wherry_agent::oauth::flow::Done, Failure> {
        let iss = iss.map(ToOwned::to_owned);
        self.flows.redeem(Code { flow: flow(number), code: code.into(), state: state.into(), iss }).await
    }

    fn code_of<T>(&self, result: Result<T, Failure>) -> String {
        result.err().map(|failure| failure.code.as_str().to_owned()).unwrap_or_default()
    }
}

fn begin(
    dir: &tempfile::TempDir,
    time: &(wherry_daemon::clock::Clock, wherry_daemon::clock::Hand),
    url: &str,
    settings: &serde_json::Value,
) -> (Arc<Agent>, Arc<dyn Flows>) {
    let agent = Arc::new(Agent::alone(dir.path(), time));
    agent.set("client", "s3cret");
    let deployment = Deployment(Arc::clone(&agent), url.to_owned(), settings.clone());
    let flows = agent.oauth.flows(Arc::new(deployment)).unwrap();
    (agent, flows)
}

fn query(url: &str) -> HashMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn flow(number: u128) -> FlowId {
    FlowId::from_u128(number)
}
