//! Hostile input for the way out: what a connection or connector asks for, what a name server answers, where a redirect
//! points. `docs/security/egress.md` lists it line by line.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::HeaderValue;
use wherry_agent::egress::{AddressRules, Destination, EgressSettings, Resolver};
use wherry_host::{Egress, EgressError};

use super::{
    egress_answers::{endpoint, fetch, get, quick},
    support::{
        raw::{Raw, Step},
        soon,
        system::System,
    },
};

/// A resolver that gives one answer after the other, the last one for ever, and counts the questions.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<Vec<Vec<SocketAddr>>>>,
    questions: Arc<AtomicUsize>,
}

impl Names {
    fn answering(answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(parse).collect();
        Self { answers: Arc::new(Mutex::new(answers)), questions: Arc::default() }
    }

    fn resolver(&self) -> Resolver {
        let names = self.clone();
        Resolver::new(move |_, _| {
            names.questions.fetch_add(1, SeqCst);
            let mut answers = names.answers.lock().unwrap();
            let answer = if answers.len() > 1 { answers.pop() } else { answers.first().cloned() };
            Box::pin(async { Ok(answer.unwrap_or_default()) })
        })
    }

    fn questions(&self) -> usize {
        self.questions.load(SeqCst)
    }
}

#[derive(Debug, PartialEq)]
enum Fate {
    /// The URL is refused before anything is made of it.
    Refused,
    /// The address is.
    Denied,
    /// It leads to this machine, which the connection says itself: somebody may listen there.
    Here,
    /// It is another host than one may think, and that one is asked.
    Elsewhere(&'static str),
}

/// H25 as the URL of a connection.
#[tokio::test]
async fn no_spelling_of_a_special_address_gets_out_or_asks_for_a_name() {
    for (url, fate) in [
        ("http://169.254.169.254", Fate::Denied),
        ("http://169.254.169.254:80/latest/meta-data", Fate::Denied),
        ("http://2852039166", Fate::Denied),
        ("http://0xa9fea9fe", Fate::Denied),
        ("http://0xa9.254.43518", Fate::Denied),
        ("http://0251.0376.0251.0376", Fate::Denied),
        ("http://169.254.43518", Fate::Denied),
        ("http://169.254.169.254.", Fate::Denied),
        ("http://169\u{3002}254\u{ff0e}169\u{ff61}254", Fate::Denied),
        ("http://\u{ff11}69.254.169.254", Fate::Denied),
        ("http://%31%36%39.254.169.254", Fate::Denied),
        ("http://[::ffff:169.254.169.254]", Fate::Denied),
        ("http://[::ffff:a9fe:a9fe]", Fate::Denied),
        ("http://[::169.254.169.254]", Fate::Denied),
        ("http://[::ffff:0:a9fe:a9fe]", Fate::Denied),
        ("http://[64:ff9b::a9fe:a9fe]", Fate::Denied),
        ("http://[64:ff9b:1::a9fe:a9fe]", Fate::Denied),
        ("http://[2002:a9fe:a9fe::]", Fate::Denied),
        ("http://[2001:0:1:2:3:4:5601:5601]", Fate::Denied),
        ("http://[fd00:ec2::254]", Fate::Denied),
        ("http://[fe80::1]", Fate::Denied),
        ("http://[ff02::1]", Fate::Denied),
        ("http://[::]", Fate::Denied),
        ("http://100.100.100.200", Fate::Denied),
        ("http://168.63.129.16", Fate::Denied),
        ("http://192.0.0.192", Fate::Denied),
        ("http://0.0.0.0", Fate::Denied),
        ("http://0", Fate::Denied),
        ("http://255.255.255.255", Fate::Denied),
        ("http://224.0.0.1", Fate::Denied),
        ("http://[::ffff:127.0.0.1]", Fate::Denied),
        ("http://[64:ff9b::7f00:1]", Fate::Denied),
        ("http://[2002:7f00:1::]", Fate::Denied),
        ("http://2130706433:9", Fate::Here),
        ("http://0x7f.1:9", Fate::Here),
        ("http://127.1:9", Fate::Here),
        ("http://[::1]:9", Fate::Here),
        ("http://localhost.", Fate::Refused),
        ("http://example.com.", Fate::Refused),
        ("http://example.com\u{3002}", Fate::Refused),
        ("https://allowed@evil.example", Fate::Refused),
        ("https://allowed:pw@evil.example", Fate::Refused),
        ("https://allowed.example#@evil.example", Fate::Elsewhere("allowed.example:443")),
        ("https://allowed.example?@evil.example", Fate::Elsewhere("allowed.example:443")),
        ("https://allowed.example/@evil.example", Fate::Elsewhere("allowed.example:443")),
        ("https://allowed.example\\@evil.example", Fate::Refused),
        ("https://allowed\t.example", Fate::Refused),
        ("https://allowed\n.example", Fate::Refused),
        ("https://allowed.example\r\nHost: evil.example", Fate::Refused),
        ("https://allowed%0a.example", Fate::Refused),
        ("https://allowed%00.example", Fate::Refused),
        (" https://allowed.example", Fate::Refused),
        ("https://[::1", Fate::Refused),
        ("https://[fe80::1%25eth0]", Fate::Refused),
        ("https://1.2.3.4.5", Fate::Refused),
        ("https://256.1.1.1", Fate::Refused),
        ("http://allowed.example:0", Fate::Refused),
        ("http://allowed.example:65536", Fate::Refused),
        ("http://allowed.example:-1", Fate::Refused),
        ("file:///etc/passwd", Fate::Refused),
        ("gopher://allowed.example", Fate::Refused),
        ("unix:/run/docker.sock", Fate::Refused),
        ("ftp://allowed.example", Fate::Refused),
        ("ws://allowed.example", Fate::Refused),
        ("data:text/plain,x", Fate::Refused),
        ("javascript:alert(1)", Fate::Refused),
        ("//allowed.example", Fate::Refused),
    ] {
        let Ok(destination) = Destination::parse(url) else {
            assert_eq!(fate, Fate::Refused, "{url}");
            continue;
        };
        if let Fate::Elsewhere(host) = fate {
            assert_eq!(destination.to_string(), host, "{url}");
            continue;
        }
        assert!(destination.is_literal(), "{url} leads to {destination}");
        let names = Names::answering(&[&["8.8.8.8:80"]]);
        let settings = EgressSettings { resolver: names.resolver(), limits: quick(), ..EgressSettings::default() };
        let base = destination.base(url);
        let refused = fetch(&endpoint(url, settings), &base).await.unwrap_err();
        let seen = if matches!(refused, EgressError::AddressDenied { .. }) {
            Fate::Denied
        } else {
            assert!(matches!(refused, EgressError::ConnectRefused { .. }), "{url}: {refused}");
            Fate::Here
        };
        assert_eq!(seen, fate, "{url}");
        assert_eq!(names.questions(), 0, "{url}: an address is no name");
    }
}

/// H25 as the target of a connector's request.
#[tokio::test]
async fn a_connector_reaches_no_other_host_port_or_scheme_whatever_it_writes() {
    let system = System::with_items(0).await;
    let names = Names::answering(&[&["8.8.8.8:80"]]);
    let settings = EgressSettings { resolver: names.resolver(), ..EgressSettings::default() };
    let own = endpoint(&system.url(), settings);
    let port = system.url().rsplit(':').next().unwrap().to_owned();
    let mut tried = 0;
    for other in [
        "http://169.254.169.254/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://[::1]/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://127.0.0.1.:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1.evil.example:{port}/"),
        format!("http://evil.example:{port}/"),
        format!("http://evil@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@evil.example/"),
        format!("https://127.0.0.1:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        "http://127.0.0.1/".to_owned(),
        "http://127.0.0.1:22/".to_owned(),
        "http://127.0.0.1:0/".to_owned(),
        "http://127.0.0.1:65535/".to_owned(),
    ] {
        // What is no URI at all cannot even be asked for.
        let Ok(uri) = other.parse::<http::Uri>() else { continue };
        tried += 1;
        let mut request = get("http://127.0.0.1/");
        *request.uri_mut() = uri;
        let refused = soon("a refusal", own.send(request)).await.map(drop).unwrap_err();
        assert!(matches!(refused, EgressError::Denied { .. }), "{other}: {refused}");
    }
    assert!(tried >= 18);
    assert_eq!((system.connections(), names.questions()), (0, 0));
}

/// H26: what a name leads to is judged as a whole, and only what was judged is dialled.
#[tokio::test]
async fn every_address_behind_a_name_is_judged_and_one_bad_one_is_enough() {
    let good = System::with_items(0).await;
    let here = good.url().trim_start_matches("http://").to_owned();
    let port = here.rsplit(':').next().unwrap();
    let allow = AddressRules::new(std::slice::from_ref(&here)).unwrap();
    for (answer, denied) in [
        (vec![here.clone()], None),
        (vec![here.clone(), "169.254.169.254:80".to_owned()], Some("169.254.169.254")),
        (vec!["169.254.169.254:80".to_owned(), here.clone()], Some("169.254.169.254")),
        (vec![here.clone(), "127.0.0.2:80".to_owned()], Some("127.0.0.2")),
        (vec![here.clone(), "[::ffff:a9fe:a9fe]:80".to_owned()], Some("::ffff:169.254.169.254")),
        (vec![here.clone(), "[fe80::1]:80".to_owned()], Some("fe80::1")),
        (vec!["127.0.0.1:1".to_owned()], Some("127.0.0.1")),
        (vec!["0.0.0.0:80".to_owned()], Some("0.0.0.0")),
    ] {
        let before = good.connections();
        let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
        let names = Names::answering(&[&answer]);
        let settings = EgressSettings { rules: allow.clone(), resolver: names.resolver(), ..EgressSettings::default() };
        let url = format!("http://desk.test:{port}");
        match (fetch(&endpoint(&url, settings), &url).await, denied) {
            (Ok((200, _)), None) => assert_eq!(good.connections(), before + 1),
            (Err(EgressError::AddressDenied { address, .. }), Some(bad)) => {
                assert_eq!(address, bad, "{answer:?}");
                assert_eq!(good.connections(), before, "{answer:?}: not even the good one is dialled");
            }
            (other, _) => panic!("{answer:?}: {other:?}"),
        }
        assert_eq!(names.questions(), 1, "{answer:?}: one question, so that there is one answer");
    }
}

/// H26: an answer that changes between two looks (time to live 0) is judged anew with each connection.
#[tokio::test]
async fn an_answer_that_turns_bad_is_refused_and_never_dialled() {
    let good =
        Raw::start(vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_vec())])
            .await;
    let port = good.address().port();
    let trap = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let here = good.address().to_string();
    let names = Names::answering(&[&[&here], &[&format!("127.0.0.2:{port}")]]);
    let rules = AddressRules::new(std::slice::from_ref(&here)).unwrap();
    let settings = EgressSettings { rules, resolver: names.resolver(), ..EgressSettings::default() };
    let url = format!("http://desk.test:{port}");
    let own = endpoint(&url, settings);
    assert_eq!(fetch(&own, &url).await.unwrap().0, 200);
    let refused = fetch(&own, &url).await.unwrap_err();
    assert!(matches!(&refused, EgressError::AddressDenied { address, .. } if address == "127.0.0.2"), "{refused}");
    assert_eq!((names.questions(), good.connections()), (2, 1));
    let nobody = tokio::time::timeout(Duration::from_millis(100), trap.accept()).await;
    assert!(nobody.is_err(), "somebody came: {nobody:?}");
}

