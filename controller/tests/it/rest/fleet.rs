//! Environments, groups and agents, as people see and steer them.

use std::io::Cursor;

use serde_json::{Value, json};
use wherry_domain::{digest::Digest, failure::Code};
use wherry_proto::frame::{FromAgent, Hello, Holding, HoldingState, Inventory, Stock};
use wherry_trust::token::{EnrolmentToken, SpkiPin};

use crate::support::{Agent, Api, Bench, Disk, name, request};

#[tokio::test]
async fn an_environment_in_use_is_not_removed_and_the_answer_names_what_uses_it() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let made = api.post("/v1/environments", &json!({ "name": "test", "group": "paris" })).await.with(201);
    assert_eq!((&made["name"], &made["group"]), (&json!("test"), &json!("paris")));
    assert!(made["id"].as_str().unwrap().starts_with("env_"));
    let listed = api.get("/v1/environments").await.with(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let refused = api.delete("/v1/environments/prod").await;
    assert!(refused.text().contains("desk"), "{}", refused.text());
    assert_eq!(refused.problem(409), "resource.in_use");
    api.bench.submit("look").await;
    let refused = api.delete("/v1/environments/prod").await;
    assert!(refused.text().contains("1 run"), "{}", refused.text());
    assert_eq!(api.delete("/v1/environments/test").await.status, 204);
    assert_eq!(api.get("/v1/environments/test").await.problem(404), "environment.not_found");
    let groups = api.get("/v1/groups").await.with(200);
    let names: Vec<_> = groups["items"].as_array().unwrap().iter().map(|group| &group["name"]).collect();
    assert_eq!(names.len(), 2, "{groups}");
}

#[tokio::test]
async fn an_agent_is_invited_shown_and_steered() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let status = api.get("/v1/status").await.with(200);
    assert_eq!(status["store"]["audit"]["sound"], true);
    let pin: SpkiPin = status["ca_pin"].as_str().unwrap().parse().unwrap();
    let token = EnrolmentToken::generate(pin).unwrap();
    let new =
        json!({ "token_id": token.id().as_str(), "auth_hash": token.auth_hash().to_string(), "expires_in_s": 600 });
    let made = api.post("/v1/groups/berlin/enrolment-tokens", &new).await.with(201);
    assert_eq!(
        (&made["group"], &made["agent_endpoint"]),
        (&json!("berlin"), &json!("https://controller.example:8444"))
    );
    let twice = api.post("/v1/groups/berlin/enrolment-tokens", &new).await;
    assert_eq!(twice.problem(409), "token.exists");
    api.bench.ledger.admit(request(&token, "pier-7", b"key")).await.unwrap();

    let shown = api.get("/v1/agents/pier-7").await.with(200);
    assert_eq!(
        (&shown["state"], &shown["group"], &shown["draining"]),
        (&json!("awaiting"), &json!("berlin"), &json!(false))
    );
    assert_eq!(api.get(&format!("/v1/agents/{}", shown["id"].as_str().unwrap())).await.with(200), shown);
    let listed = async |path: &str| api.get(path).await.with(200)["items"].as_array().unwrap().len();
    assert_eq!((listed("/v1/agents?group=berlin").await, listed("/v1/agents?group=paris").await), (1, 0));

    let steer = async |verb: &str, why: Value| api.post(&format!("/v1/agents/pier-7/{verb}"), &why).await.with(200);
    assert_eq!(steer("drain", json!({})).await["draining"], true);
    assert_eq!(steer("resume", json!({})).await["draining"], false);
    let locked = steer("lock", json!({ "reason": format!("lost\u{1b}[2J {}", "x".repeat(500)) })).await;
    let reason = locked["locked"].as_str().unwrap();
    assert!(reason.starts_with("lost[2J x") && reason.chars().count() == 200, "{reason}");
    assert_eq!(locked["state"], "locked");
    assert_eq!(api.get("/v1/status").await.with(200)["agents"]["locked"], 1);
    assert_ne!(steer("unlock", json!({})).await["state"], "locked");
    assert_eq!(api.delete("/v1/agents/pier-7").await.status, 204);
    assert_eq!(listed("/v1/agents").await, 0);
}

#[tokio::test]
async fn the_status_counts_and_a_copy_can_be_put_back() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let _agent = Agent::online(&api.bench, "pier-1", 1).await;
    for _ in 0..3 {
        api.bench.submit("look").await;
    }
    api.bench.settle().await;
    let status = api.get("/v1/status").await.with(200);
    assert_eq!((&status["agents"], &status["runs"]), (&json!({ "live": 1 }), &json!({ "leased": 1, "queued": 2 })));
    assert!(status["store"]["commits"].as_u64().unwrap() > 0);

    let copy = api.post("/v1/backup", &Value::Null).await;
    assert_eq!(
        (copy.status.as_u16(), &copy.headers["content-type"]),
        (200, &"application/octet-stream".parse().unwrap())
    );
    let folder = tempfile::tempdir().unwrap();
    wherry_controller::backup::restore(folder.path(), &mut Cursor::new(copy.bytes)).unwrap();
}

