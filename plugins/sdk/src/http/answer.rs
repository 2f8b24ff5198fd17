//! What the system answered.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::status::meaning;
use super::{link, retry_after};
use crate::error::{Error, Kind, Result};
use crate::host::Head;
use crate::json::Json;
use crate::xml;

/// Bytes of a body; beyond that, an answer is not read on.
pub const BODY_BYTES: usize = 10 << 20;
/// Bytes of an answer that are shown to the agent owner.
const SHOWN_BYTES: usize = 512;
/// Enough of an answer to show why it refuses.
const GLANCE_BYTES: usize = 64 << 10;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    received: u64,
}

impl Answer {
    /// An answer from its parts; header names in lower case.
    pub const fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { status, headers, body, received: 0 }
    }

    /// The same, received at that time.
    pub(crate) const fn at(mut self, now: u64) -> Self {
        self.received = now;
        self
    }

    pub(crate) fn read(mut head: Head, limit: usize) -> Result<Self> {
        let mut body = Vec::new();
        while let Some(chunk) = head.body.read()? {
            if body.is_empty() {
                body = chunk
            } else {
                body.extend_from_slice(&chunk)
            }
            if body.len() > limit {
                let message = format!("the answer has more than {limit} bytes; ask for smaller pages or fewer fields");
                return Err(Error::data("http.answer_too_large", message));
            }
        }
        Ok(Self::new(head.status, head.headers, body))
    }

    /// The head, and the beginning of the body as far as it comes.
    pub(crate) fn glance(mut head: Head) -> Self {
        let mut body = Vec::new();
        while body.len() <= GLANCE_BYTES {
            match head.body.read() {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => {
                    body.clear();
                    break;
                }
            }
        }
        Self::new(head.status, head.headers, body)
    }

    /// When it was received, in seconds since 1970: what headers that name a time are measured against. 0 for an answer
    /// that was made from its parts.
    pub const fn received_at(&self) -> u64 {
        self.received
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// A header; several of the same name are joined by commas.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values =
            self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let first = values.next()?;
        let joined = values.fold(None, |joined: Option<String>, value| {
            Some(format!("{}, {value}", joined.as_deref().unwrap_or(first)))
        });
        Some(joined.map_or(Cow::Borrowed(first.as_str()), Cow::Owned))
    }

    /// The address of the next page in the `Link` header.
    pub fn next_link(&self) -> Option<String> {
        self.header("link").and_then(|header| link::next(&header).map(str::to_owned))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, without a copy.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as a type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        match self.raw_json()? {
            Some(json) => json.parse(),
            None => Err(empty()),
        }
    }

    /// The body as JSON, as it was written; `None` if the system says that there is no content.
    pub fn raw_json(&self) -> Result<Option<Json<'_>>> {
        let Some(text) = self.json_text()? else { return Ok(None) };
        let raw: &serde_json::value::RawValue = serde_json::from_str(text).map_err(|error| self.not_json(&error))?;
        Ok(Some(Json::of(raw)))
    }

    /// The text that should be JSON, unchecked.
    pub(crate) fn json_text(&self) -> Result<Option<&str>> {
        if self.status == 204 {
            return Ok(None);
        }
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(empty());
        }
        self.refuse_page()?;
        std::str::from_utf8(body).map(Some).map_err(|error| {
            let place = error.valid_up_to();
            let message = format!("the system answered with something that is not UTF-8 text at byte {place}");
            Error::data("http.not_json", message).with_details(self.shown())
        })
    }

    /// Says what is wrong with a body that is not JSON.
    pub(crate) fn not_json(&self, error: &serde_json::Error) -> Error {
        let (kind, code, what) = if error.is_eof() {
            (Kind::Transient, "http.truncated_answer", "JSON that breaks off")
        } else {
            (Kind::Data, "http.not_json", "something that is not JSON")
        };
        let place = format!("line {}, column {}", error.line(), error.column());
        let message = format!("the system answered with {what} at {place}; check path and headers");
        Error::new(kind, code, message).with_details(self.shown())
    }

    /// The body as an XML document.
    pub fn xml(&self) -> Result<xml::Element> {
        self.refuse_page()?;
        xml::Element::parse(&self.body).map_err(|error| error.with_details(self.shown()))
    }

    /// Refuses a web page where an answer for programs was expected: most likely a login page or a proxy's notice.
    pub fn refuse_page(&self) -> Result<()> {
        let begins: Vec<u8> = self
            .body
            .iter()
            .skip_while(|byte| byte.is_ascii_whitespace())
            .take(14)
            .map(u8::to_ascii_lowercase)
            .collect();
        if !begins.starts_with(b"<!doctype html") && !begins.starts_with(b"<html") {
            return Ok(());
        }
        let message = "the system answered with a web page, most likely a login page or a proxy's notice; \
                       check the connection's url and authentication";
        Err(Error::config("http.html_answer", message).with_details(self.shown()))
    }

    /// How long the system asks to wait, at most a day. `now` is in seconds since 1970.
    pub fn retry_after(&self, now: u64) -> Option<Duration> {
        self.header("retry-after").and_then(|value| retry_after::parse(&value, now))
    }

    /// What a status other than 2xx means. `now` is in seconds since 1970, see [`Context::now`](crate::Context::now).
    pub fn error(&self, now: u64) -> Error {
        let (kind, code, words) = meaning(self.status);
        let error = Error::new(kind, code, format!("the system answered {}: {words}", self.status));
        let wait = matches!(kind, Kind::Throttled | Kind::Transient).then(|| self.retry_after(now)).flatten();
        error.after(wait).with_details(self.shown())
    }

    /// Status and the first 512 bytes, for the details of an error.
    pub fn shown(&self) -> serde_json::Value {
        let shown = self.body.get(..SHOWN_BYTES).unwrap_or(&self.body);
        json!({ "status": self.status, "answer": String::from_utf8_lossy(shown) })
    }
}

