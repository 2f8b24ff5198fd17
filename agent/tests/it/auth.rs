//! Every way to authenticate, against systems that see what arrives and connectors that must not.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use secrecy::SecretString;
use serde_json::{Value, json};
use wherry_agent::{
    auth::alone,
    egress::{EgressSettings, Endpoint, Endpoints},
    secrets::SecretError,
};
use wherry_daemon::clock::{Clock, Hand};
use wherry_domain::{failure::Failure, name::Name, project::Auth, time::Timestamp};
use wherry_host::{Body, Egress, EgressError};

use super::support::{
    soon,
    system::{Asked, Reply, System},
};

pub(crate) const PASSWORD: &str = "p\u{e4}ss w&rd+1";

#[tokio::test]
async fn a_token_is_fetched_once_carried_by_every_request_and_fetched_once_more_after_a_401() {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logins);
    let mut system = System::start(move |asked| {
        if asked.line == "POST /base/api/jwt/login HTTP/1.1" {
            return Some((200, format!("token.{}", count.fetch_add(1, SeqCst))));
        }
        // The first token ends after two requests.
        let first = asked.header("authorization") == Some("AR-JWT token.0");
        Some(if first && asked.line.contains("/third") { (401, String::new()) } else { (200, asked.body.clone()) })
    })
    .await;
    let url = format!("{}/base/", system.url());
    let (own, _hand) = endpoint(&url, &login_token()).unwrap();
    for path in ["first", "second", "third"] {
        let answer = send(&own, post(&format!("{url}{path}"), path)).await.unwrap();
        assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, path));
    }
    let lines: Vec<String> = system.so_far().iter().map(shown).collect();
    assert_eq!(
        lines,
        [
            "POST /base/api/jwt/login - username=Ada&password=p%C3%A4ss+w%26rd%2B1&authString=de",
            "POST /base/first AR-JWT token.0 first",
            "POST /base/second AR-JWT token.0 second",
            "POST /base/third AR-JWT token.0 third",
            "POST /base/api/jwt/login - username=Ada&password=p%C3%A4ss+w%26rd%2B1&authString=de",
            "POST /base/third AR-JWT token.1 third",
        ]
    );
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_a_minute_however_many_requests_there_are() {
    let mut system = System::start(|_| Some((401, "[{\"messageNumber\":623}]".to_owned()))).await;
    let (own, hand) = endpoint(&system.url(), &login_token()).unwrap();
    let refused = async || {
        let (own, url) = (own.clone(), format!("{}/x", system.url()));
        let all = (0..20).map(|_| send(&own, get(&url)));
        for answer in futures::future::join_all(all).await {
            let error = answer.map(drop).unwrap_err();
            assert_eq!(error.code().as_str(), "auth.login_refused");
            assert!(!error.may_have_arrived() && !error.to_string().contains("p\u{e4}ss"));
        }
    };
    refused().await;
    refused().await;
    hand.advance(Duration::from_secs(60));
    refused().await;
    let asked: Vec<_> = system.so_far().into_iter().map(|asked| asked.line).collect();
    assert_eq!(asked, ["POST /api/jwt/login HTTP/1.1"; 2]);
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_kept_leaves_the_401_to_the_connector_and_a_new_token_to_the_next() {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logins);
    let system = System::start(move |asked| {
        Some(match asked.header("authorization") {
            None => (200, format!("t.{}", count.fetch_add(1, SeqCst))),
            Some("AR-JWT t.0") => (401, String::new()),
            Some(_) => (200, String::new()),
        })
    })
    .await;
    let (own, _hand) = endpoint(&system.url(), &login_token()).unwrap();
    let large = "x".repeat(300 << 10);
    let statuses = async |body: &str| send(&own, post(&format!("{}/p", system.url()), body)).await.unwrap().status();
    assert_eq!(statuses(&large).await, 401);
    assert_eq!(statuses(&large).await, 200);
    assert_eq!(logins.load(SeqCst), 2);
}

#[tokio::test]
async fn a_resource_that_always_says_401_does_not_make_a_login_of_every_request() {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logins);
    let system = System::start(move |asked| {
        Some(match asked.header("authorization") {
            None => (200, format!("t.{}", count.fetch_add(1, SeqCst))),
            Some(_) if asked.line.contains("/closed") => (401, String::new()),
            Some(_) => (200, String::new()),
        })
    })
    .await;
    let (own, _hand) = endpoint(&system.url(), &login_token()).unwrap();
    for _ in 0..30 {
        for (path, status) in [("closed", 401), ("open", 200)] {
            let answer = send(&own, get(&format!("{}/{path}", system.url()))).await.unwrap();
            assert_eq!(answer.status(), status);
        }
    }
    assert_eq!(logins.load(SeqCst), 2);
}

