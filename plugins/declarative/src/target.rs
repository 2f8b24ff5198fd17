//! Targets: one request for each record.

use serde_json::{Value, json};
use wherry_sdk::{Context, Done, Error, Kind, Reader, Record, Result};

use crate::request::Plan;
use crate::{Options, embedded, shape};

/// Ids that the result names: it is a small document.
const IDS: usize = 1_000;
/// Characters of an id; what is longer is none that anybody would look up.
const ID_LENGTH: usize = 128;

/// Sends all records; gives what happened.
pub(crate) fn send(cx: &Context<Options>, params: Value, input: &mut Reader) -> Result<Done> {
    let plan = Plan::of(cx, embedded::manifest()?, params)?;
    let dry_run = cx.is_dry_run();
    let mut ids = Vec::new();
    let handled = input.each(cx, |record| {
        let made = send_one(cx, &plan, &record, dry_run)?;
        ids.extend(made.filter(|_| ids.len() < IDS));
        Ok(())
    })?;
    let mut output = json!({ "records": handled.records, "rejected": handled.rejected, "dry_run": dry_run });
    if let (Value::Object(fields), Some(_)) = (&mut output, &plan.activity.id) {
        fields.insert("ids".to_owned(), ids.into());
    }
    Ok(Done::with(output))
}

/// Sends a record; gives the id of what was made.
fn send_one(cx: &Context<Options>, plan: &Plan, record: &Record<'_>, dry_run: bool) -> Result<Option<Value>> {
    let value = record.value()?;
    let key = Value::from(record.key());
    let request = plan.render(Some((&value, record)), &key)?.begin(cx).build().map_err(astray)?;
    if dry_run {
        return Ok(None);
    }
    let pending = cx.http().start(request)?;
    let Some(path) = &plan.activity.id else {
        pending.hand_over()?.refuse_page()?;
        return Ok(None);
    };
    let answer = pending.wait()?;
    answer.refuse_page()?;
    // The system has the record: an answer without an id takes nothing back.
    let text = answer.text();
    let id = shape::at(&text, path).ok().flatten().and_then(wherry_sdk::json::token);
    Ok(id.filter(|id| id.as_str().is_none_or(|text| text.len() <= ID_LENGTH)))
}

/// A record that leads its path astray, or breaks a header, is the record's fault.
fn astray(error: Error) -> Error {
    let of_record = matches!(&*error.code, "http.path_invalid" | "http.header_invalid");
    if of_record { error.of_kind(Kind::Data) } else { error }
}