/// H26: no answer, an empty one, one that never comes.
#[tokio::test]
async fn a_name_without_an_address_is_said_to_be_one() {
    let url = "http://desk.test";
    let silent = Resolver::new(|_, _| Box::pin(std::future::pending()));
    let failing = Resolver::new(|_, _| Box::pin(async { Err(std::io::Error::other("SERVFAIL")) }));
    for resolver in [Names::default().resolver(), silent, failing] {
        let settings = EgressSettings { resolver, limits: quick(), ..EgressSettings::default() };
        let refused = fetch(&endpoint(url, settings), url).await.unwrap_err();
        assert!(matches!(refused, EgressError::DnsFailed { .. }), "{refused}");
    }
}

/// H27: a redirect is an answer to the connector.
#[tokio::test]
async fn no_redirect_is_followed_wherever_it_points() {
    let trap = System::with_items(0).await;
    let targets = [
        trap.url(),
        "http://169.254.169.254/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "//evil.example/".to_owned(),
        "/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    for status in [300, 301, 302, 303, 307, 308] {
        for target in &targets {
            let head = format!("HTTP/1.1 {status} X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
            let mut system = Raw::start(vec![Step::Send(head.into_bytes())]).await;
            let names = Names::answering(&[&["8.8.8.8:80"]]);
            let settings = EgressSettings { resolver: names.resolver(), ..EgressSettings::default() };
            let own = endpoint(&system.url(), settings);
            let answer = soon("an answer", own.send(get(&system.url()))).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
                (status, target.as_str())
            );
            system.asked().await;
            assert_eq!((system.connections(), names.questions()), (1, 0), "{status} {target}");
        }
    }
    assert_eq!(trap.connections(), 0);
    let huge = format!("HTTP/1.1 300 X\r\nlocation: /\r\ncontent-length: {}\r\n\r\n", 1_u64 << 30);
    let system = Raw::start(vec![Step::Send(huge.into_bytes())]).await;
    let refused = fetch(&endpoint(&system.url(), EgressSettings::default()), &system.url()).await.unwrap_err();
    assert!(matches!(refused, EgressError::ResponseTooLarge { .. }), "{refused}");
}