#[tokio::test]
async fn a_login_that_gives_no_token_or_a_failure_is_told_apart() {
    for (status, body, code) in [
        (200, "<html>Sign in</html>", "auth.login_answer_invalid"),
        (200, "", "auth.login_answer_invalid"),
        (500, "", "auth.login_failed"),
        (302, "", "auth.login_failed"),
        (401, "[{\"messageNumber\":9093}]", "auth.session_elsewhere"),
    ] {
        let system = System::start(move |_| Some((status, body.to_owned()))).await;
        let (own, _hand) = endpoint(&system.url(), &login_token()).unwrap();
        let error = send(&own, get(&system.url())).await.map(drop).unwrap_err();
        assert_eq!(error.code().as_str(), code, "{status} {body}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let (own, _hand) = endpoint(&url, &login_token()).unwrap();
    let error = send(&own, get(&url)).await.map(drop).unwrap_err();
    assert_eq!(error.code().as_str(), "egress.connect_refused", "what went wrong on the way keeps its code");
}

#[tokio::test]
async fn a_json_login_on_the_same_host_gives_a_token_at_its_pointer_and_no_other_host_is_asked() {
    let mut system = System::start(|asked| {
        let login = asked.line.starts_with("POST /login ");
        Some((200, if login { "{\"data\":{\"token\":\"abc\"}}".to_owned() } else { "{}".to_owned() }))
    })
    .await;
    let auth = |url: &str| {
        json!({
            "type": "login_token", "login_url": url, "format": "json", "username": "Ada",
            "password": { "secret": "password" }, "username_field": "user", "token": { "json": "/data/token" },
            "header": "X-Session", "prefix": "",
        })
    };
    let (own, _hand) = endpoint(&system.url(), &auth(&format!("{}/login", system.url()))).unwrap();
    send(&own, get(&format!("{}/x", system.url()))).await.unwrap();
    let login = system.next().await;
    assert_eq!(serde_json::from_str::<Value>(&login.body).unwrap(), json!({ "user": "Ada", "password": PASSWORD }));
    assert_eq!(system.next().await.header("x-session"), Some("abc"));
    let mut stealing = get(&system.url());
    stealing.headers_mut().insert("x-session", "mine".parse().unwrap());
    assert!(matches!(send(&own, stealing).await, Err(EgressError::InvalidRequest { .. })));
    let elsewhere = endpoint(&system.url(), &auth("https://login.example/")).map(drop).unwrap_err();
    assert_eq!(elsewhere.code.as_str(), "auth.settings_invalid");
}

#[tokio::test]
async fn an_api_key_goes_in_its_header_and_neither_comes_back_nor_can_be_set() {
    let mut system = System::replying(|asked| Reply {
        status: 200,
        headers: vec![("X-Api-Key", asked.header("x-api-key").unwrap_or_default().to_owned()), ("x-other", "1".into())],
        body: String::new(),
    })
    .await;
    let auth = json!({ "type": "api_key", "name": "X-Api-Key", "prefix": "Token ", "key": { "secret": "key" } });
    let (own, _hand) = endpoint(&system.url(), &auth).unwrap();
    let answer = send(&own, get(&system.url())).await.unwrap();
    assert_eq!(system.next().await.header("x-api-key"), Some("Token k3y-value"));
    assert!(answer.headers().contains_key("x-other") && !answer.headers().contains_key("x-api-key"));
    assert!(own.protected_headers().iter().any(|name| name == "x-api-key"));
    let mut request = get(&system.url());
    request.headers_mut().insert("x-api-key", "mine".parse().unwrap());
    assert!(matches!(send(&own, request).await, Err(EgressError::InvalidRequest { .. })));
}

#[tokio::test]
async fn a_key_in_the_query_never_comes_back_to_the_connector() {
    let mut system = System::replying(|asked| {
        let target = asked.line.split(' ').nth(1).unwrap_or_default().to_owned();
        let headers = if target.starts_with("/moved") { vec![("location", target.clone())] } else { Vec::new() };
        let body = if target.starts_with("/echo") { format!("{{\"self\":\"{target}\"}}") } else { "{}".to_owned() };
        Reply { status: 200, headers, body }
    })
    .await;
    let auth = json!({ "type": "api_key", "in": "query", "name": "key", "key": { "secret": "key" } });
    let (own, _hand) = endpoint(&system.url(), &auth).unwrap();
    let answer = send(&own, get(&format!("{}/plain?a=1", system.url()))).await.unwrap();
    assert_eq!(text(answer).await, "{}");
    assert_eq!(system.next().await.line, "GET /plain?a=1&key=k3y-value HTTP/1.1");
    let moved = send(&own, get(&format!("{}/moved", system.url()))).await.map(drop).unwrap_err();
    let echo = send(&own, get(&format!("{}/echo", system.url()))).await.unwrap();
    let echo = echo.into_body().collect().await.map(drop).unwrap_err();
    assert_eq!((moved.code().as_str(), echo.code().as_str()), ("auth.echoed", "auth.echoed"));
}

#[tokio::test]
async fn credentials_are_put_into_the_soap_header_and_an_answer_that_says_them_back_is_refused() {
    let mut system = System::start(|asked| {
        let said = if asked.line.contains("/echo") { asked.body.clone() } else { "<ok/>".to_owned() };
        Some((200, said))
    })
    .await;
    let auth = json!({
        "type": "soap_header", "username": "Ada", "password": { "secret": "password" }, "fields": { "locale": "de" },
    });
    let (own, _hand) = endpoint(&system.url(), &auth).unwrap();
    let envelope = "<s:Envelope xmlns:s=\"urn:s\"><s:Header><userName>{{wherry:username}}</userName>\
        <password>{{wherry:password}}</password><locale>{{wherry:locale}}</locale></s:Header>\
        <s:Body>{{wherry:password}}</s:Body></s:Envelope>";
    let url = system.url();
    let soap = |path: &str| {
        let mut request = post(&format!("{url}{path}"), envelope);
        request.headers_mut().insert("content-type", "text/xml; charset=utf-8".parse().unwrap());
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        request
    };
    let answer = send(&own, soap("/service")).await.unwrap();
    assert_eq!(text(answer).await, "<ok/>");
    let asked = system.next().await;
    assert!(
        asked.body.contains("<password>p\u{e4}ss w&amp;rd+1</password><locale>de</locale></s:Header>"),
        "{}",
        asked.body
    );
    assert!(asked.body.ends_with("<s:Body>{{wherry:password}}</s:Body></s:Envelope>"), "{}", asked.body);
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    let echo = send(&own, soap("/echo")).await.unwrap().into_body().collect().await.map(drop).unwrap_err();
    assert_eq!((echo.code().as_str(), echo.may_have_arrived()), ("auth.echoed", true));
}

#[tokio::test]
async fn crowd_opens_a_session_exchanges_it_and_no_cookie_reaches_the_connector() {
    let mut crowd = System::start(|_| Some((201, "{\"token\":\"cr0wd\"}".to_owned()))).await;
    let mut system = System::replying(|asked| {
        let cookie = |text: &str| ("set-cookie", text.to_owned());
        let headers = match asked.line.contains("/plugins/servlet/samlconsumer") {
            true => vec![cookie("JSESSIONID=s1; Path=/; HttpOnly"), ("location", "/".to_owned())],
            false => vec![cookie("JSESSIONID=s2"), ("x-other", "1".to_owned())],
        };
        Reply {
            status: if headers.len() > 1 && headers[1].0 == "location" { 302 } else { 200 },
            headers,
            body: String::new(),
        }
    })
    .await;
    let mut auth = json!({
        "type": "crowd", "user": "ada", "password": { "secret": "password" },
        "sso_login_url": format!("{}/crowd/", crowd.url()), "sso_exchange_url": "/plugins/servlet/samlconsumer",
        "sso_app_name": "jira", "sso_app_password": { "secret": "key" }, "sso_properties": { "remote_address": "10.0.0.1" },
    });
    auth["sso_exchange_url"] = json!(format!("{}/plugins/servlet/samlconsumer", system.url()));
    let (own, _hand) = endpoint(&system.url(), &auth).unwrap();
    let answer = send(&own, get(&format!("{}/rest", system.url()))).await.unwrap();
    assert!(answer.headers().contains_key("x-other") && !answer.headers().contains_key("set-cookie"));
    let login = crowd.next().await;
    assert_eq!(login.line, "POST /crowd/rest/usermanagement/1/session HTTP/1.1");
    let application = format!("Basic {}", STANDARD.encode("jira:k3y-value"));
    assert_eq!(login.header("authorization"), Some(application.as_str()));
    let factors = json!({ "validationFactors": [{ "name": "remote_address", "value": "10.0.0.1" }] });
    let wanted = json!({ "username": "ada", "password": PASSWORD, "validation-factors": factors });
    assert_eq!(serde_json::from_str::<Value>(&login.body).unwrap(), wanted);
    assert_eq!(system.next().await.header("cookie"), Some("crowd.token_key=cr0wd"));
    assert_eq!(system.next().await.header("cookie"), Some("crowd.token_key=cr0wd; JSESSIONID=s1"));
    let mut own_cookie = get(&system.url());
    own_cookie.headers_mut().insert("cookie", "a=b".parse().unwrap());
    assert!(matches!(send(&own, own_cookie).await, Err(EgressError::InvalidRequest { .. })));
}

#[tokio::test]
async fn passwords_go_to_crowd_over_tls_or_not_at_all() {
    let system = System::with_items(0).await;
    let auth = json!({
        "type": "crowd", "user": "ada", "password": { "secret": "password" },
        "sso_login_url": "http://crowd.example/crowd/", "sso_app_name": "jira", "sso_app_password": { "secret": "key" },
    });
    let refused = endpoint(&system.url(), &auth).map(drop).unwrap_err();
    assert_eq!(refused.code.as_str(), "auth.settings_invalid");
    assert!(refused.message.contains("sso_login_url"), "{}", refused.message);
}

#[tokio::test]
async fn auto_takes_the_scheme_that_fits_the_fields() {
    let mut system = System::with_items(0).await;
    let secret = |name: &str| json!({ "secret": name });
    let basic = |user: &str, password: &str| Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    let bearer = Some("Bearer k3y-value".to_owned());
    for (auth, expected) in [
        (json!({ "type": "auto" }), None),
        (json!({ "type": "auto", "user": "ada", "password": secret("password") }), basic("ada", PASSWORD)),
        (json!({ "type": "auto", "user": "ada", "api_token": secret("key") }), basic("ada", "k3y-value")),
        (
            json!({ "type": "auto", "user": "ada", "password": secret("password"), "api_token": secret("key") }),
            basic("ada", PASSWORD),
        ),
        (json!({ "type": "auto", "api_token": secret("key") }), bearer.clone()),
        (json!({ "type": "auto", "access_token": secret("key") }), bearer),
    ] {
        let (own, _hand) = endpoint(&system.url(), &auth).unwrap();
        send(&own, get(&system.url())).await.unwrap();
        assert_eq!(system.next().await.header("authorization").map(str::to_owned), expected, "{auth}");
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_or_cannot_stand_in_a_header_is_named() {
    for (auth, code) in [
        (json!({ "type": "bearer", "token": { "secret": "nobody" } }), "secret.missing"),
        (json!({ "type": "bearer", "token": { "secret": "lines" } }), "secret.unusable"),
        (
            json!({
                "type": "oauth1", "signature_method": "RSA-SHA1", "consumer_key": "c", "token": { "secret": "key" },
                "certificate": { "type": "PEMKEY_BLOB", "store": { "secret": "key" } },
            }),
            "certificate.malformed",
        ),
        (json!({ "type": "oauth2", "grant": "client_credentials", "client_id": "c" }), "oauth.unavailable"),
    ] {
        let refused = endpoint("https://desk.example", &auth).map(drop).unwrap_err();
        assert!(refused.code.as_str() == code || refused.code.as_str().starts_with("certificate."), "{refused}");
    }
}

fn login_token() -> Value {
    json!({
        "type": "login_token", "username": "Ada", "password": { "secret": "password" }, "fields": { "authString": "de" },
    })
}

/// The endpoint of a connection, and the hand of its clock.
pub(crate) fn endpoint(url: &str, auth: &Value) -> Result<(Endpoint, Hand), Failure> {
    let auth: Auth = serde_json::from_value(auth.clone()).unwrap();
    let secrets = BTreeMap::from([("password", PASSWORD), ("key", "k3y-value"), ("lines", "a\nb")]);
    let environment: Name = "prod".parse().unwrap();
    let lookup: alone::Lookup = Arc::new(move |name: &Name| {
        let missing = || SecretError::Missing { environment: environment.clone(), name: name.clone() };
        secrets.get(name.as_str()).map(|value| Arc::new(SecretString::from(*value))).ok_or_else(missing)
    });
    let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
    let endpoints = Endpoints::new(EgressSettings::default());
    let own = alone::endpoint(&endpoints, &"prod/desk/system".parse().unwrap(), (url, &auth), &lookup, &clock)?;
    Ok((own, hand))
}

fn get(uri: &str) -> Request<Body> {
    let mut request = post(uri, "");
    *request.method_mut() = http::Method::GET;
    request
}

pub(crate) fn post(uri: &str, body: &str) -> Request<Body> {
    let body = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {}).boxed_unsync();
    Request::post(uri).body(body).unwrap()
}

pub(crate) async fn send(endpoint: &Endpoint, request: Request<Body>) -> Result<Response<Body>, EgressError> {
    soon("an answer", endpoint.send(request)).await
}

pub(crate) async fn text(answer: Response<Body>) -> String {
    let body = soon("a body", answer.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Method and path, the header `Authorization`, the body.
fn shown(asked: &Asked) -> String {
    let line = asked.line.trim_end_matches(" HTTP/1.1");
    format!("{line} {} {}", asked.header("authorization").unwrap_or("-"), asked.body)
}
