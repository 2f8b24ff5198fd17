//! Actions, with an agent that says what a test wants.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use serde_json::{Value, json};
use wherry_controller::model::Scope;
use wherry_domain::{
    failure::{Code, Failure},
    id::RunId,
    run::{Outcome, State},
};
use wherry_proto::frame::{Answer, Ask, Ending, FromAgent, FromController, Offer, Question, Report};
use wherry_trust::release::{DescriptorDigest, Publisher, Release, one_line, sign_release};

use crate::support::{Agent, Answer as Answered, Api, Bench, Disk, desk, name, publisher_key, release, soon};

pub(super) const DEPLOYMENTS: &str = "/v1/environments/prod/deployments";
pub(super) const POST: &str = "/v1/environments/prod/actions/crm/post";
const LIST: &str = "/v1/environments/prod/actions/crm/list";

/// The desk's project, whose operation `look` names an alias.
pub(super) fn aliased() -> Value {
    let mut project = serde_json::to_value(desk()).unwrap();
    project["aliases"] = json!({ "crm": { "connector": "http" } });
    project["operations"]["look"]["source"]["connection"] = json!("crm");
    project["connections"]["other"] = json!({ "connector": "http", "url": "https://other.example" });
    project
}

pub(super) async fn plain() -> Api {
    Api::of(Bench::ready(Disk::memory()).await).await
}

/// With the alias `crm` deployed, and answers allowed to leave.
pub(super) async fn ready() -> Api {
    ready_on(Disk::memory()).await
}

async fn ready_on(disk: Disk) -> Api {
    let api = Api::of(Bench::ready(disk).await).await;
    api.put("/v1/environments/prod/projects/desk/aliases/crm", &json!({ "connection": "tracker" })).await.with(200);
    api.post(DEPLOYMENTS, &json!({ "project": aliased() })).await.with(201);
    api.put("/v1/policies/allow_answers", &json!({ "value": true })).await.with(200);
    api
}

#[tokio::test]
async fn an_action_goes_to_an_agent_as_a_run_and_its_answer_to_the_caller_and_nowhere_else() {
    let api = ready_on(Disk::sled()).await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let body = json!({ "with": { "table": "needle-in" }, "records": [{ "a": 1 }, { "a": 2 }] });
    let call = request(&api, POST, &body, "k-1");
    let (answered, offer) = tokio::join!(api.send(call), async {
        let offer = agent.offer().await;
        let action = offer.action.clone().unwrap();
        assert_eq!((action.connection.as_str(), action.activity.as_str(), action.answer), ("tracker", "post", true));
        assert_eq!(action.with, b"{\"table\":\"needle-in\"}");
        assert_eq!(action.records, b"{\"a\":1}\n{\"a\":2}\n");
        assert!(action.time <= Duration::from_secs(30) && action.time > Duration::from_secs(20));
        assert!(offer.operation.as_str().starts_with("action-"), "an older agent knows no such operation");
        end(&api, &mut agent, &offer, Outcome::Succeeded, Some("{\"records\":[\"needle-out\"]}")).await;
        offer
    });
    let done = answered.with(200);
    assert_eq!(done["answer"], json!({ "records": ["needle-out"] }));
    assert_eq!(done["connection"], "tracker");
    let run = api.get(&format!("/v1/runs/{}", offer.attempt.run)).await.with(200);
    assert_eq!((&run["kind"], &run["operation"], &run["activity"]), (&json!("action"), &json!("crm"), &json!("post")));
    for secret in ["needle-in", "needle-out"] {
        assert!(!api.bench.holds(secret).await, "{secret} is stored");
    }
    assert!(api.bench.holds(&format!("{}", offer.attempt.run)).await, "the run itself is");
    // The same once more: the agent is asked for the answer, and nothing is done.
    let (again, ()) = tokio::join!(api.send(request(&api, POST, &body, "k-1")), async {
        let ask = asked(&mut agent).await;
        assert_eq!(ask.question, Question::Recall { run: offer.attempt.run });
        let result = Ok(b"{\"records\":[\"needle-out\"]}".to_vec());
        let answer = Answer { id: ask.id, duration: Duration::ZERO, result, path: None };
        agent.say(&api.bench, FromAgent::Answer(answer)).await;
    });
    let again = again.with(200);
    assert_eq!((&again["repeated"], &again["answer"], &again["run"]), (&json!(true), &done["answer"], &done["run"]));
    // The policy of now counts, not the one of then.
    api.put("/v1/policies/allow_answers", &json!({ "value": false })).await.with(200);
    let kept = api.send(request(&api, POST, &body, "k-1")).await.with(200);
    assert_eq!((&kept["code"], &kept["answer"]), (&json!("action.answers_not_allowed"), &Value::Null));
    let other = request(&api, POST, &json!({ "with": { "table": "b" } }), "k-1");
    assert_eq!(api.send(other).await.problem(409), "request.idempotency_mismatch");
    let retry = api.post(&format!("/v1/runs/{}/retry", offer.attempt.run), &json!({})).await;
    assert_eq!(retry.problem(409), "run.succeeded");
}

