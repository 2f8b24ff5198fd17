//! One activity.

use super::node::{Allowed, Entries, Node};
use super::{errors, paging, request, schema};
use crate::fields::Fields;
use crate::model::{Activity, Body, Expand, Kind, Method, OnMissing, Request, SideEffects};
use crate::template::{Gap, Root};

const KEYS: [&str; 16] = [
    "name",
    "title",
    "description",
    "kind",
    "side_effects",
    "parameters",
    "request",
    "records",
    "fields",
    "paging",
    "expand",
    "id",
    "parallel",
    "input",
    "output",
    "errors",
];
/// Fields of a record.
const FIELDS: usize = 500;

/// Reads an activity.
pub(super) fn activity(node: &Node<'_, '_>, options: &Fields, connector: &str) -> Option<Activity> {
    let entries = node.entries("an activity", &KEYS, &["name", "kind", "side_effects", "request"])?;
    let name = entries.get("name").and_then(|node| name(&node));
    let kinds = [("source", Kind::Source), ("target", Kind::Target), ("execute", Kind::Execute)];
    let kind = entries.get("kind").and_then(|node| node.choice(&kinds));
    let effects = [
        ("read", SideEffects::Read),
        ("idempotent", SideEffects::Idempotent),
        ("keyed", SideEffects::Keyed),
        ("unsafe", SideEffects::Unsafe),
    ];
    let side_effects = entries.get("side_effects").and_then(|node| node.choice(&effects));
    let parameters = schema::fields(entries.get("parameters"));
    let allowed = Allowed { params: Some(&parameters), options, record: kind == Some(Kind::Target) };
    let default = if kind == Some(Kind::Source) { Method::Get } else { Method::Post };
    let request = entries.get("request").and_then(|node| request::request(&node, allowed, default));
    let paging = entries.get("paging").and_then(|node| paging::paging(&node, allowed));
    let expand = entries.get("expand").and_then(|node| expand(&node, Allowed { record: true, ..allowed }));
    let fields = fields(&entries);
    let rules = errors::rules(entries.get("errors"), connector);
    let (records, id) = (entries.json_path("records").unwrap_or_default(), entries.json_path("id"));
    let parallel = entries.get("parallel").map_or(Some(1), |node| node.count(1, 64));
    let (input, output) = (entries.get("input"), entries.get("output"));
    let (input, output) = (input.and_then(schema::records), output.and_then(schema::records));
    let (title, description) = (entries.text("title"), entries.text("description"));
    let (name, kind, side_effects, request, parallel) = (name?, kind?, side_effects?, request?, parallel?);
    check_kind(&entries, kind);
    check_effects(&entries, kind, side_effects, &request, parallel);
    Some(Activity {
        name,
        title,
        description,
        kind,
        side_effects,
        parameters,
        request,
        records,
        fields,
        paging,
        expand,
        id,
        parallel,
        rules,
        input,
        output,
    })
}

fn name(node: &Node<'_, '_>) -> Option<String> {
    let name = node.text()?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    let proper = name.len() <= 64 && name.split('.').all(|word| !word.is_empty() && word.bytes().all(allowed));
    if !proper {
        node.fault("a name is dotted words of lower-case letters, digits, _ and -, such as ticket.query");
    }
    proper.then_some(name)
}

fn fields(entries: &Entries<'_, '_>) -> Vec<(String, String)> {
    let Some(node) = entries.get("fields") else { return vec![] };
    node.pairs(FIELDS).into_iter().filter_map(|(name, node)| Some((name, node.word()?))).collect()
}

fn expand(node: &Node<'_, '_>, allowed: Allowed<'_>) -> Option<Expand> {
    let entries = node.entries("expand", &["request", "records", "into", "on_missing"], &["request"])?;
    let request = entries.get("request").and_then(|node| request::request(&node, allowed, Method::Get));
    let missing = [("fail", OnMissing::Fail), ("skip", OnMissing::Skip), ("keep", OnMissing::Keep)];
    let on_missing = entries.get("on_missing").map_or(Some(OnMissing::Fail), |node| node.choice(&missing));
    let into = entries.get("into").and_then(|node| node.word());
    let records = entries.json_path("records").unwrap_or_default();
    let request = request?;
    if !matches!(request.method, Method::Get | Method::Post) {
        entries.fault("what is asked for each record is a GET, or a POST of a search");
    }
    Some(Expand { request, records, into, on_missing: on_missing? })
}

/// Refuses what an activity of this kind has no use for.
fn check_kind(entries: &Entries<'_, '_>, kind: Kind) {
    let (what, useless): (&str, &[&str]) = match kind {
        Kind::Source => ("a source", &["id", "parallel", "input"]),
        Kind::Target => ("a target", &["records", "fields", "paging", "expand", "output"]),
        Kind::Execute => ("an activity of kind execute", &["paging", "expand", "id", "parallel", "input"]),
    };
    for key in useless {
        if let Some(node) = entries.get(key) {
            node.fault(format!("{what} has no {key}"));
        }
    }
}

/// Refuses promises that the requests cannot keep.
fn check_effects(entries: &Entries<'_, '_>, kind: Kind, effects: SideEffects, request: &Request, parallel: u64) {
    let said = |message: &str| match entries.get("side_effects") {
        Some(node) => node.fault(message),
        None => entries.fault(message),
    };
    let changes = matches!(request.method, Method::Put | Method::Patch | Method::Delete);
    if effects == SideEffects::Read && (changes || kind == Kind::Target) {
        said("this changes something: say idempotent, keyed or unsafe");
    }
    if kind == Kind::Source && changes {
        said("a source asks with GET, or POST for searches; make it of kind execute");
    }
    if effects == SideEffects::Keyed && !carries_key(request) {
        said("keyed needs an idempotency_header, or {{ key }} somewhere in the request");
    }
    if parallel > 1 && carries_key(request) {
        entries.fault("instances that share their input have no stable keys: leave out parallel, or the key");
    }
}

fn carries_key(request: &Request) -> bool {
    let is_key = |gap: &Gap| gap.root == Root::Key;
    let bodies = match &request.body {
        Body::None => vec![],
        Body::Json(json) => json.gaps(),
        Body::Form(pairs) => pairs.iter().flat_map(|(_, value)| value.gaps()).collect(),
    };
    request.idempotency_header.is_some()
        || request.path.gaps().any(is_key)
        || request.headers.iter().any(|(_, value)| value.gaps().any(is_key))
        || request.query.iter().any(|(_, value)| value.gaps().into_iter().any(is_key))
        || bodies.into_iter().any(is_key)
}
