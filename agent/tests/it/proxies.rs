//! The way out of connectors through the agent's proxies, without connectors.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use wherry_agent::{
    egress::{Destination, EgressSettings, Endpoint, Endpoints, Limits},
    net::{
        Proxy,
        proxy::{Bypass, Credentials, ProxySettings, Scheme},
    },
};
use wherry_host::{Body, Egress, EgressError};

use super::support::{
    pki::Authority,
    relay::{Mood, Relay, Speaks},
    soon,
    system::System,
};

#[tokio::test]
async fn each_kind_of_proxy_carries_plain_requests_in_its_own_way() {
    for (speaks, scheme, asked) in [
        (Speaks::Http, Scheme::Http, "GET http://desk.internal:8080/a"),
        (Speaks::Socks, Scheme::Socks5h, "desk.internal:8080"),
    ] {
        let mut system = System::with_items(0).await;
        let mut relay = Relay::start(speaks, Mood::Open(address(&system)), None).await;
        let own = through(scheme, &relay, "http://desk.internal:8080");
        get(&own, "http://desk.internal:8080/a").await.unwrap();
        assert_eq!(relay.next().await, asked);
        assert_eq!(system.next().await.header("host"), Some("desk.internal:8080"));
    }
}

#[tokio::test]
async fn socks5_resolves_here_and_socks5h_at_the_proxy() {
    let system = System::with_items(0).await;
    let mut relay = Relay::start(Speaks::Socks, Mood::Open(address(&system)), None).await;
    let url = format!("http://localhost:{}", address(&system).port());
    get(&through(Scheme::Socks5, &relay, &url), &url).await.unwrap();
    assert!(["127.0.0.1", "::1"].iter().any(|local| url.ends_with(&relay.so_far()[0].replace(local, "")[1..])));
    get(&through(Scheme::Socks5h, &relay, &url), &url).await.unwrap();
    assert_eq!(relay.next().await, url.trim_start_matches("http://"));
    // A name that leads nowhere allowed is judged before the proxy hears of it.
    let settings = EgressSettings { proxy: Some(at(Scheme::Socks5, &relay)), ..EgressSettings::default() };
    let own = endpoint("http://no-such-host.invalid", settings);
    assert!(matches!(get(&own, "http://no-such-host.invalid/").await, Err(EgressError::DnsFailed { .. })));
    assert!(relay.so_far().is_empty());
}

#[tokio::test]
async fn addresses_that_are_never_reached_are_judged_before_any_proxy_hears_of_them() {
    for (speaks, scheme) in
        [(Speaks::Http, Scheme::Http), (Speaks::Socks, Scheme::Socks5), (Speaks::Socks, Scheme::Socks5h)]
    {
        let mut relay = Relay::start(speaks, Mood::Silent, None).await;
        for url in ["http://169.254.169.254", "https://169.254.169.254", "http://[::ffff:a9fe:a9fe]"] {
            let own = through(scheme, &relay, url);
            assert!(matches!(get(&own, url).await, Err(EgressError::AddressDenied { .. })), "{url}");
        }
        assert!(relay.so_far().is_empty());
    }
}

#[tokio::test]
async fn tls_with_the_system_goes_through_every_kind_of_proxy_to_the_end() {
    let authority = Authority::new();
    let system = System::secure(authority.server(2090), |_| Some((200, "{}".to_owned()))).await;
    let url = format!("https://localhost:{}", address(&system).port());
    for (speaks, scheme) in [(Speaks::Http, Scheme::Http), (Speaks::Socks, Scheme::Socks5h)] {
        let relay = Relay::start(speaks, Mood::Open(address(&system)), Some("me:pass")).await;
        let settings = EgressSettings {
            proxy: Some(with(scheme, &relay, |settings| settings.credentials = credentials("me", "pass"))),
            extra_roots: vec![authority.root()],
            ..EgressSettings::default()
        };
        assert_eq!(get(&endpoint(&url, settings), &url).await, Ok(200));
    }
}