fn empty() -> Error {
    Error::data("http.empty_answer", "the system answered with an empty body where JSON was expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::new(status, vec![], body.into())
    }

    fn refusal(status: u16) -> (Kind, String) {
        let error = answer(status, "because").error(0);
        assert!(error.details.unwrap().to_string().contains("because"));
        (error.kind, error.code.into_owned())
    }

    #[test]
    fn every_status_has_a_meaning() {
        for (status, kind, code) in [
            (302, Kind::Config, "http.redirected"),
            (401, Kind::Auth, "http.unauthorized"),
            (403, Kind::Forbidden, "http.forbidden"),
            (404, Kind::NotFound, "http.not_found"),
            (407, Kind::Config, "http.proxy_unauthorized"),
            (422, Kind::Data, "http.refused"),
            (503, Kind::Transient, "http.server_error"),
        ] {
            assert_eq!(refusal(status), (kind, code.to_owned()));
        }
        assert!(answer(201, "").is_success());
    }

    #[test]
    fn throttling_carries_the_time_to_wait() {
        let throttled = Answer::new(429, vec![("retry-after".into(), "7".into())], vec![]).error(0);
        assert_eq!((throttled.kind, throttled.retry_after), (Kind::Throttled, Some(Duration::from_secs(7))));
    }

    #[test]
    fn only_the_beginning_of_an_answer_is_shown() {
        assert!(answer(400, &"x".repeat(10_000)).error(0).details.unwrap().to_string().len() < 600);
    }

    #[test]
    fn answers_that_are_not_json_are_told_apart() {
        let code = |body: &str| answer(200, body).raw_json().unwrap_err().code.into_owned();
        assert_eq!(code(" \n"), "http.empty_answer");
        assert_eq!(code("\n<!DOCTYPE HTML><html>login</html>"), "http.html_answer");
        assert_eq!(code("<HTML>"), "http.html_answer");
        assert_eq!(code(r#"{"items": [1, 2"#), "http.truncated_answer");
        assert_eq!(code("oops"), "http.not_json");
        assert_eq!(code("{} {}"), "http.not_json");
        assert_eq!(answer(200, "\u{feff}[1]").raw_json().unwrap().map(Json::get), Some("[1]"));
        assert!(answer(204, "").raw_json().unwrap().is_none());
    }

    #[test]
    fn an_answer_of_another_shape_names_the_place_and_not_the_value() {
        #[derive(Debug, serde::Deserialize)]
        struct Page {
            #[serde(rename = "items")]
            _items: Vec<u64>,
        }
        let error = answer(200, r#"{"items": [1, "secret"]}"#).json::<Page>().unwrap_err();
        assert_eq!(error.code, "http.answer_unexpected");
        assert!(error.message.contains("items[1]") && !error.message.contains("secret"), "{error}");
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        assert_eq!(answer(200, &"[".repeat(1_000_000)).raw_json().unwrap_err().code, "http.truncated_answer");
    }

    #[test]
    fn headers_of_the_same_name_are_joined() {
        let headers = [("link", "<a>; rel=prev"), ("link", "<b>; rel=next")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(Answer::new(200, headers, vec![]).next_link().as_deref(), Some("b"));
    }
}
