//! Requests that no connector should make, and many at once, which it may.

use serde_json::json;

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{Fields, FutureIncomingResponse, Method, OutgoingRequest, Scheme};
use crate::bindings::wasi::io::poll::poll;
use crate::bindings::wherry::connector::types::{Error, ErrorKind};
use crate::connector::{Scene, error};

/// Runs the activity, if it is one of these.
pub(crate) fn run(activity: &str, scene: &Scene<'_>) -> Option<Result<String, Error>> {
    let authority = scene.text("authority");
    Some(match activity {
        "get" => exchange(&Method::Get, authority, scene.text("header")),
        "connect" => exchange(&Method::Connect, authority, ""),
        // Makes nothing of the reason, as badly written connectors do.
        "get-and-lie" => exchange(&Method::Get, authority, "")
            .map_err(|_| error(ErrorKind::Data, "hostile.oops", "something went wrong")),
        #[expect(clippy::unwrap_used, reason = "this is the misdeed")]
        "get-and-panic" => Ok(exchange(&Method::Get, authority, "").unwrap()),
        "flood" => flood(authority),
        "parallel" => parallel(authority, scene.number("rounds")),
        _ => return None,
    })
}

fn begin(method: &Method, authority: &str, header: &str) -> Result<FutureIncomingResponse, Error> {
    let fields = Fields::new();
    if let Some((name, value)) = header.split_once('=') {
        fields
            .append(name, value.as_bytes())
            .map_err(|refusal| error(ErrorKind::Config, "hostile.header", format!("{refusal:?}")))?;
    }
    let request = OutgoingRequest::new(fields);
    let placed = request
        .set_method(method)
        .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some("/")));
    placed.map_err(|()| error(ErrorKind::Config, "hostile.request", "refused"))?;
    outgoing_handler::handle(request, None)
        .map_err(|code| error(ErrorKind::Internal, "hostile.handle", format!("{code:?}")))
}

/// Sends a request and tells all it can see of the answer's head.
fn exchange(method: &Method, authority: &str, header: &str) -> Result<String, Error> {
    let future = begin(method, authority, header)?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => {
            let headers: Vec<(String, String)> = response
                .headers()
                .entries()
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
                .collect();
            Ok(json!({ "status": response.status(), "headers": headers }).to_string())
        }
        Some(Ok(Err(code))) => Err(error(ErrorKind::Transient, "hostile.http", format!("{code:?}"))),
        Some(Err(())) | None => Err(error(ErrorKind::Internal, "hostile.http", "no answer")),
    }
}

/// Begins many requests at once, waits for the last, and says how many were refused by then.
fn flood(authority: &str) -> Result<String, Error> {
    let futures = (0..100).map(|_| begin(&Method::Get, authority, "")).collect::<Result<Vec<_>, _>>()?;
    if let Some(last) = futures.last() {
        last.subscribe().block();
    }
    let is_refused =
        |future: &&FutureIncomingResponse| future.subscribe().ready() && matches!(future.get(), Some(Ok(Err(_))));
    let refused = futures.iter().filter(is_refused).count();
    Ok(json!({ "refused": refused }).to_string())
}

/// Begins three requests at once and polls them together, again and again, as a connector may.
fn parallel(authority: &str, rounds: u64) -> Result<String, Error> {
    let mut answered = 0;
    for _ in 0..rounds {
        let mut open = (0..3).map(|_| begin(&Method::Get, authority, "")).collect::<Result<Vec<_>, _>>()?;
        while !open.is_empty() {
            let pollables: Vec<_> = open.iter().map(FutureIncomingResponse::subscribe).collect();
            let mut ready = poll(&pollables.iter().collect::<Vec<_>>());
            drop(pollables);
            ready.sort_unstable();
            // From the end, so that the places of the others stay.
            for place in ready.into_iter().rev() {
                match open.swap_remove(place as usize).get() {
                    Some(Ok(Ok(_))) => answered += 1,
                    other => return Err(error(ErrorKind::Transient, "hostile.http", format!("{other:?}"))),
                }
            }
        }
    }
    Ok(json!({ "answered": answered }).to_string())
}
