//! Which headers a connector may send.

use http::{HeaderMap, HeaderName, header};
use wherry_host::EgressError;

/// Headers that carry credentials: neither set nor seen by a connector.
pub(super) static PROTECTED: [HeaderName; 2] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION];

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

/// Refuses a request whose headers are not the connector's to set.
///
/// # Errors
/// [`EgressError::InvalidRequest`] with the name of the header.
pub(super) fn check(headers: &HeaderMap) -> Result<(), EgressError> {
    let forbidden =
        |name: &&HeaderName| PROTECTED.contains(name) || FRAMING.contains(name) || name.as_str().starts_with("proxy-");
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
            assert!(matches!(check(&headers), Err(EgressError::InvalidRequest { .. })), "{bad}");
        }
    }

    #[test]
    fn ordinary_headers_pass() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("x-atlassian-token", HeaderValue::from_static("no-check"));
        assert_eq!(check(&headers), Ok(()));
    }
}
