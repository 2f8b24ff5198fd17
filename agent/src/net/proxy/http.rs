//! HTTP proxies: `CONNECT` with basic authentication (RFC 9110, sections 9.3.6 and 11.7; RFC 7617).

use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::fault::{Fault, Target};

/// Largest head of a proxy's answer; those of common proxies have some hundred bytes.
const MAX_HEAD: usize = 8 << 10;
/// Most headers looked at in it.
const MAX_HEADERS: usize = 64;
/// Schemes of authentication that may be named in a failure; what else a proxy writes is not repeated.
const KNOWN: [&str; 5] = ["Negotiate", "NTLM", "Kerberos", "Digest", "Bearer"];

/// Asks for a tunnel to `target`.
pub(super) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: &Target<'_>,
    authorization: Option<&HeaderValue>,
) -> Result<(), Fault> {
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some(value) = authorization.and_then(|value| value.to_str().ok()) {
        request.push_str("Proxy-Authorization: ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let head = read_head(stream).await?;
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(Fault::Auth(wanted(offers(&head), authorization.is_some()))),
        Some(status @ (502..=504)) => Err(Fault::Unreached(format!("status {status}"))),
        Some(status @ (500..=599)) => Err(Fault::Broken(format!("it answered with status {status}"))),
        Some(status) => Err(Fault::Refused(format!("status {status}"))),
        None => Err(Fault::broken("its answer is not HTTP")),
    }
}

/// What an answer with status 407 to a request in absolute form means.
pub(super) fn unauthenticated(headers: &HeaderMap, showed_credentials: bool) -> String {
    let lines = headers.get_all(header::PROXY_AUTHENTICATE).into_iter();
    wanted(schemes(lines.filter_map(|value| value.to_str().ok())), showed_credentials)
}

/// Reads up to the empty line. Nothing may follow it: in TLS the client speaks first.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Fault> {
    let mut head = Vec::with_capacity(512);
    loop {
        let read = stream.read_buf(&mut head).await?;
        if head.ends_with(b"\r\n\r\n") {
            return Ok(head);
        }
        // A refusal may carry a page for people behind its head.
        if read == 0 || head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            return match status(&head) {
                Some(200..=299) | None => Err(Fault::broken("it closed or talked before the tunnel")),
                Some(_) => Ok(head),
            };
        }
        if head.len() > MAX_HEAD {
            return Err(Fault::Broken(format!("the head of its answer exceeds {MAX_HEAD} bytes")));
        }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next()?.strip_prefix("HTTP/1.").filter(|minor| minor.len() == 1)?;
    words.next()?.parse().ok()
}

/// What the proxy offers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offers {
    basic: bool,
    others: Vec<&'static str>,
    unknown: bool,
}

fn offers(head: &[u8]) -> Offers {
    let text = String::from_utf8_lossy(head);
    let lines = text.split("\r\n").skip(1).take(MAX_HEADERS).take_while(|line| !line.is_empty());
    schemes(lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authenticate").then_some(value)
    }))
}

/// The schemes of challenges. A list separates challenges and their parameters alike with commas; a parameter has
/// `=` in its first word.
fn schemes<'a>(lines: impl Iterator<Item = &'a str>) -> Offers {
    let mut offers = Offers::default();
    for scheme in lines.flat_map(|line| line.split(',')).filter_map(|part| part.split_ascii_whitespace().next()) {
        let known = KNOWN.iter().copied().find(|known| known.eq_ignore_ascii_case(scheme));
        match known {
            _ if scheme.contains('=') => {}
            _ if scheme.eq_ignore_ascii_case("basic") => offers.basic = true,
            Some(known) if !offers.others.contains(&known) => offers.others.push(known),
            Some(_) => {}
            None => offers.unknown = true,
        }
    }
    offers
}

fn wanted(offers: Offers, showed_credentials: bool) -> String {
    let Offers { basic, others, unknown } = offers;
    if !basic && !others.is_empty() {
        return format!(
            "it takes only {}, which agents do not speak: its operator can allow basic authentication for this agent, \
             or a forwarder beside the agent (such as cntlm or px) can speak it",
            others.join(" and ")
        );
    }
    if !basic && unknown {
        return "it takes only a way of authentication that agents do not speak: its operator can allow basic \
                authentication for this agent"
            .to_owned();
    }
    if showed_credentials {
        "it did not accept user and password, check username and password_file in the agent's configuration".to_owned()
    } else {
        "it wants user and password, set username and password_file in the agent's configuration".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_is_read_and_nonsense_is_none() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407 x\r\n"), Some(407));
        for bad in [&b""[..], b"SSH-2.0-x", b"HTTP/2 200", b"HTTP/1.1 abc"] {
            assert_eq!(status(bad), None);
        }
    }

    #[test]
    fn what_a_proxy_wants_is_told_from_its_challenges() {
        let told = |lines: &str, showed| wanted(offers(format!("HTTP/1.1 407 x\r\n{lines}\r\n").as_bytes()), showed);
        let ntlm = told("Proxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n", true);
        assert!(ntlm.starts_with("it takes only Negotiate and NTLM, which agents do not speak"), "{ntlm}");
        let digest = told("Proxy-Authenticate: Digest realm=\"a, b\", qop=auth\r\n", false);
        assert!(digest.starts_with("it takes only Digest,"), "{digest}");
        let both = told("Proxy-Authenticate: NTLM, Basic realm=\"x\"\r\n", true);
        assert!(both.starts_with("it did not accept user and password"), "{both}");
        assert!(told("Proxy-Authenticate: Basic realm=\"x\"\r\n", false).starts_with("it wants user and password"));
        let strange = told("Proxy-Authenticate: \u{1b}[31mBoo\r\n", false);
        assert!(strange.contains("a way of authentication that agents do not speak") && !strange.contains("Boo"));
        assert!(told("Content-Length: 0\r\n", false).starts_with("it wants user and password"));
    }

    #[tokio::test]
    async fn an_answer_is_read_in_pieces_and_never_beyond_its_limit() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"[..], Ok(())),
            (b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\npage", Err(Fault::Refused("status 403".to_owned()))),
            (b"HTTP/1.1 503 No\r\n\r\n", Err(Fault::Unreached("status 503".to_owned()))),
            (b"HTTP/1.1 500 No\r\n\r\n", Err(Fault::broken("it answered with status 500"))),
            (b"HTTP/1.1 200 OK\r\n\r\nearly", Err(Fault::broken("it closed or talked before the tunnel"))),
            (b"SSH-2.0-OpenSSH\r\n\r\n", Err(Fault::broken("its answer is not HTTP"))),
            (b"", Err(Fault::broken("it closed or talked before the tunnel"))),
        ] {
            let stream = tokio_test_io(answer);
            assert_eq!(tunnel(&mut { stream }, &Target::of("desk", 443), None).await, expected);
        }
        let endless = vec![b'x'; MAX_HEAD * 2];
        let refused = tunnel(&mut tokio_test_io(&endless), &Target::of("desk", 443), None).await;
        assert!(matches!(refused, Err(Fault::Broken(reason)) if reason.contains("exceeds")));
    }

    /// Reads `answer`, swallows what is written.
    fn tokio_test_io(answer: &[u8]) -> tokio::io::Join<std::io::Cursor<Vec<u8>>, tokio::io::Sink> {
        tokio::io::join(std::io::Cursor::new(answer.to_vec()), tokio::io::sink())
    }
}
