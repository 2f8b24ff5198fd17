//! The target: one request for each record.

use serde_json::{Value, json};
use wherry_sdk::http::{Method, Request};
use wherry_sdk::{Context, Done, Error, Kind, Reader, Record, Result};

use crate::config::{Options, Send};
use crate::request;
use crate::template::{JsonTemplate, Template};

/// Sends all records; gives what happened.
pub(crate) fn send(cx: &Context<Options>, params: Send<Option<String>>, input: &mut Reader) -> Result<Done> {
    let key = params.idempotency_header.clone();
    send_all(cx, &Plan::new(&params, key)?, input)
}

/// The same to a system that recognises repetitions, so the header that makes it true is not optional.
pub(crate) fn send_keyed(cx: &Context<Options>, params: Send<String>, input: &mut Reader) -> Result<Done> {
    let key = Some(params.idempotency_header.clone());
    send_all(cx, &Plan::new(&params, key)?, input)
}

fn send_all(cx: &Context<Options>, plan: &Plan, input: &mut Reader) -> Result<Done> {
    let dry_run = cx.is_dry_run();
    let handled = input.each(cx, |record| {
        let request = plan.request(cx, &record)?;
        if dry_run {
            return Ok(());
        }
        cx.http().start(request)?.hand_over()?.refuse_page()
    })?;
    Ok(Done::with(json!({ "records": handled.records, "rejected": handled.rejected, "dry_run": dry_run })))
}

/// The parameters of `send`, read once for all records.
struct Plan {
    method: Method,
    path: Template,
    query: Vec<(String, JsonTemplate)>,
    headers: Vec<(String, Template)>,
    body: Option<JsonTemplate>,
    idempotency_header: Option<String>,
}

impl Plan {
    fn new<K>(params: &Send<K>, idempotency_header: Option<String>) -> Result<Self> {
        let query = |(name, value): (&String, &Value)| Ok((name.clone(), JsonTemplate::parse(value)?));
        let header = |(name, value): (&String, &String)| Ok((name.clone(), Template::parse(value)?));
        Ok(Self {
            method: params.method,
            path: Template::parse(&params.path)?,
            query: params.query.iter().map(query).collect::<Result<_>>()?,
            headers: params.headers.iter().map(header).collect::<Result<_>>()?,
            body: params.body.as_ref().map(JsonTemplate::parse).transpose()?,
            idempotency_header,
        })
    }

    /// The request for one record.
    fn request(&self, cx: &Context<Options>, record: &Record<'_>) -> Result<Request> {
        let value = record.value()?;
        let query = self.query.iter().map(|(name, template)| (name.clone(), template.render(&value))).collect();
        let path = self.path.render_path(&value)?;
        let query = request::pairs(&query).map_err(|error| error.of_kind(Kind::Data))?;
        let request = request::begin(cx.http(), self.method, &path, &query);
        let rendered = |(name, template): &(String, Template)| Some((name.clone(), template.render(&value)?));
        let mut headers: Vec<(String, String)> = self.headers.iter().filter_map(rendered).collect();
        let body = self.body.as_ref().map(|body| body.render(&value));
        let request = match body {
            None if !matches!(self.method, Method::Get | Method::Delete) => {
                request.bytes("application/json", record.json())
            }
            Some(_) | None => request,
        };
        headers.extend(self.idempotency_header.clone().map(|name| (name, record.key())));
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        request::finish(request, headers, body.as_ref()).build().map_err(astray)
    }
}

/// A record that leads its path astray is the record's fault.
fn astray(error: Error) -> Error {
    if error.code == "http.path_invalid" { error.of_kind(Kind::Data) } else { error }
}
