//! Connecting an account: the controller's part, with an agent that answers as a test wants.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use wherry_controller::model::Scope;
use wherry_domain::{
    failure::{Code, Failure},
    id::FlowId,
};
use wherry_proto::frame::{
    ConsentAddress, ConsentedAccount, FromAgent, FromController, OAuthAsked, OAuthOrder, OAuthReport, OAuthSaid,
};
use wherry_trust::{
    keys::sha256,
    sealing::left::{self, Matter, Spot},
};

use crate::support::{Agent, Answer, Api, Bench, Crew, Disk, name};

const OAUTH: &str = "/v1/environments/prod/connections/jira/oauth";
const CONFIRM: &str = "/v1/environments/prod/connections/jira/oauth/confirm";
const STATE: &str = "the-state-of-the-test";

#[tokio::test]
async fn an_account_is_connected_step_by_step_and_the_code_goes_to_the_agent_once() {
    let (api, mut agent) = ready().await;
    let flow = begin(&api, &mut agent).await;
    assert_eq!((flow["state"].as_str(), flow["agent"].as_str()), (Some("waiting"), Some("pier-1")));
    assert_eq!(flow["url"], format!("https://auth.example/authorize?state={STATE}"));
    let page = back(&api, &format!("state={STATE}&code=c-1&iss=https://auth.example")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(!page.text().contains("c-1") && !page.text().contains(STATE));
    let OAuthAsked::Code { code, state, iss, .. } = order(&mut agent).await.asked else { panic!("no code") };
    assert_eq!((code.0.as_str(), state.0.as_str(), iss.as_deref()), ("c-1", STATE, Some("https://auth.example")));
    let again = back(&api, &format!("state={STATE}&code=c-1&iss=https://auth.example")).await;
    assert!(again.status == 400 && again.text().contains("oauth.state_invalid"), "{}", again.text());

    let id: FlowId = flow["flow"].as_str().unwrap().parse().unwrap();
    let account = ConsentedAccount { label: "ada@example.org".into(), scope: "read".into(), expires_in: None };
    say(&api, &agent, OAuthSaid::Redeemed { flow: id, result: Ok(account) }).await;
    let asking = api.get(&format!("{OAUTH}?flow={id}&wait_ms=10000&seen=waiting")).await.with(200);
    assert_eq!((&asking["flow"]["state"], &asking["flow"]["account"]), (&json!("asking"), &json!("ada@example.org")));
    assert_eq!((&asking["state"], asking.get("url")), (&json!("not_connected"), None));

    let (confirmed, ()) = tokio::join!(post(&api, CONFIRM, json!({ "flow": id, "right": true })), async {
        assert_eq!(order(&mut agent).await.asked, OAuthAsked::Confirm { flow: id, accepted: true });
        say(&api, &agent, OAuthSaid::Kept { flow: id, result: Ok(()) }).await;
    });
    assert_eq!(confirmed.with(200)["state"], "done");
    let shown = api.get(OAUTH).await.with(200);
    assert_eq!((&shown["account"], &shown["owner"]), (&json!("ada@example.org"), &json!("pier-1")));
    let audit = api.get("/v1/audit?limit=200").await.with(200).to_string();
    assert!(audit.contains("oauth.connect") && audit.contains("ada@example.org"), "{audit}");
}

#[tokio::test]
async fn a_code_is_sealed_to_the_group_that_has_a_key_if_the_agent_says_that_it_opens_it() {
    let (api, _) = ready().await;
    let mut crew = Crew::of(&api.bench).await;
    let (mut first, _second) = crew.pair(&api.bench, ["pier-8", "pier-9"]).await;
    let body = json!({ "agent": first.agent.id.to_string() });
    let url = format!("https://auth.example/authorize?state={STATE}");
    let (flow, ()) = tokio::join!(post(&api, OAUTH, body), started(&api, &mut first.agent, &url));
    let flow = flow.with(201)["flow"].as_str().unwrap().to_owned();
    assert_eq!(back(&api, &format!("state={STATE}&code=c-1&iss=https://auth.example")).await.status, 200);
    let OAuthAsked::SealedCode { sealed, .. } = order(&mut first.agent).await.asked else { panic!("it is not sealed") };
    assert!(!sealed.0.windows(3).any(|three| three == b"c-1"));
    let spot = |name| Spot { home: (crew.organisation, crew.group), matter: Matter::Code, name };
    let content = left::open(&spot(&flow), &crew.epoch_key, &sealed.0).unwrap();
    let parts = left::split::<3>(&content).unwrap();
    assert_eq!(parts, [&b"c-1"[..], STATE.as_bytes(), b"https://auth.example"]);
    let other = FlowId::from_u128(9).to_string();
    assert!(left::open(&spot(&other), &crew.epoch_key, &sealed.0).is_err(), "it is for this flow alone");
}

#[tokio::test]
async fn no_code_goes_unsealed_to_an_older_agent_of_a_group_that_has_a_key() {
    let (api, _) = ready().await;
    let mut crew = Crew::of(&api.bench).await;
    let (mut first, _second) = crew.pair(&api.bench, ["pier-8", "pier-9"]).await;
    let body = json!({ "agent": first.agent.id.to_string() });
    let older = async {
        let OAuthAsked::Start { flow, .. } = order(&mut first.agent).await.asked else { panic!("no start") };
        let url = format!("https://auth.example/authorize?state={STATE}");
        let address = ConsentAddress { url, state_hash: sha256(STATE.as_bytes()), opens_sealed: false };
        say(&api, &first.agent, OAuthSaid::Started { flow, result: Ok(address) }).await;
    };
    let (refused, ()) = tokio::join!(post(&api, OAUTH, body), older);
    assert_eq!(refused.problem(422), "connection.agent_too_old");
    let late = back(&api, &format!("state={STATE}&code=c-1&iss=https://auth.example")).await;
    assert!(late.text().contains("oauth.state_invalid"), "{}", late.text());
}

#[tokio::test]
async fn a_project_that_is_taken_out_ends_its_consents_and_has_their_tokens_given_back() {
    let (api, mut agent) = ready().await;
    let undeploy = async || api.bench.ledger.undeploy("ada".to_owned(), name("prod"), name("accounts")).await.unwrap();
    let flow = begin(&api, &mut agent).await;
    let id: FlowId = flow["flow"].as_str().unwrap().parse().unwrap();
    undeploy().await;
    assert_eq!(order(&mut agent).await.asked, OAuthAsked::Confirm { flow: id, accepted: false });
    let ended = api.bench.ledger.flow(id).await.unwrap().borrow().clone();
    assert_eq!((ended.state, ended.failure.unwrap().code.as_str()), ("failed", "oauth.connection_unknown"));
    let late = back(&api, &format!("state={STATE}&code=c&iss=https://auth.example")).await;
    assert!(late.text().contains("oauth.state_invalid"), "{}", late.text());

    deploy(&api.bench).await;
    let flow = begin(&api, &mut agent).await;
    let id: FlowId = flow["flow"].as_str().unwrap().parse().unwrap();
    back(&api, &format!("state={STATE}&code=c&iss=https://auth.example")).await;
    order(&mut agent).await;
    let account = ConsentedAccount { label: "ada@example.org".into(), scope: String::new(), expires_in: None };
    say(&api, &agent, OAuthSaid::Redeemed { flow: id, result: Ok(account) }).await;
    api.bench.settle().await;
    let (confirmed, ()) = tokio::join!(post(&api, CONFIRM, json!({ "flow": id, "right": true })), async {
        order(&mut agent).await;
        say(&api, &agent, OAuthSaid::Kept { flow: id, result: Ok(()) }).await;
    });
    assert_eq!(confirmed.with(200)["state"], "done");
    undeploy().await;
    let OAuthOrder { connection, request, asked } = order(&mut agent).await;
    assert!(matches!(asked, OAuthAsked::Disconnect { deployment: Some(_) }), "{asked:?}");
    let report = OAuthReport { connection, request, said: OAuthSaid::Disconnected(Ok(true)) };
    agent.say(&api.bench, FromAgent::OAuth(report)).await;
    deploy(&api.bench).await;
    assert_eq!(api.get(OAUTH).await.with(200)["state"], "not_connected");
}

/// H32 of the design: what a browser may bring instead of what it should.
#[tokio::test]
async fn whatever_else_comes_to_the_callback_is_refused_and_nothing_of_it_is_shown() {
    let (api, mut agent) = ready().await;
    begin(&api, &mut agent).await;
    let long = "x".repeat(60_000);
    let iss = "iss=https://auth.example";
    for (query, status, code) in [
        (format!("code=c&{iss}"), 400, "oauth.state_invalid"),
        (format!("state=&code=c&{iss}"), 400, "oauth.state_invalid"),
        (format!("state={STATE}&state={STATE}&code=c&{iss}"), 400, "oauth.state_invalid"),
        (format!("state={STATE}&state=other&code=c&{iss}"), 400, "oauth.state_invalid"),
        (format!("state=of-another-flow&code=c&{iss}"), 400, "oauth.state_invalid"),
        (format!("state={}&code=c&{iss}", "s".repeat(4_097)), 400, "oauth.state_invalid"),
        (format!("state={STATE}&{iss}"), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code=&{iss}"), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code=a&code=b&{iss}"), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code=c&error=access_denied&{iss}"), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code={}&{iss}", "c".repeat(4_097)), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code={long}&{iss}"), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code=c&{iss}&{iss}"), 400, "oauth.callback_invalid"),
        (format!("state={STATE}&code=c&{}", "a=1&".repeat(100)), 400, "oauth.callback_invalid"),
        ("error=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(), 400, "oauth.state_invalid"),
        ("state=%00%ff%3Cscript%3E&code=%3Cscript%3E".to_owned(), 400, "oauth."),
        (String::new(), 400, "oauth.state_invalid"),
    ] {
        let page = back(&api, &query).await;
        let (short, text) = (&query[..query.len().min(120)], page.text());
        assert_eq!(page.status.as_u16(), status, "{short}: {text}");
        assert!(text.contains(code), "{short}: {text}");
        is_harmless(&page);
    }
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let page = request(&api, method.clone(), &format!("state={STATE}&code=c&{iss}")).await;
        assert_eq!((page.status.as_u16(), page.headers[header::ALLOW].to_str().unwrap()), (405, "GET"), "{method}");
    }
    // After all that the flow still waits for the real answer.
    assert_eq!(back(&api, &format!("state={STATE}&code=c&{iss}")).await.status, 200);
    assert!(matches!(order(&mut agent).await.asked, OAuthAsked::Code { .. }));
}

