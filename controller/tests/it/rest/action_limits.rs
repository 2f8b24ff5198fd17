//! What an action is called with: its form, its bounds, and how many may be called at once.

use axum::http::header::RETRY_AFTER;
use serde_json::{Value, json};
use wherry_domain::{
    failure::{Code, Failure},
    run::Outcome,
};

use super::actions::{DEPLOYMENTS, POST, aliased, end, publish_described, ready};
use crate::support::{Agent, Api};

/// Sends that text to an action and gives the refusal.
async fn refused(api: &Api, path: &str, text: String) -> Value {
    let mut request = api.json(path, &json!({}));
    *request.body_mut() = text.into();
    let answer = api.send(request).await;
    let told: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(told["status"], answer.status.as_u16(), "{told}");
    told
}

#[tokio::test]
async fn a_list_in_place_of_the_input_does_nothing() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    for list in ["[]", "[{}]", "[{},[{\"n\":1}]]", " \r\n\t[{\"with\":{}}]"] {
        let told = refused(&api, POST, list.to_owned()).await;
        assert_eq!((&told["code"], &told["status"]), (&json!("request.invalid"), &json!(422)), "{list}");
        assert!(told["detail"].as_str().unwrap().contains("JSON object"), "{told}");
    }
    assert!(agent.offers(&api.bench).await.is_empty(), "something was done");
    assert_eq!(api.get("/v1/runs").await.with(200)["items"], json!([]));
}

#[tokio::test]
async fn input_beyond_the_bounds_says_which_bound_and_how_much_came() {
    let api = ready().await;
    let told = refused(&api, POST, json!({ "with": { "text": "x".repeat(1 << 20) } }).to_string()).await;
    assert_eq!((&told["code"], &told["status"]), (&json!("request.too_large"), &json!(413)));
    let told = refused(&api, POST, json!({ "records": vec![json!({}); 1_001] }).to_string()).await;
    assert_eq!((&told["code"], &told["status"]), (&json!("request.too_large"), &json!(422)));
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.starts_with("1001 records came") && detail.contains("1000 at most"), "{detail}");
    let told = refused(&api, &format!("{POST}?project=desc"), json!({}).to_string()).await;
    assert_eq!((&told["code"], &told["status"]), (&json!("project.not_deployed"), &json!(404)));
    assert!(told["detail"].as_str().unwrap().starts_with("project desc is not deployed in prod"), "{told}");
}

#[tokio::test]
async fn what_the_connector_itself_finds_wrong_with_its_parameters_is_the_callers_fault() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let empty = json!({});
    let (answered, ()) = tokio::join!(api.post(POST, &empty), async {
        let offer = agent.offer().await;
        let failure = Failure::permanent(Code::received("http.params_invalid"), "page is no number");
        end(&api, &mut agent, &offer, Outcome::Failed(failure), None).await;
    });
    assert_eq!(answered.problem(422), "http.params_invalid");
}

#[tokio::test]
async fn a_number_that_the_connector_has_no_room_for_is_refused_before_anything_runs() {
    let api = ready().await;
    publish_described(&api).await;
    // Another environment, so that the newest version is in force.
    api.post("/v1/environments", &json!({ "name": "dev", "group": "berlin" })).await.with(201);
    let body = json!({ "project": aliased(), "mapping": { "aliases": { "crm": "tracker" } } });
    api.post("/v1/environments/dev/deployments", &body).await.with(201);
    let list = "/v1/environments/dev/actions/crm/list";
    for number in ["18446744073709551616", "-1", "1e300"] {
        let told = refused(&api, list, format!("{{\"with\":{{\"max_pages\":{number}}}}}")).await;
        assert_eq!((&told["code"], &told["status"]), (&json!("action.input_invalid"), &json!(422)), "{number}");
        assert_eq!(told["errors"][0]["path"], json!(["with", "max_pages"]), "{number}");
        assert_eq!(told["detail"], "the input has a fault: correct it and call again");
    }
    assert_eq!(api.get("/v1/runs").await.with(200)["items"], json!([]));
}

#[tokio::test]
async fn more_calls_at_once_than_a_connection_allows_are_sent_away_with_a_time_to_come_back() {
    let api = ready().await;
    let mut project = aliased();
    project["connections"]["tracker"]["throttle"] = json!({ "requests": 100, "per": "1m", "concurrent": 2 });
    api.post(DEPLOYMENTS, &json!({ "project": project })).await.with(201);
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let (one, two) = (json!({ "with": { "n": 1 } }), json!({ "with": { "n": 2 } }));
    let (first, second, ()) = tokio::join!(api.post(POST, &one), api.post(POST, &two), async {
        let offers = [agent.offer().await, agent.offer().await];
        let third = api.post(POST, &json!({})).await;
        let seconds: u64 = third.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        let told: Value = serde_json::from_str(&third.text()).unwrap();
        assert!(told["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{told}");
        assert_eq!(third.problem(429), "action.throttled");
        for offer in &offers {
            end(&api, &mut agent, offer, Outcome::Succeeded, None).await;
        }
    });
    first.with(200);
    second.with(200);
    let empty = json!({});
    let (again, ()) = tokio::join!(api.post(POST, &empty), async {
        let offer = agent.offer().await;
        end(&api, &mut agent, &offer, Outcome::Succeeded, None).await;
    });
    again.with(200);
}