#[tokio::test]
async fn agents_that_differ_and_walls_that_are_missing_are_shown() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let mut agent = Agent::enrol(&api.bench, "pier-1", 1).await;
    let _old = Agent::online(&api.bench, "pier-2", 1).await;
    let differing = async || {
        let versions = api.get("/v1/connectors/http/versions").await.with(200);
        versions["items"][0]["environments"][0]["differing"].clone()
    };
    let away = json!({ "agent": "pier-1", "state": "away" });
    let old = json!({ "agent": "pier-2", "state": "no_locks" });
    assert_eq!(differing().await, json!([away, old]));
    let counts = async || {
        let versions = api.get("/v1/connectors/http/versions").await.with(200);
        let here = versions["items"][0]["environments"][0].clone();
        let standing = api.get("/v1/environments/prod/connectors").await.with(200)["items"][0].clone();
        assert_eq!((&here["agents"], &here["agents_away"]), (&standing["agents"], &standing["agents_away"]));
        json!([here["agents"], here["agents_away"], here["ready"]])
    };
    assert_eq!(counts().await, json!([0, 1, 0]), "an agent that is away counts");
    let shown = api.get("/v1/agents/pier-1").await.with(200);
    let wanted = json!([{ "connector": "http", "version": "1.0.0", "on_trial": false }]);
    let version = api.bench.ledger.stand(name("prod")).await.unwrap().lock.version;
    let stock = json!({ "environment": "prod", "wanted_lock_version": version, "connectors": [], "wanted": wanted });
    assert_eq!(shown["stock"][1], stock, "what it has is not known");
    let known = api.get("/v1/connectors/http/versions").await.with(200)["items"][0]["digest"].clone();
    let (here, stranger) = (known.as_str().unwrap().parse().unwrap(), Digest::from_bytes([7; 32]));
    let hello = Hello { catalogue: true, connectors: vec![stranger, here], ..agent.hello(&[]) };
    agent.greet(&api.bench, hello).await.unwrap();
    assert_eq!(counts().await, json!([1, 0, 0]));
    let components = api.get("/v1/agents/pier-1").await.with(200)["components"].clone();
    let named = json!({ "digest": known, "connector": "http", "version": "1.0.0" });
    assert_eq!(components, json!([named, { "digest": stranger.to_string() }]));
    let lock = api.bench.ledger.stand(name("prod")).await.unwrap().lock;
    let http = &lock.connectors[&name("http")];
    let holding = |digest, state| Holding {
        connector: name("http"),
        version: http.version.clone(),
        digest,
        state,
        instead: None,
    };
    let said = |lock_version, holding, refusal| {
        let stock = Stock { environment: name("prod"), lock_version, holdings: vec![holding] };
        let walls = vec!["no landlock".to_owned()];
        FromAgent::Inventory(Inventory { environments: vec![stock], refusal, walls, ..Inventory::default() })
    };
    let expired = (Code::new("catalogue.expired"), "it is old".to_owned());
    let another = holding(Digest::from_bytes([9; 32]), HoldingState::Ready);
    agent.say(&api.bench, said(lock.version - 1, another, Some(expired))).await;
    api.bench.settle().await;
    let behind = json!({
        "agent": "pier-1", "has": "1.0.0", "state": "behind", "code": "catalogue.expired", "message": "it is old",
    });
    assert_eq!(differing().await, json!([behind, old]));
    assert_eq!(api.get("/v1/agents/pier-1").await.with(200)["missing_walls"], json!(["no landlock"]));
    let broke = HoldingState::Quarantined { code: Code::new("sandbox.trap"), message: "it broke".to_owned() };
    let quarantined = Holding { instead: Some("0.9.0".parse().unwrap()), ..holding(http.wasm, broke) };
    agent.say(&api.bench, said(lock.version, quarantined, None)).await;
    api.bench.settle().await;
    let quarantined = json!({
        "agent": "pier-1", "has": "0.9.0", "state": "quarantined", "code": "sandbox.trap", "message": "it broke",
    });
    assert_eq!(differing().await, json!([quarantined, old]));
    let shown = api.get("/v1/agents/pier-1").await.with(200);
    assert_eq!(shown["stock"][0]["connectors"][0]["instead"], "0.9.0");
    agent.say(&api.bench, said(lock.version, holding(http.wasm, HoldingState::Ready), None)).await;
    api.bench.settle().await;
    assert_eq!(differing().await, json!([old]));
}
