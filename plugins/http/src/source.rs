//! The sources: `query` reads page after page, `execute` makes one request.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::bindings::wherry::connector::invocations::Invocation;
use crate::bindings::wherry::connector::rows::Writer;
use crate::bindings::wherry::connector::telemetry::{self, Level};
use crate::bindings::wherry::connector::types::{Batch, Error};
use crate::config::{self, Execute, Query};
use crate::failure::{Failure, Kind};
use crate::link;
use crate::paging::{Pager, Paging, Seen};
use crate::path::JsonPath;
use crate::records::{self, Lines};
use crate::url::Base;
use crate::{plan, wire};

/// Reads all pages; gives what happened.
pub(crate) fn query(base: &Base, inv: &Invocation, output: &Writer) -> Result<Value, Error> {
    let params: Query = config::params(&inv.params())?;
    let path = params.records.as_deref().map(JsonPath::parse);
    let mut pager = Pager::new(params.paging.clone(), params.max_pages, inv.cursor().as_deref())?;
    let mut total = 0;
    while let Some(position) = pager.next() {
        stop_if_asked(inv)?;
        let request = plan::page(base, &params, &pager, position)?;
        let answer = wire::exchange(&request)?;
        answer.check_status(wire::now())?;
        let json = answer.json()?;
        let found = json.map(|json| records::find(json, path.as_ref())).transpose()?.unwrap_or_default();
        pager.note(&seen(&params.paging, &answer, json, found.len() as u64))?;
        write_page(output, records::pack(&found)?, &pager.bookmark())?;
        total += found.len() as u64;
    }
    if pager.is_cut() {
        telemetry::log(Level::Info, "max_pages ended the query; the system has more", None);
    }
    Ok(json!({ "records": total, "pages": pager.pages(), "complete": !pager.is_cut() }))
}

fn seen(paging: &Paging, answer: &Answer, json: Option<&RawValue>, records: u64) -> Seen {
    let found = |path: &str| json.and_then(|json| JsonPath::parse(path).find_token(json));
    let (token, link) = match paging {
        Paging::None | Paging::Page(_) | Paging::Offset(_) => (None, None),
        Paging::Cursor(cursor) => (found(&cursor.from), None),
        Paging::Link(from) => match &from.from {
            Some(path) => (None, found(path).and_then(|link| link.as_str().map(str::to_owned))),
            None => (None, answer.link.as_deref().and_then(link::next).map(str::to_owned)),
        },
    };
    Seen { records, token, link }
}

/// The bookmark travels with the last records of the page, so that a retry neither misses nor repeats a page.
fn write_page(output: &Writer, batches: Vec<Lines>, bookmark: &str) -> Result<(), Error> {
    let last = batches.len().saturating_sub(1);
    for (at, Lines { count, data }) in batches.into_iter().enumerate() {
        let cursor = (at == last).then_some(bookmark);
        output.write(&Batch { count, data }, cursor)?;
    }
    Ok(())
}

/// Makes one request; the answer is the only record.
pub(crate) fn execute(base: &Base, inv: &Invocation, output: &Writer) -> Result<Value, Error> {
    let params: Execute = config::params(&inv.params())?;
    let request = plan::execute(base, &params, &inv.key())?;
    if inv.dry_run() {
        return Ok(json!({ "dry_run": true }));
    }
    let answer = wire::exchange(&request)?;
    answer.check_status(wire::now())?;
    let body = if answer.body.is_empty() { "null" } else { answer.json()?.map_or("null", RawValue::get) };
    let record = format!("{{\"status\":{},\"body\":{body}}}", answer.status);
    let record = RawValue::from_string(record).map_err(|error| {
        Failure::new(Kind::Data, "http.not_json", format!("the answer cannot be made a record: {error}"))
    })?;
    for Lines { count, data } in records::pack(&[&record])? {
        output.write(&Batch { count, data }, None)?;
    }
    Ok(json!({ "status": answer.status }))
}

/// Ends the work between two requests if the host asks for it.
pub(crate) fn stop_if_asked(inv: &Invocation) -> Result<(), Failure> {
    if inv.cancelled() {
        return Err(Failure::new(Kind::Cancelled, "http.cancelled", "stopped because the host asked for it"));
    }
    Ok(())
}