#[tokio::test]
async fn without_the_policy_a_read_is_refused_before_anything_runs_and_a_write_gives_counts() {
    let api = ready().await;
    api.put("/v1/policies/allow_answers", &json!({ "value": false })).await.with(200);
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    assert_eq!(api.post(LIST, &json!({})).await.problem(403), "action.answers_not_allowed");
    assert!(agent.offers(&api.bench).await.is_empty());
    let (answered, ()) = tokio::join!(post(&api, json!({ "records": [{}] })), async {
        let offer = agent.offer().await;
        assert!(!offer.action.as_ref().unwrap().answer);
        // Even an agent that says too much is not passed on.
        end(&api, &mut agent, &offer, Outcome::Succeeded, Some("{\"records\":[1]}")).await;
    });
    let done = answered.with(200);
    assert_eq!(
        (&done["code"], &done["answer"], &done["written"]),
        (&json!("action.answers_not_allowed"), &Value::Null, &json!(3))
    );
}

#[tokio::test]
async fn each_end_of_an_action_has_its_status_and_names_its_run() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let fails =
        |code: &str| Outcome::Failed(Failure::permanent(Code::received(code), "it went wrong").after_effects(true));
    for (code, status) in [("http.server_error", 502), ("record.rejected", 422), ("action.timed_out", 504)] {
        let (answered, ()) = tokio::join!(post(&api, json!({})), async {
            let offer = agent.offer().await;
            end(&api, &mut agent, &offer, fails(code), None).await;
        });
        assert!(answered.text().contains("\"run\":\"run_"), "{}", answered.text());
        assert_eq!(answered.problem(status), code);
    }
    assert_eq!(
        api.post("/v1/environments/prod/actions/cmr/post", &json!({})).await.problem(404),
        "connection.not_found"
    );
    assert_eq!(
        api.post("/v1/environments/prod/actions/crm/pots", &json!({})).await.problem(404),
        "action.activity_unknown"
    );
    assert_eq!(api.post(&format!("{POST}?timeout=61s"), &json!({})).await.problem(422), "request.query_invalid");
    assert_eq!(api.post(LIST, &json!({ "records": [1] })).await.problem(422), "action.input_invalid");
}

