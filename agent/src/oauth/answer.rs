//! What a token endpoint answered, judged. Pure.
//!
//! Only an answer that says plainly what it is counts as one: a page of a proxy or a redirect is not a refusal.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{state::Answer, trouble::Trouble};

/// Longest token: it must fit into a header that systems take.
pub(super) const MAX_TOKEN: usize = 16 << 10;
/// Longest scope.
const MAX_SCOPE: usize = 4 << 10;
/// A token that lives shorter would be fetched for each request; one that says it lives longer means something else.
pub(super) const LIFE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(365 * 24 * 3_600));
/// What is waited if a provider asks for patience without saying how much, and the most that it may ask for.
const PATIENCE: (u64, u64) = (30, 3_600);
/// After an answer that did not come from the token endpoint at all.
const AFTER_STRANGER: Duration = Duration::from_secs(60);

/// Error codes of RFC 6749, section 5.2, of RFC 7009 and of OpenID Connect; another one is not repeated.
const KNOWN: [&str; 9] = [
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "unsupported_token_type",
    "access_denied",
    "server_error",
];

/// Tokens as they came.
pub(super) struct Granted {
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    pub(super) life: Option<Duration>,
    pub(super) scope: Option<String>,
    pub(super) id_token: Option<SecretString>,
}

#[derive(Deserialize)]
struct Success {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<SecretString>,
    scope: Option<Value>,
    id_token: Option<SecretString>,
}

#[derive(Deserialize)]
struct Failed {
    error: String,
}

/// Judges an answer. `asked` are the scopes that were asked for; none of them is no limit.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], asked: &str) -> Result<Granted, Answer> {
    match status {
        StatusCode::OK | StatusCode::CREATED => granted(headers, body, asked),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let wait = patience(headers);
            Err(Answer::Unread(Trouble::Busy(wait), Some(wait)))
        }
        status if status.is_redirection() => Err(Answer::Refused(Trouble::Invalid(format!(
            "it redirects with status {}, which is not followed",
            status.as_u16()
        )))),
        status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => Err(refused(status, body)),
        status => Err(Answer::Unknown(Trouble::Invalid(format!("it answered with status {}", status.as_u16())))),
    }
}

fn refused(status: StatusCode, body: &[u8]) -> Answer {
    let Ok(Failed { error }) = serde_json::from_slice(body) else {
        return Answer::Refused(Trouble::Invalid(format!("it answered with status {}", status.as_u16())));
    };
    if error == "invalid_grant" {
        return Answer::InvalidGrant;
    }
    let known = KNOWN.iter().find(|known| **known == error);
    Answer::Refused(Trouble::Refused(known.map_or("an error code of its own", |known| *known).to_owned()))
}

fn granted(headers: &HeaderMap, body: &[u8], asked: &str) -> Result<Granted, Answer> {
    let content =
        headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
    let stranger = |what: &str| Answer::Unread(Trouble::Invalid(what.to_owned()), Some(AFTER_STRANGER));
    if content.is_some_and(|content| !content.split(';').next().unwrap_or_default().trim().ends_with("json")) {
        return Err(stranger("it is not JSON"));
    }
    let Ok(Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
        return Err(stranger("it is not a JSON object"));
    };
    // From here on it is the token endpoint that speaks: it may have used up the refresh token.
    let wrong = |what: &str| Answer::Unknown(Trouble::Invalid(what.to_owned()));
    let success: Success = serde_json::from_slice(body).map_err(|_| wrong("its fields are of the wrong kind"))?;
    let access = success.access_token.filter(fits).ok_or_else(|| wrong("it has no usable access_token"))?;
    let bearer = success.token_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer {
        return Err(wrong("its token_type is not Bearer"));
    }
    if success.refresh_token.as_ref().is_some_and(|token| !fits(token)) {
        return Err(wrong("its refresh_token is not usable"));
    }
    let scope = scope(success.scope.as_ref()).ok_or_else(|| wrong("its scope is not a text"))?;
    if scope.as_deref().is_some_and(|granted| wider(granted, asked)) {
        return Err(wrong("it grants scopes that were not asked for"));
    }
    let life = life(success.expires_in.as_ref()).ok_or_else(|| wrong("its expires_in is not a number"))?;
    Ok(Granted { access, refresh: success.refresh_token, life, scope, id_token: success.id_token })
}

