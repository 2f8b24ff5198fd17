//! The npm package `oidc-provider`, a certified provider: it rotates refresh tokens and ends a consent when one of them
//! comes twice. Wherry shares no line with it.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use rcgen::{KeyPair, PublicKeyData};
use url::Url;
use wherry_agent::{
    auth::token::Wanted,
    egress::Destination,
    oauth::{
        consent::Deployed,
        flow::{Code, Done, Flows, Start},
    },
};
use wherry_domain::{connection::ConnectionPath, digest::Digest, failure::Failure, id::FlowId};

use super::{hub::Hub, rig::path, *};

const SECRET: &str = "s3cret & more";

#[tokio::test]
async fn every_way_of_a_client_to_prove_itself_is_accepted() {
    let Some(world) = World::start() else { return };
    for (client, secret, more) in [
        ("wherry", SECRET, json!({})),
        ("posts", "s3cret", json!({ "client_authentication": "post" })),
        ("keyed", "", json!({ "client_authentication": "private_key_jwt", "certificate": store() })),
    ] {
        let (dir, time) = (tempfile::tempdir().unwrap(), clock_of_today());
        let agent = Agent::alone(dir.path(), &time);
        agent.set("client", secret);
        agent.set("key", &world.key);
        let mut settings = world.settings("client_credentials", client, "");
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let source = agent.source(&world.url, settings.clone()).unwrap();
        let first = token(&source).await.unwrap_or_else(|code| panic!("{client}: {code}"));
        agent.hand.advance(HOUR);
        assert_ne!(token(&source).await.unwrap(), first, "{client}");

        settings["client_id"] = json!("stranger");
        agent.hand.advance(HOUR);
        let source = agent.source(&world.url, settings).unwrap();
        assert_eq!(token(&source).await.unwrap_err(), "oauth.refused", "{client}");
    }
}

#[tokio::test]
async fn a_consent_is_got_and_refreshed_a_hundred_times_by_five_agents_and_never_ends() {
    let Some(world) = World::start() else { return };
    let (hub, time) = (Hub::new(), clock_of_today());
    let settings = world.settings("authorization_code", "wherry", "openid offline_access");
    let mut dirs = Vec::new();
    let agents: Vec<Arc<Agent>> = (0..5)
        .map(|n| {
            let dir = tempfile::tempdir().unwrap();
            let agent = Agent::member(dir.path(), &time, hub.member(&format!("agent-{n}"), time.0.clone()));
            agent.set("client", SECRET);
            dirs.push(dir);
            Arc::new(agent)
        })
        .collect();
    let done = world.connect(&agents[0], &settings, 1).await.unwrap();
    assert_eq!((done.label.as_str(), done.scope.as_str()), ("ada@example.com", "openid offline_access"));
    let sources: Vec<_> = agents.iter().map(|agent| agent.source(&world.url, settings.clone()).unwrap()).collect();
    let mut last = String::new();
    for round in 0..100 {
        time.1.advance(HOUR);
        let all = futures::future::join_all(sources.iter().map(group::settled)).await;
        assert!(all.iter().all(|token| *token == all[0] && *token != last), "round {round}");
        last.clone_from(&all[0]);
    }
    assert_eq!(world.revoked(&agents[0]).await, "0");
}

#[tokio::test]
async fn a_pushed_request_and_a_client_without_a_secret_work_too() {
    let Some(world) = World::start() else { return };
    for (number, (client, pushed)) in [("wherry", true), ("public", false)].into_iter().enumerate() {
        let (dir, time) = (tempfile::tempdir().unwrap(), clock_of_today());
        let agent = Arc::new(Agent::alone(dir.path(), &time));
        agent.set("client", SECRET);
        let mut settings = world.settings("authorization_code", client, "openid offline_access");
        if pushed {
            settings["par_url"] = json!(format!("{}/request", world.url));
        } else {
            settings.as_object_mut().unwrap().remove("client_secret");
            settings["client_authentication"] = json!("none");
        }
        let done = world.connect(&agent, &settings, number as u128 + 1).await;
        assert_eq!(done.unwrap_or_else(|failure| panic!("{client}: {failure}")).label, "ada@example.com");
        let source = agent.source(&world.url, settings).unwrap();
        let first = token(&source).await.unwrap();
        agent.hand.advance(HOUR);
        assert_ne!(token(&source).await.unwrap(), first, "{client}");
    }
}

#[tokio::test]
async fn a_disconnected_consent_is_revoked_at_the_provider() {
    let Some(world) = World::start() else { return };
    let (dir, time) = (tempfile::tempdir().unwrap(), clock_of_today());
    let agent = Arc::new(Agent::alone(dir.path(), &time));
    agent.set("client", SECRET);
    let mut settings = world.settings("authorization_code", "wherry", "openid offline_access");
    settings["revocation_url"] = json!(format!("{}/token/revocation", world.url));
    world.connect(&agent, &settings, 1).await.unwrap();
    let source = agent.source(&world.url, settings.clone()).unwrap();
    token(&source).await.unwrap();
    let flows = world.flows(&agent, &settings);
    assert!(flows.disconnect(&path(), None).await.unwrap());
    assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent");
    assert_eq!(world.revoked(&agent).await, "1");
}

