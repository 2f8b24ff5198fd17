//! What is asked for each record, several at a time.

use serde_json::Value;
use wherry_manifest::{Expand, OnMissing};
use wherry_sdk::http::{Answer, Pending};
use wherry_sdk::{Context, Error, Kind, Result, Writer};

use crate::Options;
use crate::request::{Plan, Rendered};
use crate::shape::{self, Shape};

/// Requests on their way at once: enough to hide the way, few enough for small systems.
const AT_ONCE: usize = 4;

/// Writes records after asking for more about each, in their order.
pub(crate) fn write(
    cx: &Context<Options>,
    plan: &Plan,
    expand: &Expand,
    shape: &Shape,
    records: &[&str],
    out: &mut Writer,
) -> Result<()> {
    for some in records.chunks(AT_ONCE) {
        cx.stop_if_asked()?;
        let pending: Vec<Result<Pending<'_>>> = some.iter().map(|record| ask(cx, plan, expand, record)).collect();
        for (record, pending) in some.iter().zip(pending) {
            let answer = pending.and_then(Pending::wait);
            join(expand, shape, record, answer, out)?;
        }
    }
    Ok(())
}

fn ask<'c>(cx: &'c Context<'_, Options>, plan: &Plan, expand: &Expand, record: &str) -> Result<Pending<'c>> {
    let value: Value = serde_json::from_str(record)
        .map_err(|_| Error::data("http.answer_unexpected", "a record of the answer is not JSON"))?;
    let key = Value::from(cx.key());
    let scope = plan.scope(Some(&value), &key);
    Rendered::of(plan.manifest, &expand.request, &scope, None)?.begin(cx).start()
}

fn join(expand: &Expand, shape: &Shape, record: &str, answer: Result<Answer>, out: &mut Writer) -> Result<()> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.kind == Kind::NotFound && expand.on_missing != OnMissing::Fail => {
            return missing(expand, shape, record, out);
        }
        Err(error) => return Err(error),
    };
    let Some(json) = answer.raw_json()? else { return missing(expand, shape, record, out) };
    match &expand.into {
        None => shape::records(json.get(), &expand.records)?.iter().try_for_each(|one| shape.write(one.get(), out)),
        Some(name) => match shape::at(json.get(), &expand.records)? {
            Some(found) => shape.write(&shape::with_field(record, name, found)?, out),
            None => missing(expand, shape, record, out),
        },
    }
}

fn missing(expand: &Expand, shape: &Shape, record: &str, out: &mut Writer) -> Result<()> {
    match expand.on_missing {
        OnMissing::Skip => Ok(()),
        OnMissing::Keep => shape.write(record, out),
        OnMissing::Fail => {
            let message = "the system has nothing more about a record; check expand, or say on_missing: keep or skip";
            Err(Error::data("http.records_missing", message))
        }
    }
}
