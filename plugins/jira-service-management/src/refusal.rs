//! What Jira says when it refuses: two shapes of error bodies, and limits on how often it may be asked.

use std::time::Duration;

use serde_json::Map;
use wherry_sdk::calendar;
use wherry_sdk::http::Answer;
use wherry_sdk::prelude::*;

/// Longest wait that `X-RateLimit-Reset` is believed to mean.
const LONGEST: u64 = 3_600;
/// Characters of one message, and number of messages and fields, that are kept for the agent owner.
const WORDS: usize = 400;
const ENTRIES: usize = 15;

/// The error of an answer that Jira explains itself. Everything else is left to its status.
pub(crate) fn refusal(answer: &Answer) -> Option<Error> {
    let says = Says::read(answer);
    let details = || says.details(answer);
    match answer.status() {
        401 | 403 if is_denied_login(answer) => {
            let message = "Jira does not accept this login, and after several failures it wants a CAPTCHA; check user \
                           and password, sign in once with a browser, or use a personal access token";
            Some(Error::new(Kind::Auth, "jira.login_denied", message).with_details(details()))
        }
        401 => {
            let message = "Jira does not accept the connection's credentials; on Cloud the user is an email address \
                           and the password an API token, and a token with scopes works only with the url \
                           https://api.atlassian.com/ex/jira/CLOUD-ID";
            Some(Error::new(Kind::Auth, "http.unauthorized", message).with_details(details()))
        }
        400 | 409 | 413 | 422 if !says.fields.is_empty() => {
            let fields: Vec<_> = says.fields.keys().take(ENTRIES).map(|name| shown(name, 60)).collect();
            let message = format!("Jira refuses the values of {}; see the details for its reasons", fields.join(", "));
            Some(Error::data("jira.fields_invalid", message).with_details(details()))
        }
        400 | 409 | 413 | 422 => {
            let message = "Jira refuses this request; see the details for its reason";
            Some(Error::data("jira.refused", message).with_details(details()))
        }
        410 => {
            let message = "this Jira no longer has the operation; set the connection's option flavour to the kind of \
                           Jira that it is";
            Some(Error::config("jira.removed", message).with_details(details()))
        }
        429 if answer.header("retry-after").is_none() => Some(limited(answer, details())),
        _ => None,
    }
}

/// A limit that names no wait in the usual way. Cloud may say when it ends, Data Center how often it counts anew.
fn limited(answer: &Answer, details: Value) -> Error {
    let interval = answer.header("x-ratelimit-interval-seconds").and_then(|seconds| seconds.trim().parse().ok());
    let interval = interval.map(|seconds: u64| Duration::from_secs(seconds.clamp(1, LONGEST)));
    let reset = || until(&answer.header("x-ratelimit-reset")?, answer.received_at());
    Error::new(Kind::Throttled, "http.throttled", "Jira asks for fewer requests")
        .after(interval.or_else(reset))
        .with_details(details)
}

/// The wait until a limit ends. `now` is in seconds since 1970.
fn until(reset: &str, now: u64) -> Option<Duration> {
    moment(reset).map(|reset| Duration::from_secs(reset.saturating_sub(now).clamp(1, LONGEST)))
}

/// Jira Data Center says so when a login failed so often that it wants to see a person.
fn is_denied_login(answer: &Answer) -> bool {
    answer.header("x-seraph-loginreason").is_some_and(|reason| reason.contains("AUTHENTICATION_DENIED"))
}

/// What the body of a refusal says, in either shape.
#[derive(Default)]
struct Says {
    messages: Vec<String>,
    fields: Map<String, Value>,
    key: Option<String>,
}

impl Says {
    fn read(answer: &Answer) -> Self {
        let Ok(body) = answer.json::<Value>() else { return Self::default() };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(|text| shown(text, WORDS));
        let listed = body.get("errorMessages").and_then(Value::as_array).into_iter().flatten();
        let messages = body.get("errorMessage").into_iter().chain(listed).filter_map(text).take(ENTRIES).collect();
        let fields = body.get("errors").and_then(Value::as_object).into_iter().flatten().take(ENTRIES);
        let fields = fields.map(|(name, why)| (shown(name, 60), text(why).into())).collect();
        let key = body.pointer("/i18nErrorMessage/i18nKey").and_then(text);
        Self { messages, fields, key }
    }

    fn details(&self, answer: &Answer) -> Value {
        let Self { messages, fields, key } = self;
        if messages.is_empty() && fields.is_empty() {
            return answer.shown();
        }
        let mut details = Map::from_iter([("status".to_owned(), answer.status().into())]);
        let key = key.clone().map(Value::from);
        let messages = (!messages.is_empty()).then(|| json!(messages));
        let fields = (!fields.is_empty()).then(|| json!(fields));
        let reason = answer.header("ratelimit-reason").map(|reason| shown(&reason, 60).into());
        for (name, value) in [("code", key), ("messages", messages), ("fields", fields), ("reason", reason)] {
            details.extend(value.map(|value| (name.to_owned(), value)));
        }
        Value::Object(details)
    }
}

