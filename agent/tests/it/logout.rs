//! The end of sessions at systems.

use serde_json::json;

use super::{
    auth::{endpoint, post, send},
    support::system::System,
};

#[tokio::test]
async fn a_session_ends_with_a_logout_at_the_connections_own_host_if_it_names_a_place_for_that() {
    let mut system = System::start(|asked| {
        Some(if asked.line.contains("/jwt/login") { (200, "token.0".to_owned()) } else { (204, String::new()) })
    })
    .await;
    let url = format!("{}/base", system.url());
    let mut auth = json!({
        "type": "login_token", "username": "Ada", "password": { "secret": "password" }, "logout_url": "/api/jwt/logout",
    });
    let (own, _hand) = endpoint(&url, &auth).unwrap();
    send(&own, post(&format!("{url}/x"), "")).await.unwrap();
    drop(own);
    let mut asked = Vec::new();
    for _ in 0..3 {
        let one = system.next().await;
        let path = one.line.trim_end_matches(" HTTP/1.1").to_owned();
        asked.push((path, one.header("authorization").unwrap_or_default().to_owned(), one.body.is_empty()));
    }
    let session = |path: &str| (format!("POST /base/{path}"), "AR-JWT token.0".to_owned(), true);
    assert_eq!(asked[0].0, "POST /base/api/jwt/login");
    assert_eq!(asked[1..], [session("x"), session("api/jwt/logout")]);
    auth["logout_url"] = json!("https://elsewhere.example/logout");
    let refused = endpoint(&url, &auth).map(drop).unwrap_err();
    assert_eq!(refused.code.as_str(), "auth.settings_invalid");
    assert!(refused.message.contains("logout_url"), "{}", refused.message);
}
