//! Connections: listed, tested and described through an agent.

use std::time::Duration;

use serde_json::{Value, json};
use wherry_domain::{
    area::Area,
    failure::{Code, Failure},
    path::{Certificate, Path, Phase, Session, Step, Via, Way},
    project::Project,
};
use wherry_proto::frame::{Answer, Ask, FromAgent, FromController, GoAwayReason, Question, Trouble};

use crate::support::{Agent, Answer as Reply, Api, Bench, Disk, desk, name, soon};

const TEST: &str = "/v1/environments/prod/connections/tracker/test";
const DESCRIBE: &str = "/v1/environments/prod/connections/tracker/describe";

#[tokio::test]
async fn connections_are_listed_without_address_and_secrets() {
    let api = ready().await;
    let listed = api.get("/v1/environments/prod/connections").await.with(200);
    let item = &listed["items"][0];
    for (key, value) in [("name", "tracker"), ("project", "desk"), ("connector", "http"), ("version", "1.0.0")] {
        assert_eq!(item[key], value, "{listed}");
    }
    assert_eq!(item["deployment_number"], 1);
    assert!(!listed.to_string().contains("tracker.example"), "{listed}");
    let other = api.get("/v1/environments/prod/connections?project=other").await.with(200);
    assert_eq!(other["items"], json!([]));
}

#[tokio::test]
async fn a_test_is_done_by_an_agent_and_its_outcome_told_with_area_and_advice() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let (answered, ()) = tokio::join!(post(&api, TEST, json!({ "limit_ms": 2_000 })), async {
        let ask = asked(&mut agent).await;
        assert_eq!((ask.connection.as_str(), &ask.question), ("tracker", &Question::Test));
        assert_eq!(ask.limit, Duration::from_secs(2));
        answer(&api, &agent, &ask, Ok(Vec::new())).await;
    });
    let tested = answered.with(200);
    assert_eq!(
        (&tested["result"], &tested["agent"], &tested["project"]),
        (&json!("ok"), &json!("pier-1"), &json!("desk"))
    );
    assert_eq!(tested["duration_ms"], 12);
    assert_eq!(tested["path"]["way"], "proxy");
    assert_eq!(tested["path"]["proxy"], json!({ "name": "dmz", "scheme": "socks5h", "address": "proxy:1080" }));
    assert_eq!(tested["path"]["steps"], json!([{ "phase": "connect", "duration_us": 1_500 }]));
    let certificate = &tested["path"]["tls"]["certificate"];
    assert_eq!(
        (&certificate["issuer"], &certificate["not_after"]),
        (&json!("CN=corp"), &json!("2100-01-01T00:00:00.000Z"))
    );
    assert!(certificate["days_left"].as_i64().is_some_and(|days| days > 1_000), "{certificate}");
    assert!(tested.get("area").is_none() && tested.get("failure").is_none(), "{tested}");

    let refusal = Failure::permanent(Code::new("http.unauthorized"), "the connector reported so");
    let trouble = Trouble { failure: refusal, area: Area::Authentication };
    let tested = through(&api, &mut agent, TEST, Err(trouble)).await.with(200);
    assert_eq!((&tested["result"], &tested["area"]), (&json!("failed"), &json!("authentication")));
    assert_eq!(tested["failure"]["code"], "http.unauthorized");
    assert_eq!(tested["advice"], Area::Authentication.advice());

    // Nobody who deploys can correct this.
    let refusal = Failure::permanent(Code::new("agent_policy.connector"), "the owner of this agent does not allow it");
    let area = Area::of(&refusal.code, None);
    let tested = through(&api, &mut agent, TEST, Err(Trouble { failure: refusal, area })).await.with(200);
    assert!(tested["advice"].as_str().is_some_and(|advice| advice.contains("the agent's owner")), "{tested}");
}

