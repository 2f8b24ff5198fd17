//! A connection that is deployed otherwise while the deployment before it is still in use.

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
