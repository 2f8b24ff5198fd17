//! Sources: pages of records, and single requests.

use serde_json::{Value, json};
use wherry_manifest::{Place, Walk, WalkStyle};
use wherry_sdk::{Context, Done, Error, Pages, Paging, Result, Writer, info};

use crate::request::Plan;
use crate::shape::{self, Shape};
use crate::{Options, embedded, expand};

/// Reads all pages; gives what happened.
pub(crate) fn query(cx: &Context<Options>, params: Value, out: &mut Writer) -> Result<Done> {
    let plan = Plan::of(cx, embedded::manifest()?, params)?;
    let activity = plan.activity;
    let key = Value::from(cx.key());
    let request = plan.render(None, &key)?;
    let walk = activity.paging.as_ref().map_or(Ok(Paging::single()), |walk| paging(walk, &plan, &key))?;
    let walk = walk.max_pages(plan.manifest.limits.pages);
    let shape = Shape::of(&activity.fields);
    let mut pages = Pages::of(cx, walk, || request.begin(cx))?.records(&activity.records);
    while let Some(page) = pages.next_page()? {
        let records: Vec<&str> = page.records().map(|record| record.get()).collect();
        match &activity.expand {
            Some(more) => expand::write(cx, &plan, more, &shape, &records, out)?,
            None => records.iter().try_for_each(|record| shape.write(record, out))?,
        }
        out.mark_json(page.bookmark())?;
    }
    let summary = pages.summary();
    if !summary.complete {
        info!(cx, "the manifest's limit of pages ended the query; the system has more");
    }
    Ok(Done::with(summary))
}

/// Makes one request; the answer is the record, or has them.
pub(crate) fn execute(cx: &Context<Options>, params: Value, out: &mut Writer) -> Result<Done> {
    let plan = Plan::of(cx, embedded::manifest()?, params)?;
    let request = plan.render(None, &Value::from(cx.key()))?.begin(cx);
    if cx.is_dry_run() {
        request.build()?;
        return Ok(Done::with(json!({ "dry_run": true })));
    }
    let answer = request.send()?;
    let shape = Shape::of(&plan.activity.fields);
    let body = if answer.body().is_empty() { None } else { answer.raw_json()? };
    if let Some(body) = body {
        let records = shape::records(body.get(), &plan.activity.records)?;
        records.iter().try_for_each(|record| shape.write(record.get(), out))?;
    }
    Ok(Done::with(json!({ "status": answer.status(), "records": out.written() })))
}

/// The same in the kit's words.
fn paging(walk: &Walk, plan: &Plan, key: &Value) -> Result<Paging> {
    let scope = plan.scope(None, key);
    let number = |count: &wherry_manifest::Count| {
        count.get(&scope).ok_or_else(|| {
            Error::config("connector.params_invalid", "the size of a page must be a whole number from 1 on")
        })
    };
    let paging = match &walk.style {
        WalkStyle::Page { parameter, start, size_parameter, size } => {
            let paging = Paging::page(parameter).starting_at(*start);
            match (size_parameter, size.as_ref().map(number).transpose()?) {
                (Some(name), Some(size)) => paging.size(name, size),
                (None, Some(size)) => paging.full_at(size),
                (_, None) => paging,
            }
        }
        WalkStyle::Offset { parameter, size_parameter, size } => {
            Paging::offset(parameter, size_parameter, number(size)?)
        }
        WalkStyle::Cursor { parameter, field } => Paging::cursor(parameter, field),
        WalkStyle::Token { parameter, from } => Paging::token(parameter, from),
        WalkStyle::TokenHeader { parameter, header } => Paging::token_header(parameter, header),
        WalkStyle::LinkHeader => Paging::link_header(),
        WalkStyle::Next { from } => Paging::link(from),
    };
    let paging = walk.last_at.as_deref().into_iter().fold(paging, Paging::last_at);
    let paging = walk.total_at.as_deref().into_iter().fold(paging, Paging::total_at);
    Ok(match walk.place {
        Place::Query => paging,
        Place::Body => paging.in_body(),
    })
}