#[tokio::test]
async fn an_agent_lost_in_the_middle_of_an_unsafe_action_leaves_it_unknown_and_nobody_does_it_again() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let call = request(&api, &format!("{POST}?timeout=60s"), &json!({}), "once");
    let (answered, offer) = tokio::join!(api.send(call), async {
        let offer = agent.offer().await;
        let report = agent.ended(offer.attempt, Ending::Interrupted);
        agent.say(&api.bench, FromAgent::Result(report)).await;
        offer
    });
    assert_eq!(answered.problem(504), "action.unknown");
    assert_eq!(api.bench.state(offer.attempt.run).await, "unknown");
    let again = api.send(request(&api, &format!("{POST}?timeout=60s"), &json!({}), "once")).await;
    assert_eq!(again.problem(504), "action.unknown");
    // What it was called with is gone, so that nobody can repeat it.
    let retry = api.post(&format!("/v1/runs/{}/retry", offer.attempt.run), &json!({})).await;
    assert_eq!(retry.problem(409), "action.not_repeatable");
    let heard = agent.heard(&api.bench).await;
    assert!(!heard.iter().any(|frame| matches!(frame, FromController::Offer(_))), "{heard:?}");
    assert_eq!(api.bench.state(offer.attempt.run).await, "unknown");
}

#[tokio::test]
async fn an_action_whose_agent_was_lost_is_never_told_as_cancelled_unless_it_only_reads() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let upsert = "/v1/environments/prod/actions/crm/upsert";
    for (path, status, code) in [(upsert, "failed", "action.unknown"), (LIST, "cancelled", "action.timed_out")] {
        let path = format!("{path}?timeout=60s");
        let (answered, offer) = tokio::join!(api.send(request(&api, &path, &json!({}), code)), async {
            let offer = agent.offer().await;
            // Longer than the lease, so that the time of the call is over, too.
            api.bench.pass(Duration::from_secs(75)).await;
            offer
        });
        assert_eq!(answered.problem(504), code);
        assert_eq!(api.bench.state(offer.attempt.run).await, status);
        let again = api.send(request(&api, &path, &json!({}), code)).await;
        assert_eq!(again.problem(504), code);
        let outcome = api.bench.run(offer.attempt.run).await.stored.state;
        if let State::Finished { outcome: Outcome::Failed(failure) } = outcome {
            assert_eq!((failure.code.as_str(), failure.effects_begun), ("run.agent_lost", true));
        }
        agent.connect(&api.bench, &[]).await;
    }
}

#[tokio::test]
async fn an_action_that_is_cancelled_while_its_agent_is_lost_says_that_it_may_have_been_done() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let upsert = "/v1/environments/prod/actions/crm/upsert";
    for (path, status, code) in [(upsert, "failed", "action.unknown"), (LIST, "cancelled", "action.timed_out")] {
        let path = format!("{path}?timeout=60s");
        let (answered, offer) = tokio::join!(api.send(request(&api, &path, &json!({}), code)), async {
            let offer = agent.offer().await;
            let cancel = format!("/v1/runs/{}/cancel", offer.attempt.run);
            assert_eq!(api.post(&cancel, &Value::Null).await.with(202)["state"], "leased");
            api.bench.pass(Duration::from_secs(75)).await;
            offer
        });
        assert_eq!(answered.problem(504), code);
        assert_eq!(api.bench.state(offer.attempt.run).await, status);
        agent.connect(&api.bench, &[]).await;
    }
}

#[tokio::test]
async fn an_answer_that_the_owner_keeps_is_told_apart_from_one_that_is_gone() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    for (answer, code) in [(Some(""), "action.answers_not_allowed"), (None, "action.answer_gone")] {
        let (answered, ()) = tokio::join!(post(&api, json!({ "records": [{}] })), async {
            let offer = agent.offer().await;
            end(&api, &mut agent, &offer, Outcome::Succeeded, answer).await;
        });
        let done = answered.with(200);
        assert_eq!((&done["code"], &done["answer"]), (&json!(code), &Value::Null));
    }
}

#[tokio::test]
async fn what_no_agent_took_in_time_or_before_a_restart_is_never_done() {
    let api = ready().await;
    let call = request(&api, &format!("{POST}?timeout=5s"), &json!({}), "late");
    let (answered, ()) = tokio::join!(api.send(call), async {
        accepted(&api, 1).await;
        api.bench.pass(Duration::from_secs(6)).await;
    });
    assert_eq!(answered.problem(504), "action.timed_out");
    let call = request(&api, POST, &json!({}), "restart");
    let runs = tokio::select! {
        answered = api.send(call) => panic!("{answered:?}"),
        runs = accepted(&api, 2) => runs,
    };
    let bench = restarted(api).await;
    bench.settle().await;
    let mut agent = Agent::online(&bench, "pier-1", 4).await;
    assert!(agent.offers(&bench).await.is_empty());
    for run in runs {
        assert_eq!(bench.state(run).await, "cancelled");
    }
}

