//! Single sign-on by Atlassian Crowd: a session at Crowd's REST API, carried as its cookie, or exchanged for a session of
//! the system itself.
//!
//! `POST {login}/rest/usermanagement/1/session` with HTTP Basic of the application and the user in JSON answers 201 and a
//! token (Crowd REST resources, "Session resource"). Without an exchange URL that token is the cookie `crowd.token_key`.
//! With one, a GET there carries it, and the cookies of the answer go with every request.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    calls::AuthCalls,
    keeper::{AFTER_TROUBLE, Grant, Login, Refused},
    login::{LOGIN_FAILED, refusal, refused, unusable},
    token::AuthFailure,
};
use crate::net::proxy;

/// Where Crowd opens sessions, below its own address.
pub(super) const SESSIONS: &str = "/rest/usermanagement/1/session";
/// The name of Crowd's cookie unless its administrator changed it.
pub(super) const COOKIE: &str = "crowd.token_key";
/// The property that says what they changed it to; every other one is a validation factor.
pub(super) const COOKIE_PROPERTY: &str = "cookie";
/// Together; servers refuse longer heads.
const MAX_COOKIES: usize = 8 << 10;

/// One connection's sign-on.
pub(super) struct CrowdLogin {
    pub(super) calls: AuthCalls,
    pub(super) session: Uri,
    /// HTTP Basic of the application.
    pub(super) application: HeaderValue,
    pub(super) user: String,
    pub(super) password: Arc<SecretString>,
    pub(super) cookie: String,
    pub(super) factors: BTreeMap<String, String>,
    /// On the connection's own host.
    pub(super) exchange: Option<(AuthCalls, Uri)>,
}

impl Login for CrowdLogin {
    async fn login(&self) -> Result<Grant, Refused> {
        let answer = self.calls.call(self.request()?).await?;
        let host = self.calls.destination().host();
        if !answer.status().is_success() {
            return Err(refusal(host, &answer));
        }
        let nothing = || Refused { failure: unusable(host), wait: AFTER_TROUBLE };
        let token = token(&answer).ok_or_else(nothing)?;
        let own = Zeroizing::new(format!("{}={}", self.cookie, token.as_str()));
        let cookies = match &self.exchange {
            None => own,
            Some((calls, uri)) => exchange(calls, uri, &own).await?,
        };
        let value = proxy::sensitive(&cookies).ok_or_else(nothing)?;
        Ok(Grant { name: header::COOKIE, value, life: None })
    }
}

impl CrowdLogin {
    fn request(&self) -> Result<Request<Bytes>, AuthFailure> {
        let factors = self.factors.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let factors: Vec<Value> = factors.collect();
        let (user, password) = (&self.user, self.password.expose_secret());
        let body = match factors.is_empty() {
            true => json!({ "username": user, "password": password }),
            false => json!({
                "username": user, "password": password, "validation-factors": { "validationFactors": factors },
            }),
        };
        let body = Bytes::from_owner(Zeroizing::new(body.to_string().into_bytes()));
        let request = Request::post(self.session.clone())
            .header(header::AUTHORIZATION, self.application.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        request.body(body).map_err(|_| unwritable())
    }
}

/// Turns Crowd's session into one of the system.
async fn exchange(calls: &AuthCalls, uri: &Uri, own: &str) -> Result<Zeroizing<String>, Refused> {
    let cookie = proxy::sensitive(own).ok_or_else(unwritable)?;
    let request = Request::get(uri.clone()).header(header::COOKIE, cookie).header(header::ACCEPT, "*/*");
    let answer = calls.call(request.body(Bytes::new()).map_err(|_| unwritable())?).await?;
    let (host, status) = (calls.destination().host(), answer.status());
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(refused(host, status));
    }
    if status.is_client_error() || status.is_server_error() {
        return Err(refusal(host, &answer));
    }
    // A redirect is how a sign-on ends; its cookies are what we came for, and nobody follows it.
    session_cookies(answer.headers(), own).ok_or_else(|| Refused { failure: unusable(host), wait: AFTER_TROUBLE })
}

fn unwritable() -> AuthFailure {
    AuthFailure::permanent(LOGIN_FAILED, "the login call cannot be written down: a name in it has unusable characters")
}

fn token(answer: &Response<Bytes>) -> Option<Zeroizing<String>> {
    let document: Value = serde_json::from_slice(answer.body()).ok()?;
    let token = Zeroizing::new(document.get("token")?.as_str()?.to_owned());
    let fits = !token.is_empty() && token.len() <= MAX_COOKIES && token.bytes().all(is_cookie_octet);
    fits.then_some(token)
}

/// The cookies that an answer sets, behind Crowd's own; none if it sets none that can be sent.
fn session_cookies(headers: &HeaderMap, own: &str) -> Option<Zeroizing<String>> {
    let mut cookies = Zeroizing::new(own.to_owned());
    let before = cookies.len();
    for set in headers.get_all(header::SET_COOKIE) {
        let Some(pair) = set.to_str().ok().and_then(|text| text.split(';').next()) else { continue };
        let Some((name, value)) = pair.trim().split_once('=') else { continue };
        let fits = !name.is_empty() && !value.is_empty() && name.bytes().chain(value.bytes()).all(is_cookie_octet);
        // An answer that sets Crowd's cookie anew is not a session of the system.
        if fits && !own.starts_with(&format!("{name}=")) {
            cookies.push_str("; ");
            cookies.push_str(pair.trim());
        }
    }
    (cookies.len() > before && cookies.len() <= MAX_COOKIES).then_some(cookies)
}

/// RFC 6265, section 4.1.1.
const fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_the_exchange_follow_crowds_own_and_broken_ones_are_left_out() {
        let mut headers = HeaderMap::new();
        for set in [
            "JSESSIONID=A1B2; Path=/; HttpOnly",
            "seraph.rememberme=x%3Ay; Secure",
            "crowd.token_key=other",
            "empty=",
            "no-value",
            "evil=a b",
        ] {
            headers.append(header::SET_COOKIE, set.parse().unwrap());
        }
        let cookies = session_cookies(&headers, "crowd.token_key=t").unwrap();
        assert_eq!(cookies.as_str(), "crowd.token_key=t; JSESSIONID=A1B2; seraph.rememberme=x%3Ay");
        assert!(session_cookies(&HeaderMap::new(), "crowd.token_key=t").is_none());
    }

    #[test]
    fn a_token_that_would_break_the_cookie_is_none() {
        let answer = |body: &'static str| Response::new(Bytes::from_static(body.as_bytes()));
        assert_eq!(token(&answer(r#"{"token":"abc.DEF_1"}"#)).unwrap().as_str(), "abc.DEF_1");
        for bad in [r#"{"token":""}"#, r#"{"token":"a; b=c"}"#, r#"{"token":7}"#, "<html>", "{}"] {
            assert!(token(&answer(bad)).is_none(), "{bad}");
        }
    }
}
