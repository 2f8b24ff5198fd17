//! The owner's policy at the way out: every connection is judged by name, and by each address where a network decides.

use std::{net::SocketAddr, path::Path};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use wherry_agent::{
    egress::{Destination, EgressSettings, Endpoints, Resolver},
    net::{
        Proxy,
        proxy::{ProxySettings, Scheme},
    },
    policy::Policy,
};
use wherry_host::Egress;

/// Nobody listens there: what is let through is refused by the machine.
const CLOSED: &str = "egress.connect_refused";
/// The owner's word.
const DENIED: &str = "agent_policy.host";

#[tokio::test]
async fn a_host_that_is_named_may_lead_anywhere_and_any_other_only_into_an_allowed_network() {
    let policy = policy("[network]\nallowed = [\"named.example:1\", \"127.0.1.0/24\"]\ndenied = [\"127.0.9.0/24\"]\n");
    // Nothing is sent to a machine that is not ours.
    assert_eq!(policy.rules().host("named.example", 1), Ok(true));
    for (url, address, expected) in [
        ("http://named.example:2", "10.0.0.1", DENIED),
        ("http://other.example:1", "10.0.0.1", DENIED),
        ("http://127.0.1.7:1", "127.0.1.7", CLOSED),
        ("http://127.0.2.7:1", "127.0.2.7", DENIED),
        ("http://127.0.9.7:1", "127.0.9.7", DENIED),
    ] {
        let settings = EgressSettings { policy: policy.clone(), resolver: leading_to(address), ..settings() };
        assert_eq!(code(url, settings, false).await, expected, "{url} at {address}");
    }
}

#[tokio::test]
async fn one_address_outside_is_enough_and_so_is_a_denied_one_behind_an_allowed_name() {
    let policy = policy("[network]\nallowed = [\"named.example\", \"10.20.0.0/16\"]\ndenied = [\"10.20.9.0/24\"]\n");
    for (host, addresses) in [
        ("other.example", vec!["10.20.1.1", "10.21.1.1"]),
        ("other.example", vec!["10.20.9.1"]),
        ("named.example", vec!["10.30.1.1", "10.20.9.1"]),
        // Written as an address of IPv6 that stands for one of IPv4.
        ("named.example", vec!["64:ff9b::a14:901"]),
    ] {
        let found: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 1)).collect();
        let resolver = Resolver::new(move |_, _| {
            let found = found.clone();
            Box::pin(async move { Ok(found) })
        });
        let settings = EgressSettings { policy: policy.clone(), resolver, ..settings() };
        assert_eq!(code(&format!("http://{host}:1"), settings, false).await, DENIED, "{host} {addresses:?}");
    }
}

#[tokio::test]
async fn through_a_proxy_that_looks_names_up_only_named_hosts_are_allowed() {
    let policy = policy("[network]\nallowed = [\"named.example\", \"10.0.0.0/8\"]\n");
    for (scheme, url, expected) in [
        (Scheme::Http, "https://named.example", "egress.proxy_failed"),
        (Scheme::Http, "https://other.example", DENIED),
        (Scheme::Http, "http://other.example", DENIED),
        (Scheme::Socks5h, "https://other.example", DENIED),
        (Scheme::Http, "https://10.1.1.1", "egress.proxy_failed"),
        (Scheme::Http, "https://11.1.1.1", DENIED),
    ] {
        let proxy = Some(Proxy::with(ProxySettings::new(scheme, "127.0.0.1", 1)));
        let settings = EgressSettings { policy: policy.clone(), proxy, ..settings() };
        assert_eq!(code(url, settings, true).await, expected, "{url} by {}", scheme.as_str());
    }
}

#[tokio::test]
async fn the_calls_of_a_login_are_judged_by_the_same_rules() {
    let policy = policy("[network]\nallowed = [\"127.0.0.1\"]\n");
    let endpoints = Endpoints::new(EgressSettings { policy, ..settings() });
    let own = Destination::parse("http://127.0.0.1:1").unwrap();
    let endpoint = endpoints.for_connection("prod/desk/system", own, false).unwrap();
    let calls = (endpoint.calls())(Destination::parse("http://127.0.0.2:1").unwrap());
    let answer = calls.call(Request::get("http://127.0.0.2:1/token").body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.map(drop).unwrap_err().code().as_str(), DENIED);
}

fn settings() -> EgressSettings {
    EgressSettings::default()
}

fn policy(text: &str) -> Policy {
    Policy::of(wherry_daemon::config::parse(text.to_owned(), Path::new("policy.toml")).unwrap()).unwrap()
}

fn leading_to(address: &str) -> Resolver {
    let address = address.parse().unwrap();
    Resolver::new(move |_, port| Box::pin(async move { Ok(vec![SocketAddr::new(address, port)]) }))
}

fn request(url: &str) -> Request<wherry_host::Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(url).body(body).unwrap()
}

async fn code(url: &str, settings: EgressSettings, use_proxy: bool) -> String {
    let destination = Destination::parse(url).unwrap();
    let endpoints = Endpoints::new(settings);
    let endpoint = endpoints.for_connection("prod/desk/system", destination, use_proxy).unwrap();
    let answer = Egress::send(&endpoint, request(url)).await;
    answer.map(drop).unwrap_err().code().as_str().to_owned()
}