#[tokio::test]
async fn an_https_proxy_is_trusted_by_its_own_authorities_only() {
    let (of_proxy, of_system) = (Authority::new(), Authority::new());
    let system = System::secure(of_system.server(2090), |_| Some((200, "{}".to_owned()))).await;
    let url = format!("https://localhost:{}", address(&system).port());
    let mut relay = Relay::secure(Mood::Open(address(&system)), of_proxy.server(2090)).await;
    let settings = |roots: Vec<_>| EgressSettings {
        proxy: Some(with(Scheme::Https, &relay, |settings| settings.extra_roots = roots)),
        extra_roots: vec![of_system.root()],
        ..EgressSettings::default()
    };
    let (stranger, known) = (settings(vec![of_system.root()]), settings(vec![of_proxy.root()]));
    let refused = get(&endpoint(&url, stranger), &url).await;
    assert!(
        matches!(&refused, Err(EgressError::ProxyFailed { reason, .. }) if reason.contains("ca_files")),
        "{refused:?}"
    );
    assert!(relay.so_far().is_empty());
    assert_eq!(get(&endpoint(&url, known), &url).await, Ok(200));
    assert_eq!(relay.next().await, format!("CONNECT localhost:{}", address(&system).port()));
}

#[tokio::test]
async fn plain_requests_go_to_an_https_proxy_within_its_tls() {
    let authority = Authority::new();
    let mut relay =
        Relay::secure(Mood::Says("HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n"), authority.server(2090)).await;
    let proxy = with(Scheme::Https, &relay, |settings| settings.extra_roots = vec![authority.root()]);
    let own = endpoint("http://desk", EgressSettings { proxy: Some(proxy), ..EgressSettings::default() });
    assert_eq!(get(&own, "http://desk/a").await, Ok(204));
    assert_eq!(relay.next().await, "GET http://desk/a");
}

