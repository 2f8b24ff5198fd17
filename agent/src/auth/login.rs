//! A login call that gives a token, such as that of BMC's AR System REST API.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded::Serializer;
use wherry_domain::{
    failure::Code,
    project::auth::{LoginFormat, LoginToken, TokenPlace},
};
use zeroize::Zeroizing;

use super::{
    calls::AuthCalls,
    keeper::{AFTER_REFUSAL, AFTER_TROUBLE, Grant, Login, Refused},
    token::{AuthFailure, Token},
};
use crate::net::proxy;

/// The system does not accept user and password.
pub(super) const LOGIN_REFUSED: Code = Code::new("auth.login_refused");
/// The system answers the login with a failure of its own.
pub(super) const LOGIN_FAILED: Code = Code::new("auth.login_failed");
/// The answer to the login holds no token.
pub(super) const LOGIN_ANSWER: Code = Code::new("auth.login_answer_invalid");
/// The user is logged in from elsewhere.
const ELSEWHERE: Code = Code::new("auth.session_elsewhere");

/// Longest token: with it a request's head still fits what common servers accept.
const MAX_TOKEN: usize = 16 << 10;
/// BMC: the name or password is wrong (ARERR 623), also where the status is 500.
const ARERR_WRONG: u64 = 623;
/// BMC: "User is currently connected from another machine" (ARERR 9093).
const ARERR_ELSEWHERE: u64 = 9093;
/// Lives of tokens that are believed.
const LIVES: std::ops::RangeInclusive<u64> = 60..=365 * 24 * 3_600;

/// One connection's login.
pub(super) struct TokenLogin {
    pub(super) calls: AuthCalls,
    pub(super) uri: Uri,
    pub(super) scheme: LoginToken,
    pub(super) password: Arc<SecretString>,
    pub(super) header: HeaderName,
    /// Where a session ends, if the system has a place for that.
    pub(super) logout: Option<(AuthCalls, Uri)>,
}

/// An agent that stops does not wait longer for a farewell.
const FAREWELL: Duration = Duration::from_secs(5);

impl Login for TokenLogin {
    async fn login(&self) -> Result<Grant, Refused> {
        let answer = self.calls.call(self.request()?).await?;
        let host = self.calls.destination().host();
        if !answer.status().is_success() {
            return Err(refusal(host, &answer));
        }
        self.grant(&answer).ok_or_else(|| Refused { failure: unusable(host), wait: AFTER_TROUBLE })
    }

    fn ends_sessions(&self) -> bool {
        self.logout.is_some()
    }

    async fn logout(&self, token: Token) {
        let Some((calls, uri)) = &self.logout else { return };
        let request = Request::post(uri.clone()).header(token.name, token.value).header(header::ACCEPT, "*/*");
        let Ok(request) = request.body(Bytes::new()) else { return };
        match tokio::time::timeout(FAREWELL, calls.call(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                tracing::debug!(host = calls.destination().host(), "logged out")
            }
            Ok(Ok(answer)) => {
                tracing::warn!(host = calls.destination().host(), status = %answer.status(), "the logout was refused");
            }
            Ok(Err(error)) => tracing::warn!(code = %error.code(), %error, "could not log out"),
            Err(_) => tracing::warn!(host = calls.destination().host(), "the logout was not answered in time"),
        }
    }
}