#[tokio::test]
async fn a_foreign_issuer_and_a_refusal_end_the_flow_without_a_code() {
    for (answer, code) in [
        ("code=c&iss=https://evil.example", "oauth.issuer_mismatch"),
        ("code=c", "oauth.issuer_mismatch"),
        ("error=access_denied&iss=https://auth.example", "oauth.consent_refused"),
        ("error=%3Cscript%3E&error_description=%3Cimg%3E&iss=https://auth.example", "oauth.consent_refused"),
    ] {
        let (api, mut agent) = ready().await;
        let flow = begin(&api, &mut agent).await;
        let page = back(&api, &format!("state={STATE}&{answer}")).await;
        assert!(page.status == 400 && page.text().contains(code), "{answer}: {}", page.text());
        is_harmless(&page);
        let told = order(&mut agent).await.asked;
        assert!(matches!(told, OAuthAsked::Confirm { accepted: false, .. }), "{answer}: {told:?}");
        let id = flow["flow"].as_str().unwrap();
        let shown = api.get(&format!("{OAUTH}?flow={id}")).await.with(200);
        assert_eq!(shown["flow"]["failure"]["code"], code);
        let late = back(&api, &format!("state={STATE}&code=c&iss=https://auth.example")).await;
        assert!(late.text().contains("oauth.state_invalid"), "a flow that ended takes nothing more");
    }
}

