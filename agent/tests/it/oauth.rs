//! Tokens of OAuth 2.0, against providers that rotate, lose answers and misbehave.

mod consent;
mod group;
mod hub;
mod kill;
mod provider;
mod replaced;
mod rig;
mod third_party;

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use serde_json::json;

use self::{
    provider::Provider,
    rig::{Agent, START, client, clock, refreshed, token},
};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_client_gets_one_token_for_all_and_a_new_one_before_it_expires() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "p&ss w\u{f6}rd");
    let settings = client(&provider.system.url(), "client_credentials", json!({ "scope": "read write" }));
    let source = agent.source(&provider.system.url(), settings.clone()).unwrap();
    let all = futures::future::join_all((0..50).map(|_| token(&source))).await;
    assert!(all.iter().all(|token| token == &Ok("at.1".to_owned())), "{all:?}");
    assert_eq!(provider.lock().proofs, [Some("Basic d2hlcnJ5OnAlMjZzcyt3JUMzJUI2cmQ=".to_owned())]);
    assert_eq!(provider.lock().bodies[0]["scope"], "read write");

    agent.hand.advance(HOUR.mul_f64(0.9));
    assert_eq!(token(&source).await.unwrap(), "at.1", "it is still good while another one is got");
    eventually("a second token", || provider.lock().asked == 2).await;
    eventually_token(&source, "at.2").await;

    // A new process finds it on the disk, sealed.
    drop((source, agent));
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "p&ss w\u{f6}rd");
    let source = agent.source(&provider.system.url(), settings).unwrap();
    assert_eq!((token(&source).await.unwrap().as_str(), provider.lock().asked), ("at.2", 2));
    assert!(!holds(dir.path(), b"at.2"));
}

#[tokio::test]
async fn a_given_refresh_token_is_used_once_and_its_successor_after_it_across_restarts() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, given) = (provider.system.url(), provider.consent());
    for round in 1..=20 {
        let agent = Agent::alone(dir.path(), &time);
        agent.set("client", "c");
        agent.set("refresh", &given);
        let source = agent.source(&url, refreshed(&url)).unwrap();
        assert_eq!(token(&source).await.unwrap(), format!("at.1.{round}"));
        assert_eq!(provider.lock().asked, round);
        agent.hand.advance(HOUR + HOUR);
    }
    assert_eq!(provider.lock().revoked, 0);
}

#[tokio::test]
async fn a_given_access_token_is_used_until_it_expires_and_only_then_refreshed() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, given) = (provider.system.url(), provider.consent());
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    agent.set("refresh", &given);
    agent.set("access", "bearer-of-bmc");
    // The fields of BMC Helix: bearer token, created time in ms, expires in seconds, refresh token.
    let mut settings = refreshed(&url);
    let more = json!({ "access_token": { "secret": "access" }, "created_ms": START.to_string(), "expires_in": 3600 });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let source = agent.source(&url, settings).unwrap();
    assert_eq!((token(&source).await.unwrap().as_str(), provider.lock().asked), ("bearer-of-bmc", 0));
    agent.hand.advance(HOUR);
    assert_eq!((token(&source).await.unwrap().as_str(), provider.lock().asked), ("at.1.1", 1));
}

#[tokio::test]
async fn off_uses_the_given_token_as_it_is_and_says_when_it_has_expired() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let agent = Agent::alone(dir.path(), &time);
    agent.set("access", "given");
    let settings = json!({
        "grant": "access_token", "initiate": "OFF", "access_token": { "secret": "access" },
        "created_ms": START, "expires_in": "3600",
    });
    let source = agent.source(&provider.system.url(), settings).unwrap();
    let first = source.token().await.unwrap();
    source.rejected(&first);
    assert_eq!(source.token().await.unwrap().generation, first.generation, "there is no other one to try");
    agent.hand.advance(HOUR);
    let failure = source.token().await.err().unwrap();
    assert_eq!((failure.code.as_str(), failure.retry), ("oauth.expired", false));
    assert!(failure.message.contains("set a new one"), "{failure}");
    assert_eq!(provider.lock().asked, 0);
}

