//! `wherry connector publish` against a controller made of canned answers: what was published before, and what nobody trusts.

use std::path::Path;
use std::process::Output;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use semver::Version;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use wherry_trust::keys::SigningKey;
use wherry_trust::release::{Release, sign_release};

const DESCRIPTOR: &str = r#"{"schemaVersion":1,"name":"library","version":"0.2.0","connection":{"configSchema":{}},"activities":[{"name":"query","kind":"source","sideEffects":"read","configSchema":{}}]}"#;

#[tokio::test]
async fn what_is_published_already_is_told_as_unchanged_and_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = package(folder.path());
    let known = json!({
        "name": "library", "version": "0.2.0", "publisher": "me", "published_at": "2026-11-22T10:00:00.000Z",
        "activities": [], "length": 8, "unchanged": true,
    });
    let answer = (StatusCode::OK, known.clone());
    let said = publish(answer.clone(), &[&file]).await;
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    assert_eq!(text(&said.stdout), "unchanged: library 0.2.0 was published at 2026-11-22T10:00:00.000Z\n");
    let said = publish(answer, &[&file, "--output", "json"]).await;
    assert_eq!(serde_json::from_slice::<Value>(&said.stdout).unwrap(), known);
    let mut revoked = known.clone();
    revoked["revoked_at"] = json!("2026-11-22T11:00:00.000Z");
    let said = publish((StatusCode::OK, revoked), &[&file]).await;
    assert_eq!(said.status.code(), Some(0));
    let shown = text(&said.stdout);
    assert!(shown.contains(", was revoked at 2026-11-22T11:00:00.000Z and runs nowhere any more"), "{shown}");
    let fresh = (StatusCode::CREATED, json!({"name": "library", "version": "0.2.0"}));
    assert!(text(&publish(fresh, &[&file]).await.stdout).starts_with("name\tlibrary\n"));
}

#[tokio::test]
async fn a_package_that_nobody_trusted_signed_comes_with_the_command_that_trusts_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = package(folder.path());
    let code = "connector.publisher_untrusted";
    let refusal = json!({"title": "no", "status": 422, "detail": "signed by nobody", "code": code});
    let said = publish((StatusCode::UNPROCESSABLE_ENTITY, refusal), &[&file]).await;
    assert_eq!(said.status.code(), Some(10));
    let stderr = text(&said.stderr);
    assert!(stderr.contains("wherry publisher trust NAME ed25519:... --prefix library\n"), "{stderr}");
    assert!(stderr.contains("docs/errors/connector.publisher_untrusted.md"), "{stderr}");
}

fn package(folder: &Path) -> String {
    let component = b"\0asm\x0d\0\x01\0";
    let release = Release::of(component, DESCRIPTOR, Version::new(0, 1, 0), String::new()).unwrap();
    let envelope = sign_release(&release, &SigningKey::generate().unwrap()).unwrap().to_json();
    let file = folder.join("library.wherry");
    std::fs::write(&file, [envelope.as_slice(), b"\n", DESCRIPTOR.as_bytes(), b"\n", component].concat()).unwrap();
    file.display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Publishes to a controller with that answer.
async fn publish((status, body): (StatusCode, Value), arguments: &[&str]) -> Output {
    let router = Router::new().route("/v1/connectors", post(move || async move { (status, Json(body)) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
    command.env("WHERRY_CONFIG", "/nowhere/config.toml").env("WHERRY_URL", url).env("WHERRY_TOKEN", "whp_test");
    command.args(["connector", "publish"]).args(arguments).kill_on_drop(true);
    tokio::select! {
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
        output = command.output() => output.unwrap(),
    }
}
