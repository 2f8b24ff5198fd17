//! Exit codes, errors and progress against a controller made of canned answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use wherry_trust::token::{EnrolmentToken, SpkiPin};

const RUN: &str = "run_019900000000700080000000000000aa";

#[tokio::test]
async fn a_refusal_becomes_an_exit_code_and_says_what_to_do() {
    let router = || {
        Router::new()
            .route("/v1/agents/{agent}", get(|| async { problem(404, "agent.not_found", "there is no agent eu-9") }))
    };
    let shown = wherry(router(), &["agent", "show", "eu-9"]).await;
    assert_eq!(shown.status.code(), Some(3));
    assert_eq!(
        text(&shown.stderr),
        "error: there is no agent eu-9\n  code   agent.not_found\n  see    docs/errors/agent.not_found.md\n"
    );
    let shown = wherry(router(), &["agent", "show", "eu-9", "--output", "json"]).await;
    assert!(shown.stdout.is_empty());
    let problem: Value = serde_json::from_slice(&shown.stderr).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&json!("agent.not_found"), &json!(404)));
}

#[tokio::test]
async fn a_project_is_taken_out_only_when_that_was_meant_and_is_not_listed_any_more() {
    let router = || {
        let listed = json!({"items": [
            {"project": "desk", "number": 2, "withdrawn_at": "2026-11-21T00:00:00.000Z"},
            {"project": "desk", "number": 1},
            {"project": "tickets", "number": 1},
        ], "next_cursor": null});
        Router::new()
            .route("/v1/environments/prod/projects/desk", axum::routing::delete(|| async { StatusCode::NO_CONTENT }))
            .route("/v1/environments/prod/deployments", get(move || async move { Json(listed) }))
    };
    let undeploy = ["project", "undeploy", "desk", "--environment", "prod"];
    let refused = wherry(router(), &undeploy).await;
    assert!(text(&refused.stderr).contains("client.confirmation_needed"), "{}", text(&refused.stderr));
    let done = wherry(router(), &[undeploy.as_slice(), &["--yes", "--output", "json"]].concat()).await;
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said, json!({"project": "desk", "environment": "prod", "undeployed": true}));
    let list = wherry(router(), &["project", "list", "--environment", "prod", "--output", "json"]).await;
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["project"]), (1, &json!("tickets")));
}

#[tokio::test]
async fn a_busy_controller_is_asked_again_and_a_missing_one_is_exit_code_6() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let router = Router::new().route(
        "/v1/groups",
        get(move || async move {
            match counter.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => problem(503, "controller.busy", "wait"),
                _ => Json(json!({"items": [{"name": "berlin", "agents": 2}], "next_cursor": null})).into_response(),
            }
        }),
    );
    let shown = wherry(router, &["group", "list"]).await;
    assert_eq!((shown.status.code(), asked.load(Ordering::SeqCst)), (Some(0), 3));
    assert_eq!(text(&shown.stdout), "NAME\tAGENTS\tENVIRONMENTS\tID\nberlin\t2\t\t\n");

    let nobody = command("http://127.0.0.1:1").args(["group", "list"]).output().await.unwrap();
    assert_eq!(nobody.status.code(), Some(6));
    assert!(text(&nobody.stderr).contains("client.unreachable"));
}

#[tokio::test]
async fn a_long_list_is_read_in_parts_and_never_cut_silently() {
    let router = || {
        Router::new().route(
            "/v1/runs",
            get(|Query(query): Query<std::collections::BTreeMap<String, String>>| async move {
                let start: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
                let end = start + query["limit"].parse::<usize>().unwrap();
                let items: Vec<_> = (start..end.min(250)).map(|n| json!({"id": format!("run_{n}")})).collect();
                Json(json!({"items": items, "next_cursor": (end < 250).then(|| end.to_string())}))
            }),
        )
    };
    let all = wherry(router(), &["run", "list", "--limit", "1000"]).await;
    assert_eq!(text(&all.stdout).lines().count(), 251);
    let some = wherry(router(), &["run", "list"]).await;
    assert_eq!(text(&some.stdout).lines().count(), 21);
    assert_eq!(text(&some.stderr), "20 shown, there are more: use --limit\n");
}

