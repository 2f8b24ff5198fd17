//! What the system answered, and what that means.

use serde_json::value::RawValue;

use crate::failure::{Failure, Kind};
use crate::retry_after;

/// Bytes of a body; beyond that, an answer is not read on.
pub const BODY_BYTES: usize = 10 << 20;
/// Bytes of an answer that are shown to the agent owner.
const SHOWN_BYTES: usize = 512;

/// An answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The `Link` headers, joined by commas.
    pub link: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Accepts a 2xx status; says what any other means. `now` is in seconds since 1970.
    pub fn check_status(&self, now: u64) -> Result<(), Failure> {
        if (200..=299).contains(&self.status) {
            return Ok(());
        }
        let (kind, code, meaning) = meaning(self.status);
        let failure = Failure::new(kind, code, format!("the system answered {}: {meaning}", self.status));
        let wait = matches!(kind, Kind::Throttled | Kind::Transient).then(|| self.wait(now)).flatten();
        Err(failure.after(wait).with_answer(self.status, &self.beginning()))
    }

    /// The body as JSON; `None` if the system says that there is no content.
    pub fn json(&self) -> Result<Option<&RawValue>, Failure> {
        if self.status == 204 {
            return Ok(None);
        }
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        if body.iter().all(u8::is_ascii_whitespace) {
            let message = "the system answered with an empty body where JSON was expected";
            return Err(Failure::new(Kind::Data, "http.empty_answer", message));
        }
        self.refuse_page()?;
        serde_json::from_slice(body).map(Some).map_err(|error| {
            let (kind, code, what) = if error.is_eof() {
                (Kind::Transient, "http.truncated_answer", "JSON that breaks off")
            } else {
                (Kind::Data, "http.not_json", "something that is not JSON")
            };
            let place = format!("line {}, column {}", error.line(), error.column());
            let message = format!("the system answered with {what} at {place}; check path and headers");
            Failure::new(kind, code, message).with_answer(self.status, &self.beginning())
        })
    }

    /// Refuses a web page where an answer for programs was expected: most likely a login page or a proxy's notice.
    pub fn refuse_page(&self) -> Result<(), Failure> {
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
        Err(Failure::new(Kind::Config, "http.html_answer", message).with_answer(self.status, &self.beginning()))
    }

    fn wait(&self, now: u64) -> Option<u64> {
        self.retry_after.as_deref().and_then(|value| retry_after::parse(value, now))
    }

    /// The first 512 bytes as text.
    fn beginning(&self) -> String {
        let shown = self.body.get(..SHOWN_BYTES).unwrap_or(&self.body);
        String::from_utf8_lossy(shown).into_owned()
    }
}

/// What a status other than 2xx means for whoever configured the request.
const fn meaning(status: u16) -> (Kind, &'static str, &'static str) {
    match status {
        300..=399 => {
            (Kind::Config, "http.redirected", "it names another address; use that one in the connection or the path")
        }
        401 => (Kind::Auth, "http.unauthorized", "it does not accept the connection's credentials"),
        403 => (Kind::Forbidden, "http.forbidden", "the connection's user may not do this"),
        404 => (Kind::NotFound, "http.not_found", "there is nothing at this path; check path and record"),
        429 => (Kind::Throttled, "http.throttled", "too many requests"),
        408 | 425 | 500..=599 => (Kind::Transient, "http.server_error", "it cannot work on this now"),
        _ => (Kind::Data, "http.refused", "it refuses this request; see the details for its reason"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.into(), ..Answer::default() }
    }

    fn refusal(status: u16) -> (Kind, &'static str) {
        let failure = answer(status, "because").check_status(0).unwrap_err();
        assert!(failure.details.unwrap().contains("because"));
        (failure.kind, failure.code)
    }

    #[test]
    fn every_status_has_a_meaning() {
        assert!(answer(201, "").check_status(0).is_ok());
        assert_eq!(refusal(302), (Kind::Config, "http.redirected"));
        assert_eq!(refusal(401), (Kind::Auth, "http.unauthorized"));
        assert_eq!(refusal(403), (Kind::Forbidden, "http.forbidden"));
        assert_eq!(refusal(404), (Kind::NotFound, "http.not_found"));
        assert_eq!(refusal(422), (Kind::Data, "http.refused"));
        assert_eq!(refusal(503), (Kind::Transient, "http.server_error"));
    }

    #[test]
    fn throttling_carries_the_time_to_wait() {
        let throttled = Answer { status: 429, retry_after: Some("7".into()), ..Answer::default() };
        let failure = throttled.check_status(0).unwrap_err();
        assert_eq!((failure.kind, failure.retry_after_ms), (Kind::Throttled, Some(7_000)));
    }

    #[test]
    fn only_the_beginning_of_an_answer_is_shown() {
        let failure = answer(400, &"x".repeat(10_000)).check_status(0).unwrap_err();
        assert!(failure.details.unwrap().len() < 600);
    }

    #[test]
    fn answers_that_are_not_json_are_told_apart() {
        let code = |body: &str| answer(200, body).json().unwrap_err().code;
        assert_eq!(code(" \n"), "http.empty_answer");
        assert_eq!(code("\n<!DOCTYPE HTML><html>login</html>"), "http.html_answer");
        assert_eq!(code("<HTML>"), "http.html_answer");
        assert_eq!(code(r#"{"items": [1, 2"#), "http.truncated_answer");
        assert_eq!(code("oops"), "http.not_json");
        assert_eq!(code("{} {}"), "http.not_json");
        assert_eq!(answer(200, "\u{feff}[1]").json().unwrap().map(RawValue::get), Some("[1]"));
        assert!(answer(204, "").json().unwrap().is_none());
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(answer(200, &deep).json().unwrap_err().code, "http.truncated_answer");
    }
}