#[tokio::test]
async fn a_proxy_that_does_not_know_the_agent_is_told_apart() {
    for (speaks, scheme, url) in [
        (Speaks::Http, Scheme::Http, "https://desk"),
        (Speaks::Http, Scheme::Http, "http://desk"),
        (Speaks::Socks, Scheme::Socks5h, "https://desk"),
    ] {
        let relay = Relay::start(speaks, Mood::Silent, Some("me:pass")).await;
        for (shown, words) in [(None, "password_file"), (credentials("me", "wrong"), "did not accept")] {
            let proxy = with(scheme, &relay, |settings| settings.credentials = shown);
            let own = endpoint(url, EgressSettings { proxy: Some(proxy), ..EgressSettings::default() });
            let refused = get(&own, url).await;
            assert!(
                matches!(&refused, Err(EgressError::ProxyAuth { reason, .. }) if reason.contains(words)),
                "{url}: {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_only_ntlm_is_named_as_such() {
    let answer =
        "HTTP/1.1 407 Who\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    let relay = Relay::start(Speaks::Http, Mood::Says(answer), None).await;
    for url in ["https://desk", "http://desk"] {
        let refused = get(&through(Scheme::Http, &relay, url), url).await;
        let Err(EgressError::ProxyAuth { reason, .. }) = refused else { panic!("{url}: {refused:?}") };
        assert!(reason.contains("only Negotiate and NTLM") && reason.contains("cntlm"), "{reason}");
    }
}

#[tokio::test]
async fn refusals_of_a_proxy_are_permanent_and_its_troubles_are_not() {
    let says = |answer| (Speaks::Http, Scheme::Http, Mood::Says(answer));
    let replies = |reply| (Speaks::Socks, Scheme::Socks5h, Mood::Replies(reply));
    for ((speaks, scheme, mood), code) in [
        (says("HTTP/1.1 403 No\r\n\r\n"), "egress.proxy_refused"),
        (says("HTTP/1.1 405 No\r\n\r\n"), "egress.proxy_refused"),
        (says("HTTP/1.1 502 No\r\n\r\n"), "egress.proxy_failed"),
        (says("HTTP/1.1 504 No\r\n\r\n"), "egress.proxy_failed"),
        (says("SSH-2.0-OpenSSH\r\n\r\n"), "egress.proxy_failed"),
        (replies(2), "egress.proxy_refused"),
        (replies(4), "egress.proxy_failed"),
        (replies(5), "egress.proxy_failed"),
    ] {
        let relay = Relay::start(speaks, mood, None).await;
        let error = get(&through(scheme, &relay, "https://desk"), "https://desk").await.unwrap_err();
        assert_eq!(error.code().as_str(), code, "{error}");
    }
}

#[tokio::test]
async fn a_silent_proxy_is_left_in_time_and_an_absent_one_at_once() {
    for (speaks, scheme) in [(Speaks::Http, Scheme::Http), (Speaks::Socks, Scheme::Socks5h)] {
        let relay = Relay::start(speaks, Mood::Silent, None).await;
        let limits = Limits { connect: std::time::Duration::from_millis(200), ..Limits::default() };
        let settings = EgressSettings { proxy: Some(at(scheme, &relay)), limits, ..EgressSettings::default() };
        let error = get(&endpoint("https://desk", settings), "https://desk").await.unwrap_err();
        assert!(error.to_string().contains("no answer within 200 ms"), "{error}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxy = Proxy::new("127.0.0.1", port, None);
    let own = endpoint("https://desk", EgressSettings { proxy: Some(proxy), ..EgressSettings::default() });
    let error = get(&own, "https://desk").await.unwrap_err();
    assert_eq!(error.code().as_str(), "egress.proxy_failed");
    assert!(error.to_string().contains("refused the connection"), "{error}");
}

#[tokio::test]
async fn destinations_on_the_list_of_exceptions_go_direct() {
    let system = System::with_items(0).await;
    let mut relay = Relay::start(Speaks::Http, Mood::Open(address(&system)), None).await;
    let list = Bypass::new(&["127.0.0.0/8".to_owned(), ".corp".to_owned()]).unwrap();
    let settings = || EgressSettings {
        proxy: Some(with(Scheme::Http, &relay, |settings| settings.bypass = list.clone())),
        ..EgressSettings::default()
    };
    let (direct, proxied) = (endpoint(&system.url(), settings()), endpoint("http://desk", settings()));
    get(&direct, &system.url()).await.unwrap();
    assert!(relay.so_far().is_empty());
    get(&proxied, "http://desk").await.unwrap();
    assert_eq!(relay.next().await, "GET http://desk/");
}

fn address(system: &System) -> SocketAddr {
    let url = system.url();
    url.rsplit('/').next().unwrap().parse().unwrap()
}

fn credentials(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials { username: user.to_owned(), password: password.into() })
}

fn at(scheme: Scheme, relay: &Relay) -> Proxy {
    with(scheme, relay, |_| {})
}

fn with(scheme: Scheme, relay: &Relay, change: impl FnOnce(&mut ProxySettings)) -> Proxy {
    let mut settings = ProxySettings::new(scheme, "127.0.0.1", relay.port);
    change(&mut settings);
    Proxy::with(settings)
}

fn through(scheme: Scheme, relay: &Relay, url: &str) -> Endpoint {
    endpoint(url, EgressSettings { proxy: Some(at(scheme, relay)), ..EgressSettings::default() })
}

fn endpoint(url: &str, settings: EgressSettings) -> Endpoint {
    Endpoints::new(settings).for_connection("test", Destination::parse(url).unwrap(), true).unwrap()
}

/// The status of the answer.
async fn get(endpoint: &Endpoint, url: &str) -> Result<u16, EgressError> {
    let url = Destination::parse(url).unwrap().base(url);
    let body: Body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let answer = soon("an answer", endpoint.send(Request::builder().uri(url).body(body).unwrap())).await?;
    Ok(answer.status().as_u16())
}