#[tokio::test]
async fn a_question_goes_to_the_connector_and_its_answer_comes_back_as_it_is() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let body = json!({ "activity": "post", "question": { "fields": true } });
    let (answered, ()) = tokio::join!(api.post(DESCRIBE, &body), async {
        let ask = asked(&mut agent).await;
        let question = Question::Discover { activity: "post".to_owned(), question: b"{\"fields\":true}".to_vec() };
        assert_eq!(ask.question, question);
        answer(&api, &agent, &ask, Ok(b"{\"fields\": [ 1.10 ]}".to_vec())).await;
    });
    assert!(answered.text().contains("{\"fields\": [ 1.10 ]}"), "{}", answered.text());
    assert_eq!(answered.with(200)["answer"]["fields"], json!([1.1]));

    let broken = through(&api, &mut agent, DESCRIBE, Ok(b"{nonsense".to_vec())).await;
    assert_eq!(broken.problem(502), "connection.answer_invalid");
    for (code, retry, status) in [
        ("connection.describe_not_allowed", false, 403),
        ("connector.no_discovery", false, 422),
        ("egress.connect_refused", true, 424),
        ("connector.not_ready", true, 503),
        ("agent.busy", true, 503),
    ] {
        let failure = Failure::permanent(Code::received(code), "it cannot be");
        let failure = if retry { Failure::retry(failure.code, failure.message) } else { failure };
        let area = Area::of(&failure.code, None);
        let refused = through(&api, &mut agent, DESCRIBE, Err(Trouble { failure, area })).await;
        assert_eq!(refused.problem(status), code);
    }
    let huge = json!({ "question": "x".repeat(17_000) });
    assert_eq!(api.post(DESCRIBE, &huge).await.problem(422), "request.too_large");
    assert_eq!(post(&api, DESCRIBE, json!({ "limit_ms": 61_000 })).await.problem(422), "request.invalid");
}

#[tokio::test]
async fn a_connection_that_is_unknown_or_ambiguous_is_refused_with_the_places() {
    let api = ready().await;
    let refused = api.post("/v1/environments/prod/connections/trackr/test", &json!({})).await;
    assert!(refused.text().contains("did you mean tracker?"), "{}", refused.text());
    assert_eq!(refused.problem(404), "connection.not_found");
    let twin = Project { name: name("twin"), ..desk() };
    api.bench.ledger.deploy("test".to_owned(), name("prod"), twin, false).await.unwrap();
    let refused = post(&api, TEST, json!({})).await;
    assert!(refused.text().contains("desk and twin"), "{}", refused.text());
    assert_eq!(refused.problem(409), "connection.ambiguous");
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let told_apart = through(&api, &mut agent, &format!("{TEST}?project=twin"), Ok(Vec::new())).await;
    assert_eq!(told_apart.with(200)["project"], "twin");
}

#[tokio::test]
async fn only_an_agent_that_is_there_takes_work_and_knows_the_frame_is_asked() {
    let api = ready().await;
    assert_eq!(post(&api, TEST, json!({})).await.problem(503), "connection.no_agent");
    let mut old = Agent::enrol(&api.bench, "pier-1", 4).await;
    let hello = wherry_proto::frame::Hello { asks: false, ..old.hello(&[]) };
    old.greet(&api.bench, hello).await.unwrap();
    assert_eq!(post(&api, TEST, json!({})).await.problem(409), "connection.agent_too_old");
    let mut new = Agent::online(&api.bench, "pier-2", 4).await;
    through(&api, &mut new, TEST, Ok(Vec::new())).await.with(200);
    for (agent, code, status) in [("pier-1", "connection.agent_too_old", 409), ("pier-9", "agent.not_found", 404)] {
        assert_eq!(post(&api, TEST, json!({ "agent": agent })).await.problem(status), code);
    }
    api.bench.ledger.drain("test".to_owned(), "pier-2".to_owned(), true).await.unwrap();
    assert_eq!(post(&api, TEST, json!({ "agent": "pier-2" })).await.problem(503), "connection.no_agent");
}

#[tokio::test]
async fn of_several_agents_the_one_with_the_least_to_do_is_asked_until_all_have_enough() {
    let api = ready().await;
    let mut one = Agent::online(&api.bench, "pier-1", 4).await;
    let mut two = Agent::online(&api.bench, "pier-2", 4).await;
    let asking = async {
        let open = (0..8).map(|_| post(&api, TEST, json!({})));
        futures::future::join_all(open).await
    };
    let answering = async {
        let mut asks = (Vec::new(), Vec::new());
        for _ in 0..4 {
            asks.0.push(asked(&mut one).await);
            asks.1.push(asked(&mut two).await);
        }
        assert_eq!(post(&api, TEST, json!({})).await.problem(503), "agent.busy");
        for (first, second) in asks.0.iter().zip(&asks.1) {
            answer(&api, &one, first, Ok(Vec::new())).await;
            answer(&api, &two, second, Ok(Vec::new())).await;
        }
    };
    let (answers, ()) = tokio::join!(asking, answering);
    for answered in answers {
        assert_eq!(answered.with(200)["result"], "ok");
    }
}