#[tokio::test]
async fn a_consent_that_is_gone_is_said_once_and_nothing_is_sent_again_until_new_values_are_set() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let url = provider.system.url();
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    agent.set("refresh", "rt.9.0");
    let source = agent.source(&url, refreshed(&url)).unwrap();
    for _ in 0..50 {
        assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent");
        agent.hand.advance(Duration::from_secs(600));
    }
    assert_eq!(provider.lock().asked, 1);
    // Nor by a new process.
    drop(source);
    drop(agent);
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    agent.set("refresh", "rt.9.0");
    let source = agent.source(&url, refreshed(&url)).unwrap();
    assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent");
    assert_eq!(provider.lock().asked, 1);

    agent.set("refresh", &provider.consent());
    agent.hand.advance(Duration::from_secs(2));
    assert_eq!(token(&source).await.unwrap(), "at.1.1");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more_and_a_provider_with_patience_gives_it() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, given) = (provider.system.url(), provider.consent());
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    agent.set("refresh", &given);
    provider.lock().lenient = true;
    provider.lock().lose = 1;
    let source = agent.source(&url, refreshed(&url)).unwrap();
    assert_eq!(token(&source).await.unwrap(), "at.1.1");
    assert_eq!(provider.counts(), (2, 0));
}

#[tokio::test]
async fn answers_that_are_lost_twice_end_in_a_word_for_people_and_not_in_a_loop() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, given) = (provider.system.url(), provider.consent());
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    agent.set("refresh", &given);
    provider.lock().lenient = true;
    provider.lock().lose = 1_000;
    let source = agent.source(&url, refreshed(&url)).unwrap();
    for _ in 0..20 {
        assert_eq!(token(&source).await.unwrap_err(), "oauth.needs_consent");
        agent.hand.advance(HOUR);
    }
    assert_eq!(provider.lock().asked, 2);
}

