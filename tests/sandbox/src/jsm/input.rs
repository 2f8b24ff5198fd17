//! What callers send: parameters of the query, JSON bodies, and files in parts.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::denial::Denial;

/// The parameters of a query; a name may be repeated, and lists may be written with commas.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a list.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let given = self.0.iter().filter(|(key, _)| key == name);
        given.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, Denial> {
        let parse = |text: &str| text.parse().map_err(|_| Denial::bad(format!("'{text}' is no valid {name}")));
        self.get(name).map(parse).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(|text| text.parse().ok())
    }

    /// All but some, as they were given.
    pub(crate) fn without<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let kept = self.0.iter().filter(move |(key, _)| !names.contains(&key.as_str()));
        kept.map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denial> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        query.map(|Query(pairs)| Self(pairs)).map_err(|error| Denial::bad(error.to_string()))
    }
}

/// A JSON body. Fields that the interface does not know are refused, as the real one does.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Denial;

    async fn from_request(request: Request, state: &S) -> Result<Self, Denial> {
        let is_json = media_type(request.headers()).is_some_and(|media| media.starts_with("application/json"));
        if !is_json {
            return Err(Denial::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| Denial::new(error.status(), error.body_text()))?;
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Self).map_err(|error| Denial::bad(format!("Invalid request payload. {error}")))
    }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// A part of a `multipart/form-data` body that is a file.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// The files in the parts named `file`.
pub(crate) fn uploads(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Upload>, Denial> {
    let refused = || Denial::bad("send multipart/form-data with a part named file");
    if headers.get("x-atlassian-token").is_none_or(|token| token != "no-check" && token != "nocheck") {
        return Err(Denial::forbidden("XSRF check failed"));
    }
    let boundary = media_type(headers).and_then(|media| media.split_once("boundary=")).ok_or_else(refused)?.1;
    let boundary = boundary.split(';').next().unwrap_or_default().trim_matches('"');
    let between = format!("\r\n--{boundary}");
    // The first boundary has no line before it.
    let whole = [b"\r\n", body].concat();
    let mut parts = split(&whole, between.as_bytes());
    if boundary.is_empty() || parts.len() < 3 {
        return Err(refused());
    }
    parts.pop();
    parts.into_iter().skip(1).filter_map(|part| upload(part).transpose()).collect::<Result<Vec<_>, _>>()
}

/// One part; none if it is not a file.
fn upload(part: &[u8]) -> Result<Option<Upload>, Denial> {
    let pieces = split(part, b"\r\n\r\n");
    let head = pieces.first().copied().unwrap_or_default();
    let bytes = part.get(head.len() + 4..).ok_or_else(|| Denial::bad("a part has no end of its header"))?;
    let head = String::from_utf8_lossy(head);
    let quoted = |name: &str| Some(head.split_once(&format!("{name}=\""))?.1.split('"').next()?.to_owned());
    if quoted(" name").as_deref() != Some("file") {
        return Ok(None);
    }
    let media_type = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let media_type = media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    let name = quoted("filename").ok_or_else(|| Denial::bad("the part named file has no filename"))?;
    Ok(Some(Upload { name, media_type, bytes: bytes.to_vec() }))
}

fn split<'a>(mut text: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = text.windows(by.len()).position(|window| window == by) {
        let (piece, rest) = text.split_at(at);
        pieces.push(piece);
        text = rest.get(by.len()..).unwrap_or_default();
    }
    pieces.push(text);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_out_of_their_parts() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "multipart/form-data; boundary=\"b\"".parse().unwrap());
        let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                    Content-Type: text/plain\r\n\r\none\r\n\r\ntwo\r\n--b--\r\n";
        assert!(uploads(&headers, part.as_bytes()).is_err(), "without the header against forgery");
        headers.insert("x-atlassian-token", "no-check".parse().unwrap());
        let files = uploads(&headers, part.as_bytes()).unwrap();
        assert_eq!((files.len(), files[0].name.as_str(), files[0].media_type.as_str()), (1, "a.txt", "text/plain"));
        assert_eq!(files[0].bytes, b"one\r\n\r\ntwo");
        assert!(uploads(&headers, b"nothing").is_err());
    }
}
