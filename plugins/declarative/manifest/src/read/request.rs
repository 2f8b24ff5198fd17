//! Requests.

use super::node::{Allowed, Entries, Node};
use crate::model::{Body, Method, Request};
use crate::template::{JsonTemplate, Template};

/// Query parameters, headers or fields of a form of one request.
const PAIRS: usize = 100;
/// Headers that are not the connector's: they carry credentials, or say what the host says.
const RESERVED: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
];

const KEYS: [&str; 7] = ["method", "path", "query", "headers", "json", "form", "idempotency_header"];

/// A request.
pub(super) fn request(node: &Node<'_, '_>, allowed: Allowed<'_>, default: Method) -> Option<Request> {
    let entries = node.entries("a request", &KEYS, &["path"])?;
    let methods = [
        ("GET", Method::Get),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
    ];
    let method = entries.get("method").map_or(Some(default), |node| node.choice(&methods));
    let path = entries.get("path").and_then(|node| path(&node, allowed));
    let query = pairs(entries.get("query"), |node| node.json(allowed));
    let headers = headers(entries.get("headers"), allowed);
    let body = body(&entries, allowed);
    if method == Some(Method::Get) && body != Body::None {
        entries.fault("a GET request has no body; write method: POST, or use query");
    }
    let idempotency_header = entries.get("idempotency_header").and_then(|node| own_header(&node));
    Some(Request { method: method?, path: path?, query, headers, body, idempotency_header })
}

/// A path with gaps, that stays where it is.
fn path(node: &Node<'_, '_>, allowed: Allowed<'_>) -> Option<Template> {
    let template = node.template(allowed)?;
    template.texts().for_each(|text| check_path(node, text));
    Some(template)
}

/// Refuses texts that would lead elsewhere.
pub(super) fn check_path(node: &Node<'_, '_>, text: &str) {
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '#' | '?');
    if text.contains(bad) {
        node.fault("a path has no white space, backslash, # or ?; parameters belong into query");
    } else if text.contains("//") || text.split('/').any(is_dots) {
        node.fault("a path has no //, . or .. in it: it would lead elsewhere");
    }
}

/// Headers of a request.
pub(super) fn headers(node: Option<Node<'_, '_>>, allowed: Allowed<'_>) -> Vec<(String, Template)> {
    let Some(node) = node else { return vec![] };
    let read = node.pairs(PAIRS).into_iter().filter_map(|(name, node)| {
        check_header(&node, &name);
        let template = node.template(allowed)?;
        if template.texts().any(|text| text.chars().any(char::is_control)) {
            node.fault("a header has no line breaks or control characters");
        }
        Some((name.to_ascii_lowercase(), template))
    });
    read.collect()
}

/// The name of a header that a manifest may set.
fn own_header(node: &Node<'_, '_>) -> Option<String> {
    let name = node.header()?;
    check_header(node, &name);
    Some(name)
}

fn check_header(node: &Node<'_, '_>, name: &str) {
    let proper = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !proper {
        node.fault("this is no name of a header");
    } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        node.fault(format!(
            "{name} is not set by connectors: the agent adds credentials and what belongs to the connection"
        ));
    }
}

fn body(entries: &Entries<'_, '_>, allowed: Allowed<'_>) -> Body {
    let json = entries.get("json");
    let form = entries.get("form");
    if json.is_some() && form.is_some() {
        entries.fault("a request has json or form, not both");
    }
    if let Some(json) = json {
        return json.json(allowed).map_or(Body::None, Body::Json);
    }
    match form {
        Some(form) => Body::Form(pairs(Some(form), |node| node.json(allowed))),
        None => Body::None,
    }
}

/// Names with values that may be lists, but no maps.
fn pairs(
    node: Option<Node<'_, '_>>,
    read: impl Fn(&Node<'_, '_>) -> Option<JsonTemplate>,
) -> Vec<(String, JsonTemplate)> {
    let Some(node) = node else { return vec![] };
    let read = node.pairs(PAIRS).into_iter().filter_map(|(name, node)| {
        if node.value.is_object() {
            node.fault("this is a text, a number, true or false, or a list of them");
        }
        Some((name, read(&node)?))
    });
    read.collect()
}
