//! Hostile answers: too large, too slow, not what they say. `docs/security/egress.md` lists them line by line.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use wherry_agent::egress::{Destination, EgressSettings, Endpoint, Endpoints, Limits};
use wherry_host::{Body, Egress, EgressError};

use super::support::{
    raw::{Raw, Step},
    soon,
};

pub(super) fn endpoint(url: &str, settings: EgressSettings) -> Endpoint {
    Endpoints::new(settings).for_connection("test", Destination::parse(url).unwrap(), false).unwrap()
}

pub(super) fn quick() -> Limits {
    let limit = Duration::from_millis(400);
    Limits { connect: limit, first_byte: limit, idle: limit, response_bytes: 64 << 10 }
}

pub(super) fn get(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
}

/// The whole answer.
pub(super) async fn fetch(endpoint: &Endpoint, uri: &str) -> Result<(u16, Bytes), EgressError> {
    let answer = soon("an answer", endpoint.send(get(uri))).await?;
    let status = answer.status().as_u16();
    Ok((status, soon("a body", answer.into_body().collect()).await?.to_bytes()))
}

/// H28: answers that are too much, too slow or not what they say.
#[tokio::test]
async fn an_answer_is_cut_off_where_it_is_too_large_too_slow_or_wrong() {
    let send = |text: &str| Step::Send(text.as_bytes().to_vec());
    let forever = |text: &str, pause_ms: u64| Step::Forever(text.as_bytes().to_vec(), Duration::from_millis(pause_ms));
    let ok = "HTTP/1.1 200 OK\r\n";
    let large_header = format!("{ok}x: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(1 << 20));
    let many_headers = format!("{ok}{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(10_000));
    for (what, steps, expected) in [
        (
            "endless chunked body",
            vec![
                send(&format!("{ok}transfer-encoding: chunked\r\n\r\n")),
                forever(&format!("400\r\n{}\r\n", "x".repeat(1024)), 0),
            ],
            "egress.response_too_large",
        ),
        (
            "endless body to the end of the connection",
            vec![send(&format!("{ok}\r\n")), forever(&"x".repeat(1024), 0)],
            "egress.response_too_large",
        ),
        ("announced too large", vec![send(&format!("{ok}content-length: 65537\r\n\r\n"))], "egress.response_too_large"),
        ("a header of 1 MiB", vec![send(&large_header)], "egress.protocol"),
        ("ten thousand headers", vec![send(&many_headers)], "egress.protocol"),
        ("endless header", vec![send(ok), forever(&"x: y\r\n".repeat(500), 0)], "egress.protocol"),
        ("a header that drips", vec![send(ok), forever("x", 50)], "egress.response_timeout"),
        ("1xx for ever", vec![forever(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(500), 0)], "egress.response_timeout"),
        ("1xx now and then", vec![forever("HTTP/1.1 103 Early Hints\r\n\r\n", 50)], "egress.response_timeout"),
        ("silence", vec![Step::Wait], "egress.response_timeout"),
        (
            "silence after the head",
            vec![send(&format!("{ok}content-length: 9\r\n\r\n")), Step::Wait],
            "egress.response_timeout",
        ),
        (
            "a byte now and then",
            vec![send(&format!("{ok}content-length: 60000\r\n\r\n")), forever("x", 50)],
            "egress.response_timeout",
        ),
        (
            "a chunk of one byte now and then",
            vec![send(&format!("{ok}transfer-encoding: chunked\r\n\r\n")), forever("1\r\nx\r\n", 50)],
            "egress.response_timeout",
        ),
        (
            "shorter than announced",
            vec![send(&format!("{ok}content-length: 9\r\n\r\nabc")), Step::Close],
            "egress.response_incomplete",
        ),
        (
            "a chunk that breaks off",
            vec![send(&format!("{ok}transfer-encoding: chunked\r\n\r\n9\r\nabc")), Step::Close],
            "egress.response_incomplete",
        ),
        (
            "two lengths",
            vec![send(&format!("{ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab"))],
            "egress.protocol",
        ),
        ("a length that is none", vec![send(&format!("{ok}content-length: +2\r\n\r\nab"))], "egress.protocol"),
        ("no HTTP", vec![send("SSH-2.0-OpenSSH_9.2\r\n")], "egress.protocol"),
        ("HTTP/0.9", vec![send("hello")], "any"),
        ("closed at once", vec![Step::Close], "egress.response_incomplete"),
    ] {
        let system = Raw::start(steps).await;
        let settings = EgressSettings { limits: quick(), ..EgressSettings::default() };
        let endpoint = endpoint(&system.url(), settings);
        let refused = tokio::time::timeout(Duration::from_secs(20), fetch(&endpoint, &system.url())).await.expect(what);
        let refused = refused.map(|(status, body)| format!("{status}, {} bytes", body.len())).unwrap_err();
        if expected != "any" {
            assert_eq!(refused.code().as_str(), expected, "{what}: {refused}");
        }
        system.was_left().await;
    }
}

#[tokio::test]
async fn a_slow_answer_that_moves_is_waited_for() {
    let mut steps = vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 12288\r\n\r\n".to_vec())];
    for _ in 0..12 {
        steps.push(Step::Pause(Duration::from_millis(100)));
        steps.push(Step::Send(vec![b'x'; 1024]));
    }
    let system = Raw::start(steps).await;
    let own = endpoint(&system.url(), EgressSettings { limits: quick(), ..EgressSettings::default() });
    assert_eq!(fetch(&own, &system.url()).await.unwrap().1.len(), 12 << 10, "three times the longest silence");
}

/// H28: the host decompresses nothing, so that no answer grows within it.
#[tokio::test]
async fn a_compressed_answer_is_handed_on_as_it_is() {
    // 64 KiB of zeros.
    let mut bomb = vec![31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 193, 1, 1, 0, 0, 0, 128, 144, 254, 175, 238, 8, 10];
    bomb.extend([0; 63]);
    bomb.extend([106, 235, 142, 151, 215, 0, 0, 1, 0]);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let mut system = Raw::start(vec![Step::Send([head.as_bytes(), &bomb].concat())]).await;
    let limits = Limits { response_bytes: 1_000, ..quick() };
    let own = endpoint(&system.url(), EgressSettings { limits, ..EgressSettings::default() });
    let answer = soon("an answer", own.send(get(&system.url()))).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), bomb);
    let asked = system.asked().await.to_ascii_lowercase();
    assert!(!asked.contains("accept-encoding"), "nobody asked for it: {asked}");
}

/// H28: what follows an answer is not the answer to the next request.
#[tokio::test]
async fn bytes_behind_an_answer_never_answer_another_request() {
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    for first in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood{smuggled}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{smuggled}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n{smuggled}"),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n{smuggled}"
        ),
    ] {
        let system = Raw::start(vec![Step::Send(first.clone().into_bytes()), Step::Wait]).await;
        let own = endpoint(&system.url(), EgressSettings { limits: quick(), ..EgressSettings::default() });
        for round in 0..3 {
            if let Ok((_, body)) = fetch(&own, &system.url()).await {
                assert!(!body.windows(8).any(|bytes| bytes == b"smuggled"), "{first} in round {round}");
            }
        }
        assert!(system.connections() > 1, "{first}: such a connection is not used again");
    }
}