#[tokio::test]
async fn following_a_run_that_fails_shows_plain_lines_and_ends_with_exit_code_8() {
    let events = format!(
        "id: 1\nevent: log\ndata: {}\n\nid: 1\nevent: run\ndata: {}\n\nid: 1\nevent: run\ndata: {}\n\nevent: end\ndata: {{}}\n\n",
        json!({"n": 1, "at": "2026-01-01T00:00:00Z", "level": "info", "text": "page 1\u{1b}[2J", "attempt": 1}),
        run("leased", json!({"agent": "eu-1", "counts": {"read": 1200, "written": 1000, "batches": 3}})),
        run("failed", json!({})),
    );
    let failure =
        json!({"failure": {"class": "permanent", "code": "http.status", "message": "the tracker answered 422"}});
    let router = Router::new()
        .route(
            "/v1/environments/{e}/operations/{o}/runs",
            post(|| async { (StatusCode::ACCEPTED, Json(run("queued", json!({})))) }),
        )
        .route("/v1/runs/{run}/events", get(|| async { ([("content-type", "text/event-stream")], events) }))
        .route("/v1/runs/{run}", get(|| async { Json(run("failed", failure)) }));
    let shown = wherry(router, &["operation", "run", "copy", "--environment", "prod", "--follow"]).await;
    assert_eq!(shown.status.code(), Some(8));
    let stderr = text(&shown.stderr);
    assert!(stderr.contains("leased on eu-1  read 1,200  written 1,000  batches 3"), "{stderr}");
    assert!(stderr.contains("the tracker answered 422") && stderr.contains("http.status"), "{stderr}");
    assert!(!stderr.contains('\u{1b}') && stderr.contains("page 1\\u{1b}[2J"), "{stderr}");
}

#[tokio::test]
async fn a_connectors_own_code_names_no_page_and_what_was_confirmed_is_counted() {
    let failed = run(
        "failed",
        json!({
            "counts": {"read": 6, "written": 0, "rejected": 0, "batches": 1}, "side_effects": "unsafe",
            "failure": {"class": "permanent", "code": "library.not_found", "message": "no", "effects_begun": true},
        }),
    );
    let router = Router::new()
        .route(
            "/v1/environments/{e}/operations/{o}/runs",
            post(|| async { (StatusCode::ACCEPTED, Json(run("queued", json!({})))) }),
        )
        .route("/v1/runs/{run}", get(|| async { Json(failed) }));
    let shown = wherry(router, &["operation", "run", "copy", "--environment", "prod", "--wait"]).await;
    assert_eq!(shown.status.code(), Some(8));
    let stderr = text(&shown.stderr);
    assert!(stderr.contains("  code   library.not_found\n") && !stderr.contains("docs/errors"), "{stderr}");
    assert!(stderr.contains("may have been changed (0 records confirmed)"), "{stderr}");
}

