//! The same through real connections.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

/// A site that listens, as long as the test lives.
async fn listening(requests: usize) -> (Arc<Sandbox>, String, Client) {
    // Another test of this process may have done it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let sandbox = Sandbox::with(Settings { requests, flavour: Flavour::Cloud, base: base.clone() });
    let router = sandbox.clone().router();
    #[expect(clippy::disallowed_methods, reason = "the server ends with the runtime of the test")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().unwrap();
    (sandbox, base, client)
}

#[tokio::test]
async fn links_lead_to_the_next_page_until_there_is_none() {
    let (sandbox, base, client) = listening(1_000).await;
    let agent = sandbox.agent();
    let (mut next, mut keys) = (Some(format!("{base}{DESK}/servicedesk/1/queue/10/issue?limit=100")), Vec::new());
    while let Some(url) = next {
        let answer = client.get(url).basic_auth(&agent.user, Some(&agent.token)).send().await.unwrap();
        let page: Value = answer.json().await.unwrap();
        keys.extend(texts(&page["values"], "key"));
        next = page["_links"]["next"].as_str().map(str::to_owned);
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 600);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer_and_the_next_one_is_whole() {
    let (sandbox, base, client) = listening(5).await;
    let agent = sandbox.agent();
    let ask = || client.get(format!("{base}/rest/api/3/issue/IT-1")).basic_auth(&agent.user, Some(&agent.token)).send();
    let rule = json!([{"path": "/rest/api", "fault": "half", "times": 1}]);
    let set = client.put(format!("{base}/_sandbox/faults")).json(&rule).send().await.unwrap();
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    // The connection may break before the head of the answer is out, or within its body.
    let broken = match ask().await {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);
    let whole: Value = ask().await.unwrap().json().await.unwrap();
    assert_eq!(whole["key"], "IT-1");
}