#[tokio::test]
async fn a_throttled_connection_refuses_the_third_call_and_says_when_to_come_back() {
    let api = ready().await;
    let mut project = aliased();
    project["connections"]["tracker"]["throttle"] = json!({ "requests": 2, "per": "1m", "concurrent": 1 });
    api.post(DEPLOYMENTS, &json!({ "project": project })).await.with(201);
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    for _ in 0..2 {
        let (answered, ()) = tokio::join!(post(&api, json!({})), async {
            let offer = agent.offer().await;
            assert_eq!(api.post(POST, &json!({})).await.problem(429), "action.throttled", "one at a time");
            end(&api, &mut agent, &offer, Outcome::Succeeded, None).await;
        });
        answered.with(200);
    }
    let refused = api.post(POST, &json!({})).await;
    assert_eq!(refused.headers[RETRY_AFTER], "60");
    assert_eq!(refused.problem(429), "action.throttled");
    api.bench.pass(Duration::from_secs(60)).await;
    agent.connect(&api.bench, &[]).await;
    let (answered, ()) = tokio::join!(post(&api, json!({})), async {
        let offer = agent.offer().await;
        end(&api, &mut agent, &offer, Outcome::Succeeded, None).await;
    });
    answered.with(200);
}

#[tokio::test]
async fn a_token_for_actions_calls_them_and_does_nothing_else_and_one_to_look_does_not() {
    let api = ready().await;
    let (caller, reader) = (api.token(&[Scope::Call], None).await, api.token(&[Scope::Read], None).await);
    let unknown = "/v1/environments/prod/actions/crm/pots";
    let caller = Api { token: caller, ..api };
    assert_eq!(caller.post(unknown, &json!({})).await.problem(404), "action.activity_unknown");
    assert_eq!(caller.get("/v1/runs").await.problem(403), "auth.scope_missing");
    let reader = Api { token: reader, ..caller };
    assert_eq!(reader.post(unknown, &json!({})).await.problem(403), "auth.scope_missing");
    reader.get("/v1/runs").await.with(200);
}