impl TokenLogin {
    fn request(&self) -> Result<Request<Bytes>, AuthFailure> {
        let LoginToken { format, username, username_field, password_field, fields, .. } = &self.scheme;
        let own = [(username_field.as_str(), username.as_str()), (password_field, self.password.expose_secret())];
        let all = own.into_iter().chain(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let (kind, body) = match format {
            LoginFormat::Form => {
                let body = Serializer::new(String::new()).extend_pairs(all).finish();
                ("application/x-www-form-urlencoded", body)
            }
            LoginFormat::Json => {
                let body: Map<String, Value> = all.map(|(name, value)| (name.to_owned(), value.into())).collect();
                ("application/json", Value::Object(body).to_string())
            }
        };
        let request = Request::post(self.uri.clone()).header(header::CONTENT_TYPE, kind).header(header::ACCEPT, "*/*");
        let body = Bytes::from_owner(Zeroizing::new(body.into_bytes()));
        request.body(body).map_err(|_| AuthFailure::permanent(LOGIN_FAILED, "the login call cannot be written down"))
    }

    fn grant(&self, answer: &Response<Bytes>) -> Option<Grant> {
        let text = std::str::from_utf8(answer.body()).ok()?;
        let token = match &self.scheme.token {
            TokenPlace::Text => Zeroizing::new(text.trim().to_owned()),
            TokenPlace::Json(pointer) => {
                let document: Value = serde_json::from_str(text).ok()?;
                Zeroizing::new(document.pointer(pointer)?.as_str()?.to_owned())
            }
        };
        let fits = (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        // A page for people instead of a token.
        if !fits || token.starts_with('<') {
            return None;
        }
        let text = Zeroizing::new(format!("{}{}", self.scheme.prefix, token.as_str()));
        Some(Grant { name: self.header.clone(), value: proxy::sensitive(&text)?, life: life(&token) })
    }
}

/// How long a JSON Web Token lives by its own words. Their difference counts, so that clocks need not agree.
fn life(token: &str) -> Option<Duration> {
    let payload = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()?;
    let claim = |name: &str| claims.get(name)?.as_u64();
    let life = claim("exp")?.checked_sub(claim("iat")?)?;
    LIVES.contains(&life).then(|| Duration::from_secs(life))
}

/// What a status other than success means.
pub(super) fn refusal(host: &str, answer: &Response<Bytes>) -> Refused {
    let status = answer.status();
    let numbers = message_numbers(answer.body());
    let failure = if numbers.contains(&ARERR_ELSEWHERE) {
        let message = format!(
            "{host} refuses the login because the user is logged in from another address: give each agent a user of its own"
        );
        AuthFailure::passing(ELSEWHERE, message)
    } else if numbers.contains(&ARERR_WRONG)
        || matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    {
        return refused(host, status);
    } else if status.is_redirection() || status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED {
        let message = format!("{host} has no login at that place ({status}): check the address of the login");
        AuthFailure::permanent(LOGIN_FAILED, message)
    } else {
        AuthFailure::passing(LOGIN_FAILED, format!("{host} answered the login with {status}"))
    };
    Refused { failure, wait: AFTER_TROUBLE }
}

/// Wrong credentials.
pub(super) fn refused(host: &str, status: StatusCode) -> Refused {
    let message = format!(
        "{host} refused the login ({status}): check user name and password; the agent does not try again for {} s",
        AFTER_REFUSAL.as_secs()
    );
    Refused { failure: AuthFailure::permanent(LOGIN_REFUSED, message), wait: AFTER_REFUSAL }
}

/// A success without a token.
pub(super) fn unusable(host: &str) -> AuthFailure {
    let message =
        format!("{host} accepted the login, but its answer holds no usable token: check the address of the login");
    AuthFailure::permanent(LOGIN_ANSWER, message)
}

/// The numbers in the error array of AR System.
fn message_numbers(body: &[u8]) -> Vec<u64> {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = document.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry.get("messageNumber")?.as_u64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    #[test]
    fn a_refused_login_is_told_apart_from_a_system_in_trouble() {
        for (status, body, code, retry, wait) in [
            (401, "", "auth.login_refused", false, AFTER_REFUSAL),
            (403, "", "auth.login_refused", false, AFTER_REFUSAL),
            (400, "{}", "auth.login_refused", false, AFTER_REFUSAL),
            (500, r#"[{"messageNumber":623}]"#, "auth.login_refused", false, AFTER_REFUSAL),
            (401, r#"[{"messageNumber":9093}]"#, "auth.session_elsewhere", true, AFTER_TROUBLE),
            (500, "", "auth.login_failed", true, AFTER_TROUBLE),
            (503, "<html>", "auth.login_failed", true, AFTER_TROUBLE),
            (429, "", "auth.login_failed", true, AFTER_TROUBLE),
            (302, "", "auth.login_failed", false, AFTER_TROUBLE),
            (404, "", "auth.login_failed", false, AFTER_TROUBLE),
        ] {
            let Refused { failure, wait: waits } = refusal("desk", &answer(status, body));
            assert_eq!((failure.code.as_str(), failure.retry, waits), (code, retry, wait), "{status} {body}");
            assert!(!failure.message.contains("html"), "the system's words stay out");
        }
    }

    #[test]
    fn the_life_of_a_token_is_the_difference_of_its_claims() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(life(&token(r#"{"iat":1000,"exp":4600}"#)), Some(Duration::from_secs(3_600)));
        for odd in
            [r#"{"exp":4600}"#, r#"{"iat":4600,"exp":1000}"#, r#"{"iat":0,"exp":5}"#, "x", r#"{"iat":0,"exp":1e20}"#]
        {
            assert_eq!(life(&token(odd)), None, "{odd}");
        }
        assert_eq!(life("opaque"), None);
    }
}