/// H29: headers that are not the connector's.
#[tokio::test]
async fn headers_that_steer_or_prove_are_refused_and_none_can_hold_a_line_break() {
    let system = System::with_items(0).await;
    let own = endpoint(&system.url(), EgressSettings::default());
    for header in [
        "host",
        "authorization",
        "proxy-authorization",
        "proxy-connection",
        "proxy-anything",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
    ] {
        for value in ["x", "", "chunked", "close, content-length"] {
            let mut request = get(&system.url());
            request.headers_mut().insert(header, value.parse().unwrap());
            let refused = soon("a refusal", own.send(request)).await.map(drop).unwrap_err();
            assert!(matches!(refused, EgressError::InvalidRequest { .. }), "{header}: {refused}");
        }
    }
    for lengths in [&["5"][..], &["0", "0"], &["-1"], &["0x1"], &["0, 5"]] {
        let mut request = get(&system.url());
        for length in lengths {
            request.headers_mut().append("content-length", length.parse().unwrap());
        }
        let refused = soon("a refusal", own.send(request)).await.map(drop).unwrap_err();
        assert!(matches!(refused, EgressError::InvalidRequest { .. }), "{lengths:?}: {refused}");
    }
    for bad in ["x\r\nHost: evil", "x\nHost: evil", "x\rHost: evil", "x\0"] {
        assert!(bad.parse::<HeaderValue>().is_err(), "{bad:?}");
    }
    assert_eq!(system.connections(), 0);
}
