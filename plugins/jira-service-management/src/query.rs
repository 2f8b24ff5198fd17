//! The source `query`: one table after the interface's own lists.

mod children;
mod fit;
mod list;
mod params;
mod table;
mod users;

use serde_json::value::RawValue;
use wherry_sdk::json::Json;
use wherry_sdk::prelude::*;
use wherry_sdk::{Pages, info};

use crate::Cx;
use list::List;
pub(crate) use params::Query;
use table::Reading;

/// Reads a table.
pub(crate) fn query(cx: &Cx<'_>, params: Query, out: &mut Writer<'_>) -> Result<Done> {
    let before = out.written();
    let table = params.table;
    let read = match table::reading(cx, &params)? {
        Reading::List(list) => whole(cx, &list, out),
        Reading::Children(children) => children.read(cx, out),
        Reading::Users(list) => users::read(cx, &list, out),
    };
    read.map_err(|error| blame(error, table.name()))?;
    let records = out.written() - before;
    info!(cx, "table read", table = table.name(), records = records);
    Ok(Done::with(json!({ "table": table, "records": records })))
}

/// What Jira refuses about a query is the fault of its parameters.
fn blame(error: Error, table: &str) -> Error {
    if error.kind != Kind::Data || !error.code.starts_with("jira.") {
        return error;
    }
    let message = format!("Jira refuses the query of {table}; see the details for its reason");
    Error { message, ..error.of_kind(Kind::Config).coded("jira.query_refused") }
}

/// Reads a list page by page.
fn whole(cx: &Cx<'_>, list: &List, out: &mut Writer<'_>) -> Result<()> {
    let mut pages = Pages::of(cx, list.paging.clone(), || list.request(cx))?.records(list.records);
    if list.parents.is_empty() {
        pages.write_to(out)?;
        return Ok(());
    }
    while let Some(page) = pages.next_page()? {
        page.records().try_for_each(|record| push_below(out, &list.parents, record))?;
        out.mark_json(page.bookmark())?;
    }
    Ok(())
}

/// Writes a record with the keys of its parents before its own.
fn push_below(out: &mut Writer<'_>, parents: &[(&'static str, String)], record: Json<'_>) -> Result<()> {
    let own = record.get().trim_start().strip_prefix('{').ok_or_else(|| {
        Error::data("http.answer_unexpected", "the answer has something that is no object where a record should be")
    })?;
    let mut joined = String::with_capacity(own.len() + 64);
    for (nth, (name, value)) in parents.iter().enumerate() {
        joined.push(if nth == 0 { '{' } else { ',' });
        joined.push_str(&format!("{}:{}", json!(name), json!(value)));
    }
    if !own.trim_start().starts_with('}') {
        joined.push(',');
    }
    joined.push_str(own);
    let joined = RawValue::from_string(joined).map_err(|error| {
        Error::new(Kind::Internal, "connector.record_invalid", format!("a record cannot be put together: {error}"))
    })?;
    out.push_raw(&joined)
}