#[tokio::test]
async fn options_parameters_and_input_are_held_against_the_connectors_schemas() {
    let api = ready().await;
    publish_described(&api).await;
    let mut project = aliased();
    project["connections"]["tracker"]["options"] = json!({ "workspcae": "eu" });
    project["operations"]["look"]["source"]["with"] = json!({ "max_page": 2 });
    project["operations"]["copy"]["source"]["with"] = json!({ "max_pages": "{{ vars.table }}" });
    project["operations"]["post"]["source"]["with"] = json!({ "max_pages": "seven" });
    // Another environment, so that the newest version is in force.
    api.post("/v1/environments", &json!({ "name": "dev", "group": "berlin" })).await.with(201);
    let body = json!({ "project": project, "mapping": { "aliases": { "crm": "tracker" } } });
    let refused = api.post("/v1/environments/dev/deployments", &body).await.with(422);
    let told = |fault: &Value| {
        let path: Vec<&str> = fault["path"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        (path.join("."), fault["suggestion"].as_str().unwrap_or_default().to_owned())
    };
    let mut faults: Vec<_> = refused["errors"].as_array().unwrap().iter().map(told).collect();
    faults.sort();
    let expected = [
        ("connections.tracker.options.workspcae", "workspace"),
        ("operations.look.source.with.max_page", "max_pages"),
        ("operations.post.source.with.max_pages", ""),
    ];
    assert_eq!(faults, expected.map(|(path, near)| (path.to_owned(), near.to_owned())));
    let body = json!({ "project": aliased(), "mapping": { "aliases": { "crm": "tracker" } } });
    api.post("/v1/environments/dev/deployments", &body).await.with(201);
    let wrong = json!({ "with": { "max_pages": "{{ vars.table }}" } });
    let refused = api.post("/v1/environments/dev/actions/crm/list", &wrong).await.with(422);
    assert_eq!(
        (&refused["code"], &refused["errors"][0]["path"]),
        (&json!("action.input_invalid"), &json!(["with", "max_pages"]))
    );
    let wrong = json!({ "records": [{ "title": "one" }, { "title": 2 }] });
    let refused = api.post("/v1/environments/dev/actions/crm/post", &wrong).await.with(422);
    assert_eq!(refused["errors"][0]["path"], json!(["records", "1", "title"]));
}

/// The runs, once there are so many.
async fn accepted(api: &Api, many: usize) -> Vec<RunId> {
    soon(async {
        loop {
            let runs = api.get("/v1/runs").await.with(200);
            let runs = runs["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().parse().unwrap());
            let runs: Vec<RunId> = runs.collect();
            if runs.len() == many {
                return runs;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

pub(super) async fn restarted(api: Api) -> Bench {
    let Api { bench, router, .. } = api;
    drop(router);
    bench.restart().await
}

/// Version 1.1.0 of the connector, with schemas.
pub(super) async fn publish_described(api: &Api) {
    let activity = |name: &str, kind: &str, class: &str| {
        let schema = json!({ "type": "object", "properties": { "max_pages": { "type": "integer", "format": "uint64" } }, "additionalProperties": false });
        let input = json!({ "type": "object", "properties": { "title": { "type": "string" } } });
        json!({ "name": name, "kind": kind, "sideEffects": class, "configSchema": schema, "inputSchema": input })
    };
    let options =
        json!({ "type": "object", "properties": { "workspace": { "type": "string" } }, "additionalProperties": false });
    let descriptor = json!({
        "name": "http", "version": "1.1.0", "connection": { "configSchema": options },
        "activities": [activity("list", "source", "read"), activity("upsert", "target", "keyed"), activity("post", "target", "unsafe")],
    });
    let line = one_line(&descriptor.to_string());
    let wasm = b"the component of http 1.1.0".to_vec();
    let digest = DescriptorDigest::of(&line);
    let signed = Release { descriptor: Some(digest), ..release("http", "1.1.0", &wasm) };
    let key = publisher_key();
    let prefix = wherry_trust::release::Prefix::all();
    let trusted = Publisher { name: "describer".to_owned(), key: key.public(), prefix };
    api.bench.ledger.trust_publisher("test".to_owned(), trusted).await.unwrap();
    let rest = [line.as_bytes(), b"\n", wasm.as_slice()].concat();
    let envelope = sign_release(&signed, &key).unwrap().to_json();
    api.bench.ledger.publish("test".to_owned(), envelope, rest).await.unwrap();
    let described = api.bench.ledger.descriptor(name("http"), "1.1.0".parse().unwrap()).await.unwrap();
    assert!(described.is_some());
}

async fn post(api: &Api, body: Value) -> Answered {
    api.post(POST, &body).await
}

fn request(api: &Api, path: &str, body: &Value, key: &str) -> axum::http::Request<axum::body::Body> {
    let mut request = api.json(path, body);
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

/// The agent reports the end of what it was offered.
pub(super) async fn end(api: &Api, agent: &mut Agent, offer: &Offer, outcome: Outcome, answer: Option<&str>) {
    let ended = agent.ended(offer.attempt, Ending::Ended(outcome));
    let report = Report { answer: answer.map(|text| text.as_bytes().to_vec()), ..ended };
    agent.say(&api.bench, FromAgent::Result(report)).await;
}

async fn asked(agent: &mut Agent) -> Ask {
    let ask = |frame: &FromController| if let FromController::Ask(ask) = frame { Some(ask.clone()) } else { None };
    soon(agent.find(ask)).await
}
