//! Runs: submitting, waiting, repeating, following their fate.

use std::time::Duration;

use axum::http::{Request, header::HeaderValue};
use serde_json::{Value, json};
use wherry_domain::{
    failure::{Code, Failure},
    run::Outcome,
};

use crate::support::{Agent, Api, Bench, Disk};

const LOOK: &str = "/v1/environments/prod/operations/look/runs";

#[tokio::test]
async fn a_run_is_accepted_at_once_and_told_in_full_when_it_is_over() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let accepted = api.post(LOOK, &json!({ "variables": { "table": "Incidents" } })).await.with(202);
    assert_eq!((&accepted["state"], &accepted["attempt"]), (&json!("queued"), &json!(0)));
    assert_eq!((&accepted["operation"], &accepted["submitted_by"]), (&json!("look"), &json!("administrator")));
    assert_eq!(accepted["side_effects"], "read");
    let path = format!("/v1/runs/{}", accepted["id"].as_str().unwrap());
    let mut agent = Agent::online(&api.bench, "pier-1", 1).await;
    let attempt = agent.offer().await.attempt;
    assert_eq!(api.get(&path).await.with(200)["agent"], "pier-1");
    api.bench.hand.advance(Duration::from_millis(250));
    let failure = Failure::permanent(Code::new("record.rejected"), "the target refused it").after_effects(true);
    agent.report(&api.bench, attempt, Outcome::Failed(failure)).await;
    let run = api.get(&format!("{path}?wait_ms=20000")).await.with(200);
    assert_eq!((&run["state"], &run["duration_ms"]), (&json!("failed"), &json!(250)));
    let expected = json!({ "class": "permanent", "code": "record.rejected", "message": "the target refused it",
        "effects_begun": true });
    assert_eq!(run["failure"], expected);
    assert_eq!(run["counts"], json!({ "read": 3, "written": 3, "rejected": 0, "batches": 1 }));
    assert_eq!(run["history"][0]["what"], "dispatched");
    assert!(run["finished_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_caller_who_waits_gets_the_end_or_the_run_as_it_is() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let waited = api.post(&format!("{LOOK}?wait_ms=1"), &json!({})).await.with(202);
    assert_eq!(waited["state"], "queued");
    let mut agent = Agent::online(&api.bench, "pier-1", 1).await;
    let attempt = agent.offer().await.attempt;
    agent.succeed(&api.bench, attempt).await;
    let path = format!("{LOOK}?wait_ms=60000&project=desk");
    let nothing = json!({});
    let (answer, ()) = tokio::join!(api.post(&path, &nothing), async {
        let attempt = agent.offer().await.attempt;
        agent.report(&api.bench, attempt, Outcome::Succeeded).await;
    });
    assert_eq!(answer.with(200)["state"], "succeeded");
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_run_for_the_same_caller_and_request() {
    let mut api = Api::of(Bench::ready(Disk::memory()).await).await;
    let keyed = |api: &Api, key: &str, path: &str, body: Value| -> Request<_> {
        let mut request = api.json(path, &body);
        request.headers_mut().insert("idempotency-key", HeaderValue::from_bytes(key.as_bytes()).unwrap());
        request
    };
    let body = json!({ "variables": { "table": "A" } });
    let first = api.send(keyed(&api, "order-7", LOOK, body.clone())).await.with(202)["id"].clone();
    assert_eq!(api.send(keyed(&api, "order-7", LOOK, body.clone())).await.with(202)["id"], first);
    let other_body = keyed(&api, "order-7", LOOK, json!({ "variables": { "table": "B" } }));
    assert_eq!(api.send(other_body).await.problem(409), "request.idempotency_mismatch");
    let other_place = keyed(&api, "order-7", &LOOK.replace("look", "copy"), body.clone());
    assert_eq!(api.send(other_place).await.problem(409), "request.idempotency_mismatch");
    assert_ne!(api.send(keyed(&api, "order-8", LOOK, body.clone())).await.with(202)["id"], first);
    for bad in ["", &"x".repeat(129), "naïve", "two words", "tab\tbed"] {
        let refused = api.send(keyed(&api, bad, LOOK, body.clone())).await;
        assert_eq!(refused.problem(422), "request.idempotency_invalid", "{bad:?}");
    }
    api.token = api.token(&[wherry_controller::model::Scope::Run], None).await;
    assert_ne!(api.send(keyed(&api, "order-7", LOOK, body)).await.with(202)["id"], first, "another caller's key");
}

#[tokio::test]
async fn runs_are_cancelled_and_repeated() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let run = api.post(LOOK, &json!({})).await.with(202)["id"].as_str().unwrap().to_owned();
    assert_eq!(api.post(&format!("/v1/runs/{run}/retry"), &Value::Null).await.problem(409), "run.still_active");
    let cancelled = api.post(&format!("/v1/runs/{run}/cancel"), &Value::Null).await.with(202);
    assert_eq!(cancelled["state"], "cancelled");
    let again = api.post(&format!("/v1/runs/{run}/retry"), &Value::Null).await.with(202);
    assert_eq!((&again["caused_by"], &again["state"]), (&json!(run), &json!("queued")));
    let unknown = api.post(&LOOK.replace("look", "lok"), &json!({})).await;
    assert!(unknown.text().contains("did you mean look?"));
    assert_eq!(unknown.problem(404), "operation.not_found");
    let undeclared = api.post(LOOK, &json!({ "variables": { "tabel": 1 } })).await;
    assert_eq!(undeclared.problem(422), "run.variable_unknown");
}