#[tokio::test]
async fn a_deployment_says_which_connectors_stay_behind_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("wherry.yaml"), "name: shelf\n").unwrap();
    let deployed = json!({
        "project": "shelf", "number": 1, "unchanged": true,
        "connectors": {"library": {"version": "0.1.0"}, "http": {"version": "1.9.0"}, "jira": {"version": "1.0.0"}},
    });
    let standing = json!({"items": [
        {"connector": "library", "version": "0.1.0", "newest": "0.2.0"},
        {"connector": "http", "version": "1.9.0", "newest": "1.10.0", "pinned": true},
        {"connector": "jira", "version": "1.0.0", "newest": "1.0.0"},
        {"connector": "another", "version": "1.0.0", "newest": "2.0.0"},
    ], "next_cursor": null});
    let router = |standing: (StatusCode, Value)| {
        let deployed = deployed.clone();
        Router::new()
            .route("/v1/environments/{e}/deployments", post(move || async move { Json(deployed) }))
            .route("/v1/environments/{e}/connectors", get(move || async move { (standing.0, Json(standing.1)) }))
    };
    let deploy = ["project", "deploy", folder.path().to_str().unwrap(), "--environment", "dev"];
    let shown = wherry(router((StatusCode::OK, standing)), &deploy).await;
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert_eq!(text(&shown.stdout), "unchanged: dev has exactly this shelf\n");
    assert_eq!(
        text(&shown.stderr),
        "library stays 0.1.0; 0.2.0 is published: wherry connector upgrade library --environment dev\n\
         http is pinned at 1.9.0; 1.10.0 is published: wherry connector upgrade http --environment dev\n"
    );
    // The deployment is done, whatever becomes of the question.
    let shown = wherry(router((StatusCode::FORBIDDEN, json!({"code": "access.denied"}))), &deploy).await;
    assert_eq!((shown.status.code(), text(&shown.stderr)), (Some(0), String::new()));
}

#[tokio::test]
async fn a_successful_run_is_summed_up_on_stdout() {
    let done = || run("succeeded", json!({"counts": {"read": 7, "written": 7, "batches": 1}, "duration_ms": 1400}));
    let router = Router::new()
        .route(
            "/v1/environments/{e}/operations/{o}/runs",
            post(|headers: HeaderMap, Json(body): Json<Value>| async move {
                assert!(headers["idempotency-key"].len() >= 16);
                assert_eq!(body, json!({"variables": {"n": 5, "s": "1.10"}}));
                (StatusCode::ACCEPTED, Json(run("queued", json!({}))))
            }),
        )
        .route("/v1/runs/{run}", get(move || async move { Json(done()) }));
    let arguments = ["operation", "run", "copy", "--environment", "prod", "--wait", "--var", "n=5", "--var", "s=1.10"];
    let shown = wherry(router, &arguments).await;
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert_eq!(
        text(&shown.stdout),
        format!("id\t{RUN}\nstate\tsucceeded\nread\t7\nwritten\t7\nbatches\t1\ntook\t1400\n")
    );
}

#[tokio::test]
async fn faults_that_the_controller_finds_get_their_places_in_the_files_back() {
    let folder = tempfile::tempdir().unwrap();
    for (file, content) in [
        ("wherry.yaml", "name: desk\n"),
        ("connections/crm.yaml", "connector: htp\nurl: https://x\n"),
        ("operations/copy.yaml", "source:\n  connection: crm\n  activity: qery\n"),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let router = Router::new().route(
        "/v1/environments/{e}/deployments",
        post(|Json(body): Json<Value>| async move {
            assert_eq!(body["project"]["operations"]["copy"]["source"]["activity"], "qery");
            let errors = json!([
                {"path": ["operations", "copy", "source", "activity"], "code": "project.activity_unknown", "message": "no", "suggestion": "query"},
                {"path": ["connections", "crm", "connector"], "code": "project.connector_unknown", "message": "no", "suggestion": "http"},
            ]);
            let body = json!({"title": "x", "status": 422, "detail": "x", "code": "project.invalid", "errors": errors});
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body))
        }),
    );
    let path = folder.path().to_str().unwrap();
    let shown = wherry(router, &["project", "deploy", path, "--environment", "prod"]).await;
    assert_eq!(shown.status.code(), Some(2));
    let stderr = text(&shown.stderr);
    assert!(stderr.contains("connections/crm.yaml:1:12: no"), "{stderr}");
    assert!(stderr.contains("operations/copy.yaml:3:13: no"), "{stderr}");
    assert!(stderr.contains("did you mean \"query\"?") && stderr.contains("the project has 2 faults"), "{stderr}");
}