#[tokio::test]
async fn an_address_that_nobody_approved_is_not_shown_to_anybody() {
    for url in [
        "https://evil.example/authorize",
        "https://auth.example.evil.example/authorize",
        "https://auth.example@evil.example/authorize",
        "http://auth.example/authorize",
        "https://auth.example:8443/authorize",
        "javascript:alert(1)",
        "",
    ] {
        let (api, mut agent) = ready().await;
        let (refused, ()) = tokio::join!(post(&api, OAUTH, json!({})), started(&api, &mut agent, url));
        assert_eq!(refused.problem(422), "oauth.address_refused", "{url}");
    }
}

#[tokio::test]
async fn only_whoever_began_a_flow_confirms_it_and_the_wrong_account_is_forgotten() {
    let (api, mut agent) = ready().await;
    let flow = begin(&api, &mut agent).await;
    let id: FlowId = flow["flow"].as_str().unwrap().parse().unwrap();
    let word = |right: bool| json!({ "flow": id, "right": right });
    assert_eq!(api.post(CONFIRM, &word(true)).await.problem(409), "oauth.nothing_to_confirm");
    back(&api, &format!("state={STATE}&code=c&iss=https://auth.example")).await;
    order(&mut agent).await;
    let account = ConsentedAccount { label: "eve@example.org".into(), scope: String::new(), expires_in: None };
    say(&api, &agent, OAuthSaid::Redeemed { flow: id, result: Ok(account) }).await;
    api.bench.settle().await;
    let colleague = api.token(&[Scope::Deploy], None).await;
    let mut request = api.json(CONFIRM, &word(true));
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {colleague}").parse().unwrap());
    assert_eq!(api.send(request).await.problem(403), "oauth.other_caller");
    assert_eq!(api.post(CONFIRM, &word(false)).await.with(200)["failure"]["code"], "oauth.account_declined");
    assert_eq!(order(&mut agent).await.asked, OAuthAsked::Confirm { flow: id, accepted: false });
    assert_eq!(api.get(OAUTH).await.with(200)["state"], "not_connected");
}