fn fits(token: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    let text = token.expose_secret();
    // RFC 6749, appendix A.12: visible characters and spaces; a space would end a bearer token.
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// Scopes as one text; some providers send a list. Nothing if it is neither.
#[expect(clippy::option_option, reason = "unusable, absent, there")]
fn scope(value: Option<&Value>) -> Option<Option<String>> {
    let text = match value {
        None | Some(Value::Null) => return Some(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            texts?.join(" ")
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => return None,
    };
    (text.len() <= MAX_SCOPE && !text.chars().any(char::is_control)).then_some(Some(text))
}

fn wider(granted: &str, asked: &str) -> bool {
    let asked: Vec<&str> = asked.split_whitespace().collect();
    !asked.is_empty()
        && granted.split([' ', ',']).filter(|scope| !scope.is_empty()).any(|scope| !asked.contains(&scope))
}

/// A life within bounds; nothing if it is no number.
#[expect(clippy::option_option, reason = "unusable, absent, there")]
fn life(value: Option<&Value>) -> Option<Option<Duration>> {
    let seconds = match value {
        None | Some(Value::Null) => return Some(None),
        Some(Value::Number(number)) => number.as_f64()?,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return None,
    };
    if !seconds.is_finite() {
        return None;
    }
    Some(Some(Duration::from_secs_f64(seconds.clamp(LIFE.0.as_secs_f64(), LIFE.1.as_secs_f64()))))
}

fn patience(headers: &HeaderMap) -> Duration {
    let asked = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(asked.unwrap_or(PATIENCE.0).clamp(1, PATIENCE.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use secrecy::ExposeSecret;

    fn answer(status: u16, kind: &str, body: &str, asked: &str) -> Result<Granted, Answer> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        }
        judge(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), asked)
    }

    fn why(result: Result<Granted, Answer>) -> String {
        match result.err().unwrap() {
            Answer::Unread(trouble, _) => format!("unread {trouble:?}"),
            Answer::Refused(trouble) => format!("refused {trouble:?}"),
            Answer::Unknown(trouble) => format!("unknown {trouble:?}"),
            Answer::InvalidGrant => "invalid grant".to_owned(),
            Answer::Got => "got".to_owned(),
        }
    }

    #[test]
    fn good_answers_are_read_whatever_their_dialect() {
        let body =
            r#"{"access_token":"a.b","token_type":"bearer","expires_in":"3600","refresh_token":"r","scope":["x","y"]}"#;
        let granted = answer(200, "application/json;charset=UTF-8", body, "y x z").unwrap();
        assert_eq!((granted.access.expose_secret(), granted.life), ("a.b", Some(Duration::from_secs(3_600))));
        assert_eq!((granted.scope.as_deref(), granted.refresh.is_some()), (Some("x y"), true));
        let bare = answer(200, "", r#"{"access_token":"a","token_type":"Bearer"}"#, "").unwrap();
        assert!(bare.life.is_none() && bare.scope.is_none() && bare.refresh.is_none());
    }

    #[test]
    fn lives_beyond_reason_are_brought_within_a_minute_and_a_year() {
        for (life, seconds) in
            [("-5", 60), ("0", 60), ("1e12", 31_536_000), ("61.5", 61), ("18446744073709551616", 31_536_000)]
        {
            let body = format!(r#"{{"access_token":"a","token_type":"Bearer","expires_in":{life}}}"#);
            assert_eq!(answer(200, "application/json", &body, "").unwrap().life.unwrap().as_secs(), seconds, "{life}");
        }
    }

    #[test]
    fn what_is_not_an_answer_of_a_token_endpoint_is_refused() {
        let json = "application/json";
        let ok = |body: &str| why(answer(200, json, body, "read"));
        for (said, what) in [
            (why(answer(200, "text/html", "<html>", "")), "unread Invalid(\"it is not JSON\")"),
            (ok("<html>"), "unread Invalid(\"it is not a JSON object\")"),
            (ok("[]"), "unread Invalid(\"it is not a JSON object\")"),
            (ok("{}"), "unknown Invalid(\"it has no usable access_token\")"),
            (
                ok(r#"{"access_token":"a b","token_type":"Bearer"}"#),
                "unknown Invalid(\"it has no usable access_token\")",
            ),
            (
                ok(r#"{"access_token":"a\nb","token_type":"Bearer"}"#),
                "unknown Invalid(\"it has no usable access_token\")",
            ),
            (
                ok(r#"{"access_token":7,"token_type":"Bearer"}"#),
                "unknown Invalid(\"its fields are of the wrong kind\")",
            ),
            (ok(r#"{"access_token":"a"}"#), "unknown Invalid(\"its token_type is not Bearer\")"),
            (ok(r#"{"access_token":"a","token_type":"mac"}"#), "unknown Invalid(\"its token_type is not Bearer\")"),
            (
                ok(r#"{"access_token":"a","token_type":"Bearer","scope":"read write"}"#),
                "unknown Invalid(\"it grants scopes that were not asked for\")",
            ),
            (
                ok(r#"{"access_token":"a","token_type":"Bearer","expires_in":"soon"}"#),
                "unknown Invalid(\"its expires_in is not a number\")",
            ),
            (why(answer(302, "", "", "")), "refused Invalid(\"it redirects with status 302, which is not followed\")"),
            (why(answer(502, "", "", "")), "unknown Invalid(\"it answered with status 502\")"),
            (why(answer(404, "text/html", "<html>", "")), "refused Invalid(\"it answered with status 404\")"),
            (why(answer(401, json, r#"{"error":"invalid_client"}"#, "")), "refused Refused(\"invalid_client\")"),
            (why(answer(400, json, r#"{"error":"invalid_grant"}"#, "")), "invalid grant"),
            (
                why(answer(400, json, r#"{"error":"<script>secret"}"#, "")),
                "refused Refused(\"an error code of its own\")",
            ),
            (why(answer(503, "", "", "")), "unread Busy(30s)"),
        ] {
            assert_eq!(said, what);
        }
        let long = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "a".repeat(MAX_TOKEN + 1));
        assert_eq!(ok(&long), "unknown Invalid(\"it has no usable access_token\")");
    }
}