#[tokio::test]
async fn an_account_is_named_by_the_address_that_the_connection_gives_for_it() {
    let Some(world) = World::start() else { return };
    for (number, (userinfo, label)) in
        [("/me".to_owned(), "ada@example.com"), (format!("{}/me", world.url), "ada@example.com")]
            .into_iter()
            .enumerate()
    {
        let (dir, time) = (tempfile::tempdir().unwrap(), clock_of_today());
        let agent = Arc::new(Agent::alone(dir.path(), &time));
        agent.set("client", SECRET);
        let mut settings = world.settings("authorization_code", "wherry", "openid offline_access");
        settings["userinfo_url"] = json!(userinfo);
        let asked = world.asked();
        assert_eq!(world.connect(&agent, &settings, number as u128 + 1).await.unwrap().label, label, "{userinfo}");
        assert_eq!(world.asked(), asked + 1, "the userinfo endpoint has said it, not the id_token");
    }
}

struct World {
    url: String,
    /// The private key of the client `keyed`, as PEM.
    key: String,
    process: Child,
}

impl Drop for World {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

struct Deployment(Arc<Agent>, String, serde_json::Value);

impl Deployed for Deployment {
    fn wanted<'a>(&'a self, _: &'a ConnectionPath, _: Digest) -> BoxFuture<'a, Result<Wanted, Failure>> {
        Box::pin(std::future::ready(Ok(self.0.wanted(&self.1, self.2.clone()))))
    }
}

impl World {
    /// None where these tests are not wanted.
    fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("WHERRY_OIDC") else {
            eprintln!("skipped: tests against software of others, run them with cargo xtask test --third-party");
            return None;
        };
        let key = KeyPair::generate().unwrap();
        // An uncompressed point of P-256: 0x04, then both coordinates.
        let point = key.der_bytes();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(point.get(range).unwrap());
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65) });
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/oauth/third_party/provider.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .env("WHERRY_OIDC", folder)
            .env("WHERRY_ALG", "ES256")
            .env("WHERRY_JWKS", json!({ "keys": [jwk] }).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("http://127.0.0.1")).unwrap();
        Some(Self { url, key: key.serialize_pem(), process })
    }

    /// How often somebody asked whose a token is.
    fn asked(&self) -> usize {
        let url = Url::parse(&self.url).unwrap();
        let mut stream = std::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /_asked HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer.rsplit("\r\n").next().unwrap().trim().parse().unwrap()
    }

    fn settings(&self, grant: &str, client: &str, scope: &str) -> serde_json::Value {
        let url = &self.url;
        json!({
            "grant": grant, "client_id": client, "client_secret": { "secret": "client" }, "issuer": url,
            "token_url": format!("{url}/token"), "authorization_url": format!("{url}/auth"), "scope": scope,
            // Without it this provider grants no offline_access (OpenID Connect Core, section 11).
            "parameters": { "prompt": "consent" },
        })
    }

    fn flows(&self, agent: &Arc<Agent>, settings: &serde_json::Value) -> Arc<dyn Flows> {
        agent.oauth.flows(Arc::new(Deployment(Arc::clone(agent), self.url.clone(), settings.clone()))).unwrap()
    }

    /// The whole way of a consent.
    async fn connect(&self, agent: &Arc<Agent>, settings: &serde_json::Value, number: u128) -> Result<Done, Failure> {
        let (flows, flow) = (self.flows(agent, settings), FlowId::from_u128(number));
        let redirect_uri = "https://controller.example/oauth/callback".to_owned();
        let deployment = Digest::from_bytes([0; 32]);
        let started = flows.start(Start { flow, connection: path(), deployment, redirect_uri }).await?;
        let landed = self.ask(agent, "POST", "/_browser", &started.url).await;
        let back: HashMap<String, String> = Url::parse(&landed).unwrap().query_pairs().into_owned().collect();
        let field = |name: &str| back.get(name).cloned().unwrap_or_else(|| panic!("no {name} in {landed}"));
        let (code, state) = (field("code").as_str().into(), field("state").as_str().into());
        let done = flows.redeem(Code { flow, code, state, iss: Some(field("iss")) }).await?;
        flows.confirm(flow, true).await?;
        Ok(done)
    }

    async fn revoked(&self, agent: &Agent) -> String {
        self.ask(agent, "GET", "/_revoked", "").await
    }

    async fn ask(&self, agent: &Agent, method: &str, path: &str, body: &str) -> String {
        let calls = agent.wanted(&self.url, self.settings("client_credentials", "wherry", "")).calls;
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let answer = calls(Destination::parse(&self.url).unwrap()).call(request).await.unwrap();
        String::from_utf8(answer.into_body().to_vec()).unwrap()
    }
}

/// A clock that the provider agrees with: signed statements carry the time.
fn clock_of_today() -> (wherry_daemon::clock::Clock, wherry_daemon::clock::Hand) {
    let time = clock();
    time.1.set_wall_unix_millis(wherry_daemon::clock::Clock::system().wall_unix_millis());
    time
}

fn store() -> serde_json::Value {
    json!({ "type": "PEMKEY_BLOB", "store": { "secret": "key" } })
}
