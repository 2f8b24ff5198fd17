//! Which headers a connector may send.

use http::{HeaderMap, HeaderName, Request, header};
use http_body::Body;
use wherry_host::EgressError;

/// Headers that carry credentials: neither set nor seen by a connector.
pub(super) static PROTECTED: [HeaderName; 2] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION];

/// The headers that no connection's connector may touch.
pub(crate) fn protected() -> &'static [HeaderName] {
    &PROTECTED
}

/// Headers that decide where a message goes or where it ends.
static FRAMING: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Refuses a request whose headers are not the connector's to set, or whose length is not that of its body. `protected`
/// are the headers that carry the connection's credential.
///
/// # Errors
/// [`EgressError::InvalidRequest`] with the name of the header.
pub(crate) fn check<B: Body>(request: &Request<B>, protected: &[HeaderName]) -> Result<(), EgressError> {
    check_names(request.headers(), protected)?;
    check_length(request)
}

/// A system that waits for bytes which never come would take the next request on that connection for them.
fn check_length<B: Body>(request: &Request<B>) -> Result<(), EgressError> {
    let mut announced = request.headers().get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = announced.next() else { return Ok(()) };
    let length = first.to_str().ok().filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    let length: Option<u64> = length.and_then(|text| text.parse().ok()).filter(|_| announced.next().is_none());
    let exact = if request.body().is_end_stream() { Some(0) } else { request.body().size_hint().exact() };
    match (length, exact) {
        (Some(length), Some(exact)) if length == exact => Ok(()),
        // What streams is counted while it is sent.
        (Some(_), None) => Ok(()),
        (Some(_), Some(_)) | (None, _) => {
            Err(EgressError::InvalidRequest { reason: "content-length is not that of the body".to_owned() })
        }
    }
}

fn check_names(headers: &HeaderMap, protected: &[HeaderName]) -> Result<(), EgressError> {
    let forbidden =
        |name: &&HeaderName| protected.contains(name) || FRAMING.contains(name) || name.as_str().starts_with("proxy-");
    match headers.keys().find(forbidden) {
        None => Ok(()),
        Some(name) => Err(EgressError::InvalidRequest { reason: format!("a connector may not set the header {name}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn headers_of_the_host_are_refused_whatever_their_case() {
        for bad in [
            "Host",
            "AUTHORIZATION",
            "proxy-authorization",
            "Proxy-Connection",
            "Transfer-Encoding",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_bytes(bad.as_bytes()).unwrap(), HeaderValue::from_static("x"));
            assert!(matches!(check_names(&headers, &PROTECTED), Err(EgressError::InvalidRequest { .. })), "{bad}");
        }
    }

    #[test]
    fn ordinary_headers_pass() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("x-atlassian-token", HeaderValue::from_static("no-check"));
        assert_eq!(check_names(&headers, &PROTECTED), Ok(()));
    }

    #[test]
    fn a_length_is_that_of_the_body_or_the_request_does_not_leave() {
        let with = |lengths: &[&str], body: &'static str| {
            let mut request = Request::new(http_body_util::Full::new(bytes::Bytes::from_static(body.as_bytes())));
            for length in lengths {
                request.headers_mut().append("content-length", HeaderValue::from_str(length).unwrap());
            }
            check(&request, &PROTECTED).is_ok()
        };
        assert!(with(&[], "abc") && with(&["3"], "abc") && with(&["0"], ""));
        for (lengths, body) in [
            (&["100"][..], ""),
            (&["2"], "abc"),
            (&["3", "3"], "abc"),
            (&["+3"], "abc"),
            (&["3, 3"], "abc"),
            (&[""], ""),
        ] {
            assert!(!with(lengths, body), "{lengths:?} {body:?}");
        }
    }

    #[test]
    fn nothing_that_ends_a_header_can_stand_in_one() {
        for bad in ["a\r\nx: y", "a\nb", "a\rb", "a\0b"] {
            assert!(HeaderValue::from_str(bad).is_err(), "{bad:?}");
            assert!(HeaderName::from_bytes(bad.as_bytes()).is_err(), "{bad:?}");
            assert!(format!("https://host/{bad}").parse::<http::Uri>().is_err(), "{bad:?}");
        }
    }
}