#[tokio::test]
async fn a_flow_ends_by_itself_after_ten_minutes_and_with_a_newer_one() {
    let (api, mut agent) = ready().await;
    begin(&api, &mut agent).await;
    for _ in 0..60 {
        agent.beat(&api.bench, &[]).await;
        api.bench.pass(Duration::from_secs(10)).await;
    }
    let late = back(&api, &format!("state={STATE}&code=c&iss=https://auth.example")).await;
    assert!(late.text().contains("oauth.state_invalid"), "{}", late.text());
    let first = begin(&api, &mut agent).await["flow"].clone();
    let second = begin(&api, &mut agent).await["flow"].clone();
    assert_ne!(first, second);
    let path = format!("{OAUTH}?flow={}", first.as_str().unwrap());
    assert_eq!(api.get(&path).await.problem(404), "oauth.flow_not_found");
}

#[tokio::test]
async fn tokens_are_given_back_by_the_agent_that_has_them() {
    let (api, mut agent) = ready().await;
    assert_eq!(api.delete(OAUTH).await.problem(404), "oauth.not_connected");
    begin(&api, &mut agent).await;
    let (gone, ()) = tokio::join!(api.delete(OAUTH), async {
        loop {
            let OAuthOrder { connection, request, asked } = order(&mut agent).await;
            if matches!(asked, OAuthAsked::Disconnect { deployment: Some(_) }) {
                let said = OAuthSaid::Disconnected(Ok(true));
                let report = OAuthReport { connection, request, said };
                return agent.say(&api.bench, FromAgent::OAuth(report)).await;
            }
        }
    });
    assert_eq!(gone.with(200)["revoked"], true);
    begin(&api, &mut agent).await;
    api.bench.ledger.close_session(agent.id, agent.epoch).await;
    assert_eq!(api.delete(OAUTH).await.problem(503), "oauth.owner_away");
    assert_eq!(api.delete(&format!("{OAUTH}?force=true")).await.with(200)["revoked"], false);
}

