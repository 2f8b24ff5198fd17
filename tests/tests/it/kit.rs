//! The kit for authors of connectors outside of the repository: recordings that are made once and replayed, drift, and
//! what a stale descriptor says.

mod third_party;

use std::fs;

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use wherry_tests::world::{Programs, Sandbox};

use crate::guides::workplace::{CACHE, Workplace};

/// A case for the connector `http` at the simulated desk; its two pages are recorded.
const CASE: &str = "activity: query
with:
  path: /rest/requests
  records: items
  paging: { page: { parameter: page, size_parameter: size, size: 3 } }
expect: { count: 5 }
";

#[tokio::test]
async fn what_is_recorded_once_is_replayed_without_the_system_and_drift_fails() -> Result<()> {
    let programs = Programs::find()?;
    let place = Workplace::new(&programs)?;
    let tests = place.folder().join("tests");
    fs::create_dir(&tests)?;
    fs::write(tests.join("requests.yaml"), CASE)?;
    fs::write(place.folder().join("http.wasm"), programs.component("http")?)?;
    let recording = tests.join("requests.http.json");
    {
        let log = place.folder().join("sandbox.log");
        let desk = Sandbox::alone(&programs, &["--requests", "5"], &log).await?;
        let account = &desk.credentials.desk;
        let basic = STANDARD.encode(format!("{}:{}", account.username, account.password));
        fs::write(place.folder().join("credential.txt"), format!("authorization: Basic {basic}\n"))?;
        let (code, told) = test(&place, &["--record", &desk.url, "--credential", "credential.txt"]).await?;
        ensure!(code == Some(0), "{told:#}");
        let text = fs::read_to_string(&recording)?;
        ensure!(!text.contains(&basic) && !text.contains(&account.password), "a credential is recorded");
        ensure!(!text.contains(&desk.url) && text.contains("REQ-000005"), "{text}");
    }
    // The desk is gone.
    let (code, told) = test(&place, &[]).await?;
    ensure!(code == Some(0) && fault(&told, "recording").is_none(), "{told:#}");
    ensure!(told["items"].as_array().is_some_and(|checks| checks.len() > 5), "{told:#}");

    // The connector asks otherwise than it was recorded.
    fs::write(tests.join("requests.yaml"), CASE.replace("size: 3", "size: 4"))?;
    let (code, told) = test(&place, &[]).await?;
    let drift = fault(&told, "recording").context("no drift was found")?;
    ensure!(code == Some(1) && drift.contains("unexpected request: GET /rest/requests?page=1&size=4"), "{told:#}");
    ensure!(drift.contains("nobody asked for: GET /rest/requests?page=1&size=3"), "{drift}");

    // The system changed, and the recording was made again by hand: the result is another one.
    fs::write(tests.join("requests.yaml"), CASE)?;
    fs::write(&recording, fs::read_to_string(&recording)?.replace("\"items\"", "\"requests\""))?;
    let (code, told) = test(&place, &[]).await?;
    ensure!(code == Some(1) && fault(&told, "result").is_some(), "{told:#}");
    Ok(())
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is what is tested")]
async fn a_recorded_wait_takes_no_time_in_a_replay_and_a_long_one_is_still_an_error() -> Result<()> {
    let programs = Programs::find()?;
    let place = Workplace::new(&programs)?;
    let tests = place.folder().join("tests");
    fs::create_dir(&tests)?;
    fs::write(place.folder().join("http.wasm"), programs.component("http")?)?;
    let page = serde_json::json!([{ "id": 1 }, { "id": 2 }]);
    let recorded = |first: &str, second: &str| {
        let line = |status: u16, headers: Value, body: &Value| serde_json::json!({ "method": "GET", "path": "/t", "status": status, "headers": headers, "body": body });
        let later = |after: &str| line(429, serde_json::json!({ "retry-after": after }), &Value::Null);
        serde_json::json!([later(first), later(second), line(200, serde_json::json!({}), &page)]).to_string()
    };
    let recording = tests.join("requests.http.json");
    fs::write(&recording, recorded("55", "60"))?;
    fs::write(tests.join("requests.yaml"), "activity: query\nwith: { path: /t }\nexpect: { count: 2 }\n")?;
    let begun = std::time::Instant::now();
    let (code, told) = test(&place, &[]).await?;
    ensure!(code == Some(0), "{told:#}");
    ensure!(begun.elapsed().as_secs() < 50, "it waited for {:?}", begun.elapsed());

    fs::write(&recording, recorded("55", "61"))?;
    let (code, told) = test(&place, &[]).await?;
    let result = fault(&told, "result").context("a wait of more than a minute is no error")?;
    ensure!(code == Some(1) && result.contains("http.throttled"), "{told:#}");
    Ok(())
}

#[tokio::test]
async fn a_changed_type_and_a_missing_descriptor_each_say_how_to_write_it_again() -> Result<()> {
    let programs = Programs::find()?;
    let place = Workplace::new(&programs)?;
    succeeds(&place, "wherry connector new stale-crm").await?;
    let folder = place.folder().join("stale-crm");
    let (source, descriptor) = (folder.join("src/lib.rs"), folder.join("src/descriptor.json"));
    fs::write(&source, fs::read_to_string(&source)?.replace("Only contacts in this state.", "In this state only."))?;
    let said = fails(&place, "cd stale-crm && cargo test the_descriptor").await?;
    ensure!(said.contains("src/descriptor.json is not what the types say; run this test with UPDATE=1:"), "{said}");
    ensure!(said.contains("/activities/0/configSchema/properties/state/description"), "{said}");
    succeeds(&place, "cd stale-crm && UPDATE=1 cargo test the_descriptor && cargo test the_descriptor").await?;
    ensure!(fs::read_to_string(&descriptor)?.contains("In this state only."), "it was not written");

    fs::remove_file(&descriptor)?;
    let said = fails(&place, "cd stale-crm && wherry connector test").await?;
    ensure!(said.contains("src/descriptor.json is missing: run the tests once with UPDATE=1"), "{said}");
    ensure!(said.contains("connector.build_failed"), "{said}");
    Ok(())
}

/// `wherry connector test` of the component there; its exit code and findings.
async fn test(place: &Workplace, more: &[&str]) -> Result<(Option<i32>, Value)> {
    let mut tool = place.command("wherry");
    tool.args(["connector", "test", "--wasm", "http.wasm", "--output", "json"]).args(more);
    let output = tool.output().await?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let told: Value = serde_json::from_slice(&output.stdout).with_context(|| words.clone())?;
    let failed = output.status.code() == Some(1);
    ensure!(failed == words.contains("connector.test_failed"), "{words}");
    Ok((output.status.code(), told))
}

/// What a check of the case found.
fn fault(told: &Value, check: &str) -> Option<String> {
    let found = told["items"].as_array()?.iter().find(|item| item["case"] == "requests" && item["check"] == check)?;
    (found["passed"] == false).then(|| found["faults"].to_string())
}

async fn succeeds(place: &Workplace, line: &str) -> Result<String> {
    let (done, said) = shell(place, line).await?;
    ensure!(done, "{line}\n{said}");
    Ok(said)
}

async fn fails(place: &Workplace, line: &str) -> Result<String> {
    let (done, said) = shell(place, line).await?;
    ensure!(!done, "it should fail: {line}\n{said}");
    Ok(said)
}

/// One line in a shell, with all that it prints.
async fn shell(place: &Workplace, line: &str) -> Result<(bool, String)> {
    let script = format!("exec 2>&1\n{CACHE}\n{line}");
    let output = place.command("bash").args(["-c", &script]).output().await?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}