#[tokio::test]
async fn whoever_waits_hears_at_once_that_the_agent_is_gone_however_it_went() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    for ending in ["goodbye", "closed", "superseded", "locked"] {
        let (answered, ()) = tokio::join!(post(&api, TEST, json!({})), async {
            asked(&mut agent).await;
            match ending {
                "goodbye" => agent.say(&api.bench, FromAgent::Goodbye { reason: String::new() }).await,
                "closed" => api.bench.ledger.close_session(agent.id, agent.epoch).await,
                "superseded" => drop(agent.connect(&api.bench, &[]).await),
                _ => {
                    api.bench
                        .ledger
                        .lock("test".to_owned(), "pier-1".to_owned(), Some("lost".to_owned()))
                        .await
                        .unwrap();
                    let away = FromController::GoAway {
                        reason: GoAwayReason::Locked,
                        reconnect_after: Duration::from_secs(5),
                    };
                    assert_eq!(agent.last_frame().await, away);
                }
            }
        });
        assert_eq!(answered.problem(503), "connection.agent_left", "{ending}");
        if ending != "locked" {
            agent.connect(&api.bench, &[]).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_or_of_another_agent_changes_nothing() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let (answered, ()) = tokio::join!(post(&api, TEST, json!({ "agent": "pier-1" })), async {
        let ask = asked(&mut agent).await;
        let stranger = Agent::online(&api.bench, "pier-2", 4).await;
        let trouble = Trouble { failure: Failure::permanent(Code::new("a.b"), "no"), area: Area::Connector };
        answer(&api, &stranger, &ask, Err(trouble)).await;
        answer(&api, &agent, &ask, Ok(Vec::new())).await;
        answer(&api, &agent, &ask, Ok(Vec::new())).await;
    });
    assert_eq!(answered.with(200)["result"], "ok");
    agent.beat(&api.bench, &[]).await;
}

#[tokio::test]
async fn callers_that_gave_up_leave_their_places_to_others() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    for _ in 0..10 {
        tokio::select! {
            answered = post(&api, TEST, json!({})) => panic!("{}", answered.text()),
            _ask = asked(&mut agent) => {}
        }
    }
    through(&api, &mut agent, TEST, Ok(Vec::new())).await.with(200);
}

async fn post(api: &Api, path: &str, body: Value) -> Reply {
    api.post(path, &body).await
}

async fn ready() -> Api {
    Api::of(Bench::ready(Disk::memory()).await).await
}

/// A request that the agent answers with this.
async fn through(api: &Api, agent: &mut Agent, path: &str, result: Result<Vec<u8>, Trouble>) -> Reply {
    let body: Value = json!({});
    let (answered, ()) = tokio::join!(api.post(path, &body), async {
        let ask = asked(agent).await;
        answer(api, agent, &ask, result).await;
    });
    answered
}

fn path() -> Path {
    let via = Via { name: Some(name("dmz")), scheme: "socks5h".to_owned(), address: "proxy:1080".to_owned() };
    let certificate =
        Certificate { subject: "CN=desk".to_owned(), issuer: "CN=corp".to_owned(), not_after_s: 4_102_444_800 };
    Path {
        way: Way::Proxy(via),
        address: Some("10.0.0.7:1080".to_owned()),
        tls: Some(Session { version: "TLS 1.3".to_owned(), certificate: Some(certificate) }),
        steps: vec![Step { phase: Phase::Connect, duration: Duration::from_micros(1_500) }],
        obstacle: None,
    }
}

/// The next question.
async fn asked(agent: &mut Agent) -> Ask {
    loop {
        if let FromController::Ask(ask) = soon(agent.frame()).await {
            return ask;
        }
    }
}

async fn answer(api: &Api, agent: &Agent, ask: &Ask, result: Result<Vec<u8>, Trouble>) {
    let answer = Answer { id: ask.id, duration: Duration::from_millis(12), result, path: Some(path()) };
    agent.say(&api.bench, FromAgent::Answer(answer)).await;
}