fn shown(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// A time such as `2026-01-01T10:00Z` or `2026-01-01T10:00:30Z` in seconds since 1970.
fn moment(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let time = time.split('.').next()?;
    let mut time = time.split(':').map(str::parse::<u64>);
    let (hour, minute) = (time.next()?.ok()?, time.next()?.ok()?);
    let second = time.next().unwrap_or(Ok(0)).ok()?;
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    calendar::seconds((year, month, day), (hour, minute, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&str, &str)], body: &Value) -> Option<Error> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        refusal(&Answer::new(status, headers, body.to_string().into_bytes()))
    }

    #[test]
    fn both_shapes_of_errors_are_kept_for_the_owner_and_only_names_of_fields_are_told() {
        let desk = json!({ "errorMessage": "Summary of Ms Doe", "i18nErrorMessage": { "i18nKey": "sd.x", "parameters": ["p"] } });
        let error = refused(400, &[], &desk).unwrap();
        assert_eq!((error.code.as_ref(), error.kind), ("jira.refused", Kind::Data));
        assert!(!error.message.contains("Doe"));
        let details = error.details.unwrap();
        assert_eq!(details, json!({ "status": 400, "code": "sd.x", "messages": ["Summary of Ms Doe"] }));
        let platform = json!({ "errorMessages": [], "errors": { "summary": "Ms Doe is too long" } });
        let error = refused(400, &[], &platform).unwrap();
        assert_eq!(error.code, "jira.fields_invalid");
        assert!(error.message.contains("summary") && !error.message.contains("Doe"), "{error}");
        assert_eq!(error.details.unwrap()["fields"]["summary"], "Ms Doe is too long");
    }

    #[test]
    fn a_login_that_needs_a_person_is_told_apart_from_wrong_credentials() {
        let denied = [("x-seraph-loginreason", "AUTHENTICATION_DENIED")];
        for status in [401, 403] {
            let error = refused(status, &denied, &Value::Null).unwrap();
            assert_eq!((error.code.as_ref(), error.kind), ("jira.login_denied", Kind::Auth));
        }
        let error = refused(401, &[("x-seraph-loginreason", "AUTHENTICATED_FAILED")], &Value::Null).unwrap();
        assert_eq!((error.code.as_ref(), error.kind), ("http.unauthorized", Kind::Auth));
        assert!(refused(403, &[], &Value::Null).is_none(), "left to its status");
    }

    #[test]
    fn the_time_of_a_reset_becomes_a_wait() {
        let at = moment("2026-01-01T10:00Z").unwrap();
        assert_eq!(at, 1_767_261_600);
        let wait = |now| until("2026-01-01T10:00Z", now).map(|wait| wait.as_secs());
        assert_eq!(wait(at - 42), Some(42));
        assert_eq!((wait(at + 5), wait(0)), (Some(1), Some(LONGEST)), "neither at once nor for ever");
        assert_eq!(
            refused(429, &[("x-ratelimit-interval-seconds", "2")], &Value::Null).unwrap().retry_after,
            Some(Duration::from_secs(2))
        );
        assert!(
            refused(503, &[("x-ratelimit-reset", "2026-01-01T10:00Z")], &Value::Null).is_none(),
            "it may have been done"
        );
        assert!(refused(429, &[("retry-after", "7"), ("x-ratelimit-reset", "x")], &Value::Null).is_none());
        assert!(refused(429, &[("x-ratelimit-reset", "soon")], &Value::Null).unwrap().retry_after.is_none());
    }

    #[test]
    fn times_have_minutes_or_seconds_and_nonsense_is_none() {
        assert_eq!(moment("1970-01-01T00:00:30Z"), Some(30));
        assert_eq!(moment("2024-02-29T12:00:00.123Z"), Some(1_709_208_000));
        for bad in ["", "Z", "2026-01-01", "2026-13-01T10:00Z", "2026-01-01T24:00Z", "2026-01-01T10Z", "1-1-1T1:1Z"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn long_refusals_are_cut() {
        let errors: Map<String, Value> =
            (0..500).map(|n| (format!("customfield_{n}"), "x".repeat(5_000).into())).collect();
        let error = refused(400, &[], &json!({ "errors": errors })).unwrap();
        assert!(error.details.unwrap().to_string().len() < 8 << 10);
        assert!(error.message.len() < 2 << 10);
    }
}