#[tokio::test]
async fn what_a_token_endpoint_may_not_answer_is_refused_with_its_own_code() {
    let good = r#"{"access_token":"a","token_type":"Bearer"}"#;
    let huge = format!(r#"{{"access_token":"a","token_type":"Bearer","x":"{}"}}"#, "x".repeat(5 << 20));
    for (status, body, code) in [
        (200, "<html>", "oauth.provider_invalid"),
        (200, r#"{"access_token":"a"}"#, "oauth.provider_invalid"),
        (200, r#"{"access_token":"a","token_type":"Bearer","scope":"read admin"}"#, "oauth.provider_invalid"),
        (200, &huge, "oauth.provider_invalid"),
        (302, good, "oauth.provider_invalid"),
        (500, good, "oauth.provider_invalid"),
        (503, good, "oauth.provider_busy"),
        (401, r#"{"error":"invalid_client"}"#, "oauth.refused"),
    ] {
        let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
        let agent = Agent::alone(dir.path(), &time);
        agent.set("client", "c");
        provider.lock().says = Some((status, body.to_owned()));
        let url = provider.system.url();
        let settings = client(&url, "client_credentials", json!({ "scope": "read" }));
        let source = agent.source(&url, settings).unwrap();
        assert_eq!(token(&source).await.unwrap_err(), code, "{status}");
        assert_eq!(token(&source).await.unwrap_err(), code, "{status}");
        assert_eq!(provider.lock().asked, 1, "a failure is not asked for again at once");
        provider.lock().says = None;
        agent.hand.advance(Duration::from_secs(3_601));
        assert_eq!(token(&source).await.unwrap(), "at.2", "{status}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_costs_no_consent() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let given = provider.consent();
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    agent.set("refresh", &given);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = agent.source(&provider.system.url(), refreshed(&format!("http://{closed}"))).unwrap();
    for _ in 0..10 {
        assert_eq!(token(&source).await.unwrap_err(), "egress.connect_refused");
        agent.hand.advance(HOUR);
    }
    let url = provider.system.url();
    let source = agent.source(&url, refreshed(&url)).unwrap();
    assert_eq!(token(&source).await.unwrap(), "at.1.1");
}

#[tokio::test]
async fn a_token_that_the_system_refuses_is_replaced_once_and_not_each_time() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let agent = Agent::alone(dir.path(), &time);
    agent.set("client", "c");
    let url = provider.system.url();
    let source = agent.source(&url, client(&url, "client_credentials", json!({}))).unwrap();
    let first = source.token().await.unwrap();
    source.rejected(&first);
    assert_eq!(source.token().await.unwrap().generation, first.generation, "it is too young to be the reason");
    agent.hand.advance(Duration::from_secs(600));
    let all = futures::future::join_all((0..20).map(|_| async {
        source.rejected(&first);
        source.token().await.unwrap().generation
    }));
    assert!(all.await.iter().all(|generation| *generation == first.generation + 1));
    assert_eq!(provider.lock().asked, 2);
}

#[tokio::test]
async fn the_client_proves_itself_as_it_is_told() {
    let (provider, time) = (Provider::start().await, clock());
    let url = provider.system.url();
    for (way, more) in [
        ("post", json!({ "client_authentication": "post" })),
        ("none", json!({ "client_authentication": "none" })),
        ("password", json!({ "grant": "password", "username": "ada", "password": { "secret": "client" } })),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::alone(dir.path(), &time);
        agent.set("client", "s3cret");
        let source = agent.source(&url, client(&url, "client_credentials", more)).unwrap();
        token(&source).await.unwrap();
        let form = provider.lock().bodies.pop().unwrap();
        let proof = provider.lock().proofs.pop().unwrap();
        let field = |name: &str| form.get(name).map(String::as_str);
        match way {
            "post" => assert_eq!((field("client_secret"), proof), (Some("s3cret"), None)),
            "none" => assert_eq!((field("client_id"), field("client_secret"), proof), (Some("wherry"), None, None)),
            _ => {
                assert_eq!((field("username"), field("password"), proof.is_some()), (Some("ada"), Some("s3cret"), true))
            }
        }
    }
}

#[tokio::test]
async fn a_restored_folder_is_noticed_and_its_refresh_token_is_not_sent() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, given) = (provider.system.url(), provider.consent());
    let start = |given: &str| {
        let agent = Agent::alone(dir.path(), &time);
        agent.set("client", "c");
        agent.set("refresh", given);
        agent
    };
    let tokens = dir.path().join("oauth/prod");
    let backup = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let agent = start(&given);
        token(&agent.source(&url, refreshed(&url)).unwrap()).await.unwrap();
        agent.hand.advance(HOUR + HOUR);
        if round == 0 {
            copy(&tokens, backup.path());
        }
    }
    std::fs::remove_dir_all(&tokens).unwrap();
    copy(backup.path(), &tokens);
    let agent = start(&given);
    let source = agent.source(&url, refreshed(&url)).unwrap();
    assert_eq!(token(&source).await.unwrap_err(), "oauth.rolled_back");
    assert_eq!(provider.counts(), (3, 0));
    agent.set("refresh", &provider.consent());
    agent.hand.advance(Duration::from_secs(2));
    assert_eq!(token(&source).await.unwrap(), "at.2.1");
}

#[tokio::test]
async fn settings_that_make_no_whole_say_what_is_missing() {
    let (dir, time) = (tempfile::tempdir().unwrap(), clock());
    let agent = Agent::alone(dir.path(), &time);
    for (settings, missing) in [
        (json!({ "grant": "client_credentials", "client_id": "x" }), "token_url"),
        (json!({ "grant": "client_credentials", "token_url": "https://x.example/t" }), "client_id"),
        (json!({ "grant": "client_credentials", "client_id": "x", "token_url": "http://x.example/t" }), "https"),
        (
            json!({ "grant": "client_credentials", "client_id": "x", "token_url": "https://u:p@x.example/t" }),
            "user name",
        ),
    ] {
        let failure = agent.source("http://127.0.0.1:1", settings).err().unwrap();
        assert_eq!(failure.code.as_str(), "oauth.settings_invalid");
        assert!(failure.message.contains(missing), "{failure}");
    }
}

/// Waits for something that a task of the agent does.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

async fn eventually_token(source: &wherry_agent::auth::Source, wanted: &str) {
    for _ in 0..6_000 {
        if token(source).await.unwrap() == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {wanted}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Whether any file below holds these bytes.
fn holds(dir: &std::path::Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, bytes)
        } else {
            std::fs::read(path).unwrap().windows(bytes.len()).any(|found| found == bytes)
        }
    })
}
