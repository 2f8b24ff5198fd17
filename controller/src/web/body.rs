//! Reading requests: JSON without unknown fields, names in paths, faults with their place.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
    http::{StatusCode, request::Parts},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{patience::TooSlow, problem::Problem};

/// Longest part of a parser's message that is shown, in characters.
const MAX_SHOWN: usize = 300;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = request.headers().get("content-type").is_some_and(|value| {
            value
                .to_str()
                .is_ok_and(|text| text.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
        });
        if !is_json {
            let message = "send JSON with content-type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.media_type", message));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        if is_list(&bytes) {
            return Err(Problem::invalid("request.invalid", "the body is a list: send a JSON object"));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let what = without_value(&error.to_string());
            Problem::invalid("request.invalid", format!("the body cannot be read: {what}"))
        })
    }
}

/// Whether a JSON document is a list. Parsers take one for an object whose fields come in their order, so that what a
/// caller did not mean would be done.
fn is_list(document: &[u8]) -> bool {
    // The white space of JSON (RFC 8259, section 2), and no other.
    document.iter().find(|byte| !b" \t\r\n".contains(byte)) == Some(&b'[')
}

/// What the parser says, without the value it found: it may be a password in the wrong place, or very long.
fn without_value(said: &str) -> String {
    let found = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    let said = match (found, said.rsplit_once(", expected ")) {
        (Some(found), Some((_, expected))) => {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("{kind} in place of {expected}")
        }
        (_, _) => said.to_owned(),
    };
    said.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

/// Why a body could not be read whole.
pub(super) fn unread(error: BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(error.status(), "request.too_large", "the body is larger than this path allows");
    }
    let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    if causes.any(|cause| cause.is::<TooSlow>()) {
        let message = "the body came too slowly: send it in one go, or over a faster line";
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "request.too_slow", message);
    }
    let message = format!("the body cannot be read: {}", error.body_text());
    Problem::new(StatusCode::BAD_REQUEST, "request.invalid", message)
}

/// Parameters in the path or the query, read with the same care.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value)).map_err(|error| Problem::invalid("request.path_invalid", error.body_text()))
    }
}

/// Parameters in the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| Problem::invalid("request.query_invalid", error.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{is_list, without_value};

    #[derive(Debug, Deserialize)]
    struct Secret {
        #[serde(rename = "secret")]
        _secret: u8,
    }

    #[test]
    fn a_list_is_known_by_its_first_sign() {
        assert!([b"[]".as_slice(), b" \t\r\n[{}]"].into_iter().all(is_list));
        assert!(![b"".as_slice(), b" ", b"{}", b" {\"a\": []}", b"\"[\"", b"null"].into_iter().any(is_list));
    }

    #[test]
    fn a_value_in_the_wrong_place_is_not_repeated() {
        let said = |json: &str| without_value(&serde_json::from_str::<Secret>(json).unwrap_err().to_string());
        let place = "struct Secret at line 1 column 23";
        assert_eq!(said(r#""hunter2, expected \"x""#), format!("string in place of {place}"));
        assert_eq!(said(r#"{"secret": "hunter2"}"#), "string in place of u8 at line 1 column 20");
        assert_eq!(said(r#"{"secret": 4711}"#), "integer in place of u8 at line 1 column 15");
        assert_eq!(said("{}"), "missing field `secret` at line 1 column 2");
        assert!(without_value(&"x".repeat(10_000)).len() <= 300);
    }
}
