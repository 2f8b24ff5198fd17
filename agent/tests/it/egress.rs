//! The way out of connectors, without one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use wherry_agent::{
    egress::{Destination, EgressSettings, Endpoint, Endpoints, Limits},
    net::Proxy,
};
use wherry_host::{Body, Egress, EgressError};

use super::support::{PATIENCE, pki::Authority, soon, system::System};

fn endpoint(url: &str, settings: EgressSettings, use_proxy: bool) -> Endpoint {
    Endpoints::new(settings).for_connection("test", Destination::parse(url).unwrap(), use_proxy).unwrap()
}

fn get(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
}

async fn refusal(endpoint: &Endpoint, request: Request<Body>) -> EgressError {
    soon("an answer", endpoint.send(request)).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn requests_to_anywhere_else_are_refused_without_a_packet() {
    let system = System::with_items(0).await;
    let own = endpoint(&system.url(), EgressSettings::default(), false);
    let port = system.url().rsplit(':').next().unwrap().to_owned();
    for other in [
        "http://169.254.169.254/".to_owned(),
        "http://localhost/".to_owned(),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        "http://127.0.0.1:22/".to_owned(),
        format!("http://127.0.0.1.:{port}/"),
        format!("http://evil@127.0.0.1:{port}/"),
    ] {
        assert!(matches!(refusal(&own, get(&other)).await, EgressError::Denied { .. }), "{other}");
    }
    assert_eq!(system.connections(), 0);
}

#[tokio::test]
async fn connections_to_special_addresses_are_refused_without_a_packet() {
    for url in [
        "http://169.254.169.254",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://168.63.129.16",
        "http://0.0.0.0",
        "http://[fe80::1]",
        "http://224.0.0.1",
    ] {
        let own = endpoint(url, EgressSettings::default(), false);
        let spelt = Destination::parse(url).unwrap().base(url);
        assert!(matches!(refusal(&own, get(&spelt)).await, EgressError::AddressDenied { .. }), "{url}");
    }
}

#[tokio::test]
async fn headers_of_the_host_are_refused() {
    let system = System::with_items(0).await;
    let own = endpoint(&system.url(), EgressSettings::default(), false);
    for header in ["host", "authorization", "proxy-authorization", "proxy-connection", "transfer-encoding", "upgrade"] {
        let mut request = get(&system.url());
        request.headers_mut().insert(header, "x".parse().unwrap());
        assert!(matches!(refusal(&own, request).await, EgressError::InvalidRequest { .. }), "{header}");
    }
    assert_eq!(system.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_that_nobody_follows() {
    let mut system = System::start(|_| Some((302, String::new()))).await;
    let own = endpoint(&system.url(), EgressSettings::default(), false);
    let answer = soon("an answer", own.send(get(&format!("{}/a", system.url())))).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(system.next().await.line, "GET /a HTTP/1.1");
    assert!(system.so_far().is_empty());
}

#[tokio::test]
async fn an_answer_beyond_the_limit_breaks_off() {
    let system = System::start(|_| Some((200, "x".repeat(5_000)))).await;
    let limits = Limits { response_bytes: 4_999, ..Limits::default() };
    let own = endpoint(&system.url(), EgressSettings { limits, ..EgressSettings::default() }, false);
    assert!(matches!(refusal(&own, get(&system.url())).await, EgressError::ResponseTooLarge { limit: 4_999, .. }));
}

#[tokio::test]
async fn a_system_that_does_not_answer_is_left() {
    let system = System::start(|_| None).await;
    let limits = Limits { first_byte: Duration::from_millis(100), ..Limits::default() };
    let own = endpoint(&system.url(), EgressSettings { limits, ..EgressSettings::default() }, false);
    assert!(matches!(refusal(&own, get(&system.url())).await, EgressError::ResponseTimeout { limit_ms: 100, .. }));
}

#[tokio::test]
async fn nobody_listening_is_told_apart_from_an_unknown_name() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let closed = endpoint(&url, EgressSettings::default(), false);
    assert!(matches!(refusal(&closed, get(&url)).await, EgressError::ConnectRefused { .. }));
    let url = "http://no-such-host.invalid";
    let unknown = endpoint(url, EgressSettings::default(), false);
    assert!(matches!(refusal(&unknown, get(url)).await, EgressError::DnsFailed { .. }));
}

#[tokio::test]
async fn plain_requests_go_to_the_proxy_in_absolute_form_with_its_credentials() {
    let mut proxy = System::start(|_| Some((200, "{}".to_owned()))).await;
    let port = proxy.url().rsplit(':').next().unwrap().parse().unwrap();
    let settings = EgressSettings {
        proxy: Some(Proxy::new("127.0.0.1", port, Some(("agent", &"pass".into())))),
        ..EgressSettings::default()
    };
    let own = endpoint("http://desk.internal:8080", settings, true);
    let request = Request::builder().method("POST").uri("http://desk.internal:8080/a");
    let body = Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {}).boxed_unsync();
    let answer = soon("an answer", own.send(request.body(body).unwrap())).await.unwrap();
    assert_eq!(answer.status(), 200);
    let asked = proxy.next().await;
    assert_eq!(asked.line, "POST http://desk.internal:8080/a HTTP/1.1");
    assert_eq!(
        (asked.header("host"), asked.header("proxy-authorization")),
        (Some("desk.internal:8080"), Some("Basic YWdlbnQ6cGFzcw=="))
    );
}

#[tokio::test]
async fn an_address_that_is_never_reached_is_not_reached_through_a_proxy_either() {
    let proxy = System::with_items(0).await;
    let port = proxy.url().rsplit(':').next().unwrap().parse().unwrap();
    let settings = EgressSettings { proxy: Some(Proxy::new("127.0.0.1", port, None)), ..EgressSettings::default() };
    let own = endpoint("http://169.254.169.254", settings, true);
    assert!(matches!(refusal(&own, get("http://169.254.169.254/")).await, EgressError::AddressDenied { .. }));
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_told_apart_and_can_be_trusted() {
    let authority = Authority::new();
    let system = System::secure(authority.server(2090), |_| Some((200, "{}".to_owned()))).await;
    let stranger = endpoint(&system.url(), EgressSettings::default(), false);
    let refused = refusal(&stranger, get(&system.url())).await;
    assert!(matches!(&refused, EgressError::TlsUntrusted { reason, .. } if reason == "unknown issuer"), "{refused:?}");
    let settings = EgressSettings { extra_roots: vec![authority.root()], ..EgressSettings::default() };
    let known = endpoint(&system.url(), settings, false);
    let answer = soon("an answer", known.send(get(&system.url()))).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn secure_requests_ask_the_proxy_for_a_tunnel() {
    let mut proxy = System::start(|_| Some((407, String::new()))).await;
    let port = proxy.url().rsplit(':').next().unwrap().parse().unwrap();
    let settings = EgressSettings { proxy: Some(Proxy::new("127.0.0.1", port, None)), ..EgressSettings::default() };
    let own = endpoint("https://desk.internal", settings, true);
    assert!(matches!(refusal(&own, get("https://desk.internal/a")).await, EgressError::ProxyAuth { .. }));
    assert_eq!(proxy.next().await.line, "CONNECT desk.internal:443 HTTP/1.1");
}

#[tokio::test]
async fn a_dropped_answer_and_a_kept_one_use_one_connection_each_time() {
    let system = System::with_items(3).await;
    let own = Arc::new(endpoint(&system.url(), EgressSettings::default(), false));
    for _ in 0..5 {
        let answer = soon("an answer", own.send(get(&format!("{}/items", system.url())))).await.unwrap();
        let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.unwrap().unwrap();
        assert!(!body.to_bytes().is_empty());
    }
    assert_eq!(system.connections(), 1);
}
