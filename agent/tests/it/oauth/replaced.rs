//! A connection that is deployed otherwise while the deployment before it is still in use.

use wherry_agent::policy::{Policy, RawPolicy};

use super::*;

#[tokio::test]
async fn tokens_go_with_their_connection_from_place_to_place_and_back_and_are_never_used_twice() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, agent) = (provider.system.url(), Agent::alone(dir.path(), &time));
    agent.set("client", "c");
    agent.set("refresh", &provider.consent());
    let here = refreshed(&url);
    let mut there = here.clone();
    there["oauth_settings_location"] = json!("jira");
    let old = source(&agent, &url, &here).await;
    assert_eq!(token(&old).await.unwrap(), "at.1.1");
    let new = source(&agent, &url, &there).await;
    for round in 1..=3 {
        let expected = Ok(format!("at.1.{round}"));
        for source in [&new, &old, &new] {
            assert_eq!(token(source).await, expected);
        }
        agent.hand.advance(HOUR + HOUR);
    }
    assert_eq!(provider.counts(), (3, 0));
}

#[tokio::test]
async fn a_connection_whose_tokens_are_got_another_way_from_now_on_is_not_in_its_own_way() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let (url, agent) = (provider.system.url(), Agent::alone(dir.path(), &time));
    agent.set("client", "c");
    agent.set("refresh", &provider.consent());
    let old = source(&agent, &url, &refreshed(&url)).await;
    assert_eq!(token(&old).await.unwrap(), "at.1.1");
    let new = source(&agent, &url, &client(&url, "client_credentials", json!({}))).await;
    assert_eq!(token(&new).await.unwrap(), "at.2");
}

#[tokio::test]
async fn a_place_for_tokens_that_the_owners_policy_does_not_name_is_refused() {
    let (provider, dir, time) = (Provider::start().await, tempfile::tempdir().unwrap(), clock());
    let url = provider.system.url();
    let under = |roots: &[std::path::PathBuf]| {
        let mut raw = RawPolicy::default();
        raw.files.roots = Some(roots.to_vec());
        Agent::under(dir.path(), (&time.0, &time.1), Policy::of(raw).unwrap())
    };
    let mut settings = refreshed(&url);
    settings["oauth_settings_location"] = json!("jira");
    let agent = under(&["/etc/wherry/certs".into()]);
    agent.set("client", "c");
    agent.set("refresh", &provider.consent());
    let refused = agent.source(&url, settings.clone()).err().unwrap();
    assert_eq!(refused.code.as_str(), "agent_policy.file");
    assert!(!dir.path().join("oauth-files/jira").exists(), "nothing was made there");
    assert!(agent.source(&url, refreshed(&url)).is_ok(), "the agent's own place is no project's choice");
    drop(agent);
    let allowed = under(&[dir.path().join("oauth-files")]);
    allowed.set("client", "c");
    allowed.set("refresh", &provider.consent());
    assert!(allowed.source(&url, settings).is_ok());
}

/// The source, as soon as nothing is under way any more for the one before.
async fn source(agent: &Agent, url: &str, settings: &serde_json::Value) -> wherry_agent::auth::Source {
    let free = async {
        loop {
            match agent.source(url, settings.clone()) {
                Ok(source) => return source,
                Err(failure) => assert_eq!(failure.code.as_str(), "oauth.provider_busy"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.unwrap()
}
