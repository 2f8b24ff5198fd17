//! What really becomes packets, counted by the kernel: in a network namespace where every address there is leads to the
//! loopback interface, with a name server of our own behind the real resolver.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use wherry_agent::egress::{Destination, EgressSettings, Endpoints, Limits};
use wherry_host::{Egress, EgressError};

use super::support::soon;

const INSIDE: &str = "egress_packets::inside_only_what_is_allowed_becomes_packets";
#[test]
fn refused_destinations_become_neither_packets_nor_questions() {
    let namespace = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--map-root-user"]).arg(program).stdin(Stdio::null());
        command
    };
    let mut try_it = namespace(Path::new("ip"));
    try_it.args(["link", "set", "lo", "up"]).stderr(Stdio::null());
    if !try_it.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: {INSIDE}, no network namespace to be had, or no iproute2");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let output = namespace(&own).args(["--exact", INSIDE, "--ignored", "--nocapture"]).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
#[ignore = "needs a network namespace, and is started in one by the test above"]
async fn inside_only_what_is_allowed_becomes_packets() {
    let questions = prepare();
    let counts = || Counts { packets: packets(), dialled: dialled(), questions: questions.load(SeqCst) };

    // The ruler first: what is allowed is counted.
    for address in ["http://10.1.2.3:81", "http://8.8.8.8", "http://[2001:db8::1]"] {
        let before = counts();
        let allowed = ask(address).await;
        assert!(matches!(allowed, EgressError::ConnectRefused { .. }), "{address}: {allowed}");
        let after = counts();
        assert!(after.packets > before.packets && after.dialled > before.dialled, "{address}");
        assert_eq!(after.questions, before.questions, "{address} is no name");
    }
    let before = counts();
    let allowed = ask("http://plain.test").await;
    assert!(matches!(allowed, EgressError::ConnectRefused { .. }), "{allowed}");
    let after = counts();
    assert!(after.dialled > before.dialled && after.questions > before.questions, "a name is asked for and dialled");
    calm().await;

    for literal in [
        "http://169.254.169.254",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://0251.0376.0251.0376",
        "http://169\u{3002}254\u{3002}169\u{3002}254",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://[64:ff9b:1::a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::]",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://168.63.129.16",
        "http://192.0.0.192",
        "http://224.0.0.1",
        "http://255.255.255.255",
        "http://0.0.0.0",
        "http://[fe80::1]",
        "http://[ff02::1]",
    ] {
        let before = counts();
        let refused = ask(literal).await;
        assert!(matches!(refused, EgressError::AddressDenied { .. }), "{literal}: {refused}");
        assert_eq!(counts(), before, "{literal} left a trace");
    }
    for name in ["metadata.test", "alias.test", "both.test", "mapped.test", "here.test"] {
        let before = counts();
        let refused = ask(&format!("http://{name}")).await;
        assert!(matches!(refused, EgressError::AddressDenied { .. }), "{name}: {refused}");
        let after = counts();
        assert_eq!(after.dialled, before.dialled, "{name} was dialled");
        assert!(after.questions > before.questions, "{name} was not asked for");
    }
    let refused = ask("http://empty.test").await;
    assert!(matches!(refused, EgressError::DnsFailed { .. }), "{refused}");
}

async fn ask(url: &str) -> EgressError {
    let limit = Duration::from_millis(500);
    let limits = Limits { connect: limit, first_byte: limit, idle: limit, ..Limits::default() };
    let destination = Destination::parse(url).unwrap();
    let base = destination.base(url);
    let endpoints = Endpoints::new(EgressSettings { limits, ..EgressSettings::default() });
    let endpoint = endpoints.for_connection("test", destination, false).unwrap();
    let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    soon("a refusal", endpoint.send(Request::get(base).body(body).unwrap())).await.map(drop).unwrap_err()
}

/// Every address leads here, and a name server listens; gives the count of its questions.
fn prepare() -> Arc<AtomicUsize> {
    for arguments in ["link set lo up", "route add local default dev lo", "-6 route add local default dev lo"] {
        let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }
    let folder = tempfile::tempdir().unwrap().keep();
    for (file, content) in
        [("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), ("nsswitch.conf", "hosts: dns\n")]
    {
        let own = folder.join(file);
        fs::write(&own, content).unwrap();
        let place = format!("/etc/{file}");
        if Path::new(&place).exists() {
            let mounted = Command::new("mount").arg("--bind").arg(&own).arg(&place).status().unwrap();
            assert!(mounted.success(), "{place}");
        }
    }
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    let questions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&questions);
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            count.fetch_add(1, SeqCst);
            if let Some(answer) = answer(&packet[..length]) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    questions
}

/// An answer of a name server (RFC 1035, section 4).
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut name = String::new();
    while let Some(length) = question.get(at).copied().map(usize::from).filter(|length| *length > 0) {
        name += &String::from_utf8_lossy(question.get(at + 1..=at + length)?);
        name.push('.');
        at += length + 1;
    }
    let kind = u16::from_be_bytes([*question.get(at + 1)?, *question.get(at + 2)?]);
    let v4 = |address: [u8; 4]| (1, Ipv4Addr::from(address).octets().to_vec());
    let mapped = (28, "::ffff:169.254.169.254".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec());
    // `alias.test` is another name of `metadata.test`, and the answer says so.
    let target = [&[8_u8][..], b"metadata", &[4], b"test", &[0]].concat();
    let records: Vec<(u16, Vec<u8>)> = match name.as_str() {
        "plain.test." => vec![v4([10, 1, 2, 3])],
        "metadata.test." => vec![v4([169, 254, 169, 254])],
        "both.test." => vec![v4([8, 8, 8, 8]), v4([10, 0, 0, 1]), v4([169, 254, 169, 254])],
        "here.test." => vec![v4([127, 0, 0, 1])],
        "mapped.test." => vec![mapped],
        "alias.test." => vec![(5, target.clone()), v4([169, 254, 169, 254])],
        _ => Vec::new(),
    };
    let records: Vec<_> = records.into_iter().filter(|(is, _)| *is == kind || *is == 5).collect();
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1]);
    answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(question.get(12..at + 5)?);
    let mut owner = vec![0xc0, 12];
    for (is, data) in records {
        // Nobody may remember it (time to live 0).
        answer.extend(&owner);
        answer.extend(is.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 0]);
        answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend(&data);
        if is == 5 {
            owner.clone_from(&target);
        }
    }
    Some(answer)
}

#[derive(Debug, PartialEq)]
struct Counts {
    packets: u64,
    dialled: u64,
    questions: usize,
}

/// Packets that were sent so far.
fn packets() -> u64 {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

/// Connections that were begun so far, over IPv4 and IPv6, whatever became of them.
fn dialled() -> u64 {
    let table = fs::read_to_string("/proc/self/net/snmp").unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
    let (keys, values) = (lines.next().unwrap(), lines.next().unwrap());
    let opened = keys.zip(values).find(|(key, _)| *key == "ActiveOpens").unwrap();
    opened.1.parse().unwrap()
}

/// Waits until nothing that was begun before sends any more.
async fn calm() {
    let quiet = async {
        let mut last = packets();
        loop {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let now = packets();
            if now == last {
                return;
            }
            last = now;
        }
    };
    soon("silence", quiet).await;
}