#[tokio::test]
async fn what_no_person_can_connect_is_refused() {
    let (api, agent) = ready().await;
    let other = "/v1/environments/prod/connections/tracker/oauth";
    assert_eq!(api.post(other, &json!({})).await.problem(409), "oauth.not_interactive");
    assert_eq!(api.get(other).await.problem(409), "oauth.not_oauth");
    assert_eq!(api.get(&format!("{OAUTH}?wait_ms=70000")).await.problem(422), "request.query_invalid");
    let reader = api.token(&[Scope::Read], None).await;
    let mut request = api.json(OAUTH, &json!({}));
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {reader}").parse().unwrap());
    assert_eq!(api.send(request).await.problem(403), "auth.scope_missing");
    api.bench.ledger.close_session(agent.id, agent.epoch).await;
    assert_eq!(api.post(OAUTH, &json!({})).await.problem(503), "connection.no_agent");
}

#[tokio::test]
async fn what_the_agent_cannot_do_is_told_in_its_words() {
    let (api, mut agent) = ready().await;
    let failure = Failure::permanent(Code::new("secret.missing"), "the client secret is not set");
    let (refused, ()) = tokio::join!(post(&api, OAUTH, json!({})), async {
        let OAuthAsked::Start { flow, .. } = order(&mut agent).await.asked else { panic!("no start") };
        say(&api, &agent, OAuthSaid::Started { flow, result: Err(failure) }).await;
    });
    assert_eq!(refused.problem(422), "secret.missing");
}

async fn ready() -> (Api, Agent) {
    let bench = Bench::ready(Disk::memory()).await;
    deploy(&bench).await;
    let agent = Agent::online(&bench, "pier-1", 4).await;
    (Api::of(bench).await, agent)
}

async fn deploy(bench: &Bench) {
    let auth = json!({
        "type": "oauth2", "grant": "authorization_code", "client_id": "ours", "issuer": "https://auth.example",
        "authorization_url": "https://{{ vars.host }}/authorize", "token_url": "https://auth.example/token",
    });
    let document = json!({
        "name": "accounts",
        "variables": { "host": "auth.example" },
        "connections": { "jira": { "connector": "http", "url": "https://jira.example", "auth": auth } },
    });
    let project = serde_json::from_value(document).unwrap();
    bench.ledger.deploy("test".to_owned(), name("prod"), project, false).await.unwrap();
}

/// Begins a flow, with an agent that does its part.
async fn begin(api: &Api, agent: &mut Agent) -> Value {
    let url = format!("https://auth.example/authorize?state={STATE}");
    let (begun, ()) = tokio::join!(post(api, OAUTH, json!({})), started(api, agent, &url));
    begun.with(201)
}

async fn post(api: &Api, path: &str, body: Value) -> Answer {
    api.post(path, &body).await
}

async fn started(api: &Api, agent: &mut Agent, url: &str) {
    loop {
        if let OAuthAsked::Start { flow, redirect_uri, .. } = order(agent).await.asked {
            assert_eq!(redirect_uri, "https://controller.example:8443/oauth/callback");
            let address =
                ConsentAddress { url: url.to_owned(), state_hash: sha256(STATE.as_bytes()), opens_sealed: true };
            return say(api, agent, OAuthSaid::Started { flow, result: Ok(address) }).await;
        }
    }
}

async fn order(agent: &mut Agent) -> OAuthOrder {
    loop {
        if let FromController::OAuth(order) = agent.frame().await {
            return order;
        }
    }
}

async fn say(api: &Api, agent: &Agent, said: OAuthSaid) {
    let report = OAuthReport { connection: "prod/accounts/jira".parse().unwrap(), request: 0, said };
    agent.say(&api.bench, FromAgent::OAuth(report)).await;
}

async fn back(api: &Api, query: &str) -> Answer {
    request(api, Method::GET, query).await
}

/// As a browser asks: without a token.
async fn request(api: &Api, method: Method, query: &str) -> Answer {
    let uri = format!("/oauth/callback?{query}");
    api.send(Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()).await
}

fn is_harmless(page: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.headers[name], value);
    }
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let text = page.text();
    for shown in ["<script", "<img", STATE, "xxxx", "evil.example"] {
        assert!(!text.contains(shown), "{shown} is shown: {text}");
    }
}
