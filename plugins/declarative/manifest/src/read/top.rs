//! The manifest as a whole.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::{Allowed, Entries, Node};
use super::{activity, errors, request, schema};
use crate::FORM;
use crate::fields::Fields;
use crate::model::{Limits, Manifest, Method, Scheme, Test};

const KEYS: [&str; 14] = [
    "manifest",
    "name",
    "version",
    "title",
    "description",
    "license",
    "base_path",
    "auth",
    "options",
    "headers",
    "test",
    "activities",
    "errors",
    "rate_limit",
];
/// The methods of the host.
const METHODS: [&str; 10] =
    ["none", "basic", "bearer", "api_key", "oauth1", "oauth2", "login_token", "crowd", "soap_header", "auto"];
/// As many as a release has.
const ACTIVITIES: usize = 256;
/// As many as a release has.
const SCHEMES: usize = 32;
/// Bytes of an answer that the engine takes, unless the manifest says less or more.
const ANSWER: u64 = 10 << 20;
/// More does not fit into a connector's memory together with what is made of it.
const MOST_ANSWER: u64 = 16 << 20;

/// Reads a manifest.
pub(super) fn manifest(node: &Node<'_, '_>) -> Option<Manifest> {
    let known: Vec<&str> = KEYS.into_iter().chain(["limits"]).collect();
    let required = ["manifest", "name", "version", "title", "test", "activities"];
    let entries = node.entries("a manifest", &known, &required)?;
    if let Some(form) = entries.get("manifest") {
        form.count(FORM, FORM);
    }
    let name = entries.get("name").and_then(|node| name(&node));
    let version = entries.get("version").and_then(|node| version(&node));
    let title = entries.get("title").and_then(|node| node.word());
    let (description, license) = (entries.text("description"), entries.text("license"));
    let base_path = entries.get("base_path").map_or(Some(String::new()), |node| base_path(&node));
    let auth = auth(entries.get("auth"));
    let options = schema::fields(entries.get("options"));
    let connection = Allowed { params: None, options: &options, record: false };
    let headers = request::headers(entries.get("headers"), connection);
    let test = entries.get("test").and_then(|node| test(&node, connection));
    let activities = activities(entries.get("activities"), &options, name.as_deref().unwrap_or("name"));
    let errors = errors::errors(entries.get("errors"), name.as_deref().unwrap_or("name"));
    let rate_limit = errors::rate_limit(entries.get("rate_limit"));
    let limits = limits(entries.get("limits"));
    Some(Manifest {
        name: name?,
        version: version?,
        title: title?,
        description,
        license,
        base_path: base_path?,
        auth,
        options,
        headers,
        test: test?,
        activities,
        errors,
        rate_limit,
        limits,
    })
}

fn name(node: &Node<'_, '_>) -> Option<String> {
    let name = node.text()?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let proper = (1..=63).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('-');
    if !proper {
        node.fault("a name has 1 to 63 lower-case letters, digits and hyphens");
    }
    proper.then_some(name)
}

fn version(node: &Node<'_, '_>) -> Option<String> {
    let given = node.text()?;
    match semver::Version::parse(&given) {
        Ok(_) => Some(given),
        Err(error) => {
            node.fault(format!("a version is like 1.4.2: {error}"));
            None
        }
    }
}

fn base_path(node: &Node<'_, '_>) -> Option<String> {
    let path = node.text()?;
    request::check_path(node, &path);
    if path.contains(['{', '}']) {
        node.fault("a base path has no gaps; put them into the paths");
    }
    if !path.is_empty() && !path.starts_with('/') {
        node.fault("a base path begins with /");
    }
    Some(path.trim_end_matches('/').to_owned())
}

/// Words, or maps with a `type`.
fn auth(node: Option<Node<'_, '_>>) -> Vec<Scheme> {
    let Some(node) = node else { return vec![] };
    let read = node.list(SCHEMES).into_iter().filter_map(|node| {
        let words = METHODS.map(|method| (method, method));
        if node.value.is_string() {
            let method = node.choice(&words)?.to_owned();
            return Some(Scheme { id: method.clone(), method, settings: serde_json::Map::new() });
        }
        let Some(settings) = node.value.as_object() else {
            node.fault("a way to authenticate is a word, or a map with id and type");
            return None;
        };
        let given = |key: &str| node_of(&node, key);
        let method = given("type")?.choice(&words)?.to_owned();
        let id = given("id").and_then(|node| node.word()).unwrap_or_else(|| method.clone());
        let secret = ["password", "token", "key", "secret", "client_secret"];
        if let Some(key) = secret.iter().find(|key| settings.contains_key(**key)) {
            node.fault(format!("a manifest holds no secrets, and {key} is one; connections name them"));
        }
        let mut settings = settings.clone();
        settings.retain(|key, _| key != "id" && key != "type");
        Some(Scheme { id, method, settings })
    });
    read.collect()
}

/// The value under a key of a map with keys of any name.
fn node_of<'v, 'f>(node: &Node<'v, 'f>, key: &str) -> Option<Node<'v, 'f>> {
    let found = node.pairs(64).into_iter().find(|(name, _)| name == key).map(|(_, node)| node);
    if found.is_none() && key == "type" {
        node.fault("a way to authenticate needs its type, such as basic");
    }
    found
}

fn test(node: &Node<'_, '_>, connection: Allowed<'_>) -> Option<Test> {
    let entries = node.entries("a test", &["request", "expect", "report"], &["request"])?;
    let request = entries.get("request").and_then(|node| request::request(&node, connection, Method::Get))?;
    if request.method != Method::Get {
        entries.fault("a test of the connection asks with GET: it changes nothing");
    }
    let report = entries.get("report").map(|node| node.pairs(32)).unwrap_or_default();
    let report = report.into_iter().filter_map(|(name, node)| Some((name, node.word()?))).collect();
    Some(Test { request, expect: entries.json_path("expect"), report })
}

fn activities(node: Option<Node<'_, '_>>, options: &Fields, connector: &str) -> Vec<crate::Activity> {
    let Some(node) = node else { return vec![] };
    let elements = node.list(ACTIVITIES);
    if elements.is_empty() && node.value.is_array() {
        node.fault("a connector has one activity at least");
    }
    let mut names = BTreeSet::new();
    let read = elements.iter().filter_map(|element| {
        let named = element.value.get("name").and_then(Value::as_str);
        if named.is_some_and(|name| !names.insert(name)) {
            element.fault("there is an activity of this name already");
        }
        activity::activity(element, options, connector)
    });
    read.collect()
}

fn limits(node: Option<Node<'_, '_>>) -> Limits {
    let keys = ["pages", "answer_bytes"];
    let entries = node.and_then(|node| node.entries("limits", &keys, &[]));
    let count =
        |key: &str, most| entries.as_ref().and_then(|entries: &Entries<'_, '_>| entries.get(key)?.count(1, most));
    let answer = count("answer_bytes", MOST_ANSWER).unwrap_or(ANSWER);
    Limits { pages: count("pages", 100_000), answer_bytes: usize::try_from(answer).unwrap_or(usize::MAX) }
}