#[tokio::test]
async fn an_enrolment_token_is_made_here_and_only_its_hash_is_sent() {
    let sent = Arc::new(Mutex::new(Value::Null));
    let seen = sent.clone();
    let pin = SpkiPin::of_spki(b"the authority");
    let status = json!({"ca_pin": pin.as_str()});
    let router = Router::new().route("/v1/status", get(|| async { Json(status) })).route(
        "/v1/groups/{group}/enrolment-tokens",
        post(|Json(body): Json<Value>| async move {
            *seen.lock().unwrap() = body;
            let made = json!({"agent_endpoint": "https://w:8444", "expires_at": "2026-01-01T00:10:00Z"});
            (StatusCode::CREATED, Json(made))
        }),
    );
    // An older controller, which knows nothing of groups' keys, gets what it always got.
    let router =
        router.route("/v1/groups/{group}/roster", get(|| async { problem(404, "request.path_unknown", "no") }));
    let shown = wherry(router, &["agent", "token", "--group", "berlin", "--token-only"]).await;
    let printed = text(&shown.stdout);
    let token = EnrolmentToken::parse(&printed).unwrap();
    let sent = sent.lock().unwrap();
    assert_eq!(token.pin(), &pin);
    assert_eq!(sent["auth_hash"], token.auth_hash().to_string());
    assert_eq!((&sent["token_id"], &sent["expires_in_s"]), (&json!(token.id().as_str()), &json!(600)));
    assert_eq!(sent.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn a_sign_in_is_kept_private_and_its_token_goes_to_no_other_address() {
    let folder = tempfile::tempdir().unwrap();
    let (config, token) = (folder.path().join("deep/config.toml"), folder.path().join("token"));
    fs::write(&token, "whp_secret\n").unwrap();
    let router = Router::new().route(
        "/v1/whoami",
        get(|headers: HeaderMap| async move {
            assert_eq!(headers["authorization"], "Bearer whp_secret");
            Json(json!({"token": "admin", "scopes": ["admin"], "organisation": "org_1", "version": "0.1.0"}))
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let as_user = |arguments: &[&str]| signed_out(&config).args(arguments).output();
    let commands = async {
        let login = as_user(&["login", &url, "--token-file", token.to_str().unwrap()]).await.unwrap();
        assert_eq!(login.status.code(), Some(0), "{}", text(&login.stderr));
        assert!(!text(&login.stdout).contains("whp_secret"));
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(as_user(&["whoami"]).await.unwrap().status.code(), Some(0));
        let elsewhere = as_user(&["whoami", "--url", "http://127.0.0.1:1"]).await.unwrap();
        assert_eq!(elsewhere.status.code(), Some(4));
        assert_eq!(as_user(&["logout"]).await.unwrap().status.code(), Some(0));
        assert_eq!(as_user(&["whoami"]).await.unwrap().status.code(), Some(4));
    };
    tokio::select! {
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
        () = commands => {}
    }
}

fn problem(status: u16, code: &str, detail: &str) -> Response {
    let body = json!({"title": "no", "status": status, "detail": detail, "code": code, "retry_after_ms": 1});
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn run(state: &str, more: Value) -> Value {
    let mut run = json!({"id": RUN, "state": state});
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the tool against the router.
async fn wherry(router: Router, arguments: &[&str]) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::select! {
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
        output = command(&url).args(arguments).output() => output.unwrap(),
    }
}

fn command(url: &str) -> Command {
    let mut command = signed_out(Path::new("/nowhere/config.toml"));
    command.env("WHERRY_URL", url).env("WHERRY_TOKEN", "whp_test");
    command
}

fn signed_out(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
    command.env("WHERRY_CONFIG", config).env_remove("WHERRY_URL").env_remove("WHERRY_TOKEN").kill_on_drop(true);
    command
}
