//! Secrets and rosters over REST: sealed bytes go in, and none come out.

use serde_json::{Value, json};
use wherry_controller::model::Scope;
use wherry_trust::sealing::{key::SealingKey, roster::Op, secret::SealedSecret};

use crate::support::{Api, Bench, Crew, Disk};

#[tokio::test]
async fn a_secret_is_set_shown_without_its_value_and_removed() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let mut crew = Crew::new(&api.bench).await;
    let mut agent = crew.enrol(&api.bench, "pier-1").await;
    let path = "/v1/environments/prod/secrets/helix";
    let unset = api.get(path).await.with(200);
    assert_eq!(unset, json!({ "version": 0, "next_version": 1, "secret": null }));
    let sealed = |crew: &Crew, version| {
        let (epoch, key) = crew.roster.epoch();
        let sealed = SealedSecret::seal(&crew.place("helix"), version, epoch, &key, b"hunter2", &crew.operator);
        serde_json::from_slice::<Value>(&sealed.unwrap().to_json()).unwrap()
    };
    let early = api.put(path, &json!({ "replaces": 0, "sealed": sealed(&crew, 1) })).await;
    assert_eq!(early.problem(409), "secret.no_keyring");
    crew.found(&api.bench, &mut agent).await;
    let blob = sealed(&crew, 1);
    let set = api.put(path, &json!({ "replaces": 0, "sealed": blob })).await.with(200);
    assert_eq!((&set["version"], &set["epoch"], &set["exposed_to"]), (&json!(1), &json!(1), &json!([])));
    let again = api.put(path, &json!({ "replaces": 0, "sealed": sealed(&crew, 2) })).await;
    assert_eq!(again.problem(409), "secret.changed");
    let listed = api.get("/v1/environments/prod/secrets").await.with(200);
    assert_eq!(listed["items"], json!([set]));
    let shown = api.get(path).await.with(200);
    assert_eq!((&shown["next_version"], &shown["secret"]), (&json!(2), &set));
    for answer in [&listed, &shown, &set] {
        assert!(!answer.to_string().contains(blob["ct"].as_str().unwrap()), "not even the sealed bytes come out");
    }
    assert_eq!(api.delete(path).await.status, 204);
    assert_eq!(api.delete(path).await.problem(404), "secret.not_found");
    assert_eq!(api.get(path).await.with(200)["next_version"], 3);
}

#[tokio::test]
async fn a_roster_is_read_by_readers_and_appended_to_by_administrators_with_an_operators_key() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let mut crew = Crew::new(&api.bench).await;
    let mut agent = crew.enrol(&api.bench, "pier-1").await;
    let path = "/v1/groups/berlin/roster";
    assert_eq!(api.get(path).await.with(200)["n"], 0);
    crew.found(&api.bench, &mut agent).await;
    assert_eq!(api.get("/v1/agents/pier-1").await.with(200)["keys"], "member");
    let recipient = SealingKey::generate().unwrap().public();
    let entry = crew.roster.entry(1, Op::Recovery { key: recipient }, &crew.operator).unwrap();
    let entry = json!({ "entry": String::from_utf8(entry).unwrap() });
    let reader = api.token(&[Scope::Deploy], None).await;
    let mut request = api.json(path, &entry);
    request.headers_mut().insert("authorization", format!("Bearer {reader}").parse().unwrap());
    let refused = api.send(request).await;
    assert_eq!(refused.problem(403), "auth.scope_missing");
    assert_eq!(api.post(path, &entry).await.with(201)["n"], 2);
    let tail = api.get(&format!("{path}?after=1")).await.with(200);
    assert_eq!((&tail["n"], tail["entries"].as_array().unwrap().len()), (&json!(2), 1));
    let none = api.get(&format!("/v1/groups/berlin/wraps?recipient={recipient}")).await.with(200);
    assert_eq!(none["items"], json!([]));
    assert_eq!(api.get("/v1/groups/berlin/joins").await.with(200)["items"], json!([]));
    for (body, code) in [(json!({ "entry": "{}" }), 422), (json!({ "entry": 7 }), 422)] {
        let answer = api.post(path, &body).await;
        assert!(answer.status.as_u16() == code || answer.status.as_u16() == 400, "{}", answer.text());
    }
    assert_eq!(api.delete(path).await.status, 204);
    assert_eq!(api.get(path).await.with(200)["n"], 0);
    assert_eq!(api.delete(path).await.problem(409), "secret.no_keyring");
}
