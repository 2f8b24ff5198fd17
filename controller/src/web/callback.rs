//! Where providers of OAuth send browsers back: a static page, and a code that goes on to the agent.
//!
//! Anybody can call this. Nothing of the request is shown, logged or kept; what it says depends on our own texts alone.

use axum::{
    extract::{Query, State},
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{self, HeaderName},
    },
    response::{Html, IntoResponse, Response},
};
use wherry_proto::MAX_CODE;

use super::Web;
use crate::engine::{BACK, Back, Kind, Refusal};

/// Most parameters that are looked at: providers send three or four.
const MAX_PARAMETERS: usize = 32;
/// The page neither loads nor runs anything, and nothing can frame it or leave an address behind.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Takes what a browser brings from a provider.
pub(super) async fn callback(State(web): State<Web>, method: Method, uri: Uri) -> Response {
    if method != Method::GET {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, "Not like this", "A provider sends you here by itself.");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let taken = match read(&uri) {
        Ok(back) => web.ledger.came_back(back).await,
        Err(refusal) => Err(refusal),
    };
    match taken {
        Ok(()) => page(StatusCode::OK, "You are signed in", BACK),
        Err(refusal) => {
            let status = match refusal.kind {
                Kind::Busy | Kind::Full | Kind::Throttled => StatusCode::SERVICE_UNAVAILABLE,
                Kind::NotFound
                | Kind::Conflict
                | Kind::Invalid
                | Kind::Forbidden
                | Kind::Unauthenticated
                | Kind::Incompatible => StatusCode::BAD_REQUEST,
            };
            page(status, "This did not work", &format!("{} ({})", refusal.message, refusal.code))
        }
    }
}

/// One `state`, and either one code or one word for why there is none, each of a bounded length.
fn read(uri: &Uri) -> Result<Back, Refusal> {
    let malformed = |_| invalid("the address cannot be read");
    let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(malformed)?;
    if parameters.len() > MAX_PARAMETERS {
        return Err(invalid("the address has too many parameters"));
    }
    let state = single(&parameters, "state")
        .ok()
        .flatten()
        .ok_or_else(|| Refusal::invalid("oauth.state_invalid", "the answer has no state, or several"))?;
    let repeated = |()| invalid("the answer names something twice, or something too long");
    let (code, error) =
        (single(&parameters, "code").map_err(repeated)?, single(&parameters, "error").map_err(repeated)?);
    let iss = single(&parameters, "iss").map_err(repeated)?;
    let result = match (code, error) {
        (Some(code), None) => Ok(code),
        (None, Some(error)) => Err(error),
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid("the answer has neither a code nor a reason, or both"));
        }
    };
    Ok(Back { state, result, iss })
}

/// The value of a parameter that stands there at most once and is neither empty nor long.
fn single(parameters: &[(String, String)], name: &str) -> Result<Option<String>, ()> {
    let mut values = parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if (1..=MAX_CODE).contains(&value.len()) => Ok(Some(value.clone())),
        (Some(_), _) => Err(()),
    }
}

fn invalid(why: &str) -> Refusal {
    Refusal::invalid("oauth.callback_invalid", why)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let (title, text) = (escaped(title), escaped(text));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n<p>{text}</p></body>\n</html>\n"
    );
    let mut response = (status, Html(html)).into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Our own texts, as HTML.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}
