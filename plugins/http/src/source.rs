//! The sources: `query` reads page after page, `execute` makes one request.

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use wherry_sdk::json::Json;
use wherry_sdk::{Context, Done, Pages, Result, Writer, info};

use crate::config::{Execute, Options, Query};
use crate::request;

/// Reads all pages; gives what happened.
pub(crate) fn query(cx: &Context<Options>, params: Query, out: &mut Writer) -> Result<Done> {
    let query = request::pairs(&params.query)?;
    let headers = params.headers.iter().map(|(name, value)| (&**name, &**value));
    let make = || {
        let request = request::begin(cx.http(), params.method.into(), &params.path, &query);
        request::finish(request, headers.clone(), params.body.as_ref())
    };
    // Pages are as large as the parameters ask for, and a retry repeats none that arrived.
    out.batch_at_least(0);
    let pages = Pages::of(cx, params.paging.walk().max_pages(params.max_pages), make)?;
    let summary = pages.records(params.records.as_deref().unwrap_or_default()).write_to(out)?;
    if !summary.complete {
        info!(cx, "max_pages ended the query; the system has more");
    }
    Ok(Done::with(summary))
}

/// Makes one request; the answer is the only record.
pub(crate) fn execute(cx: &Context<Options>, params: Execute, out: &mut Writer) -> Result<Done> {
    let key = cx.key();
    let key = params.idempotency_header.as_deref().map(|name| (name, &*key));
    let headers = params.headers.iter().map(|(name, value)| (&**name, &**value)).chain(key);
    let request = request::begin(cx.http(), params.method, &params.path, &request::pairs(&params.query)?);
    let request = request::finish(request, headers, params.body.as_ref()).build()?;
    if cx.is_dry_run() {
        return Ok(Done::with(json!({ "dry_run": true })));
    }
    let answer = cx.http().start(request)?.wait()?;
    let body = if answer.body().is_empty() { None } else { answer.raw_json()? };
    out.push(&Record { status: answer.status(), body: body.unwrap_or(Json::of(RawValue::NULL)) })?;
    Ok(Done::with(json!({ "status": answer.status() })))
}

/// As [`crate::config::Executed`] describes it; the body stays as it was written.
#[derive(Serialize)]
struct Record<'a> {
    status: u16,
    body: Json<'a>,
}
