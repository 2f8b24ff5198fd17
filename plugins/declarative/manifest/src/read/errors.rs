//! What refusals mean, and where the system says how long to wait.

use super::node::Node;
use crate::model::{Errors, RateLimit, Reset, Rule, Sort, Statuses};

/// Rules of one manifest.
const RULES: usize = 100;
/// The longest wait: what an agent takes from a system.
const DAY: u64 = 86_400;

const SORTS: [(&str, Sort); 8] = [
    ("config", Sort::Config),
    ("auth", Sort::Auth),
    ("forbidden", Sort::Forbidden),
    ("not_found", Sort::NotFound),
    ("throttled", Sort::Throttled),
    ("transient", Sort::Transient),
    ("data", Sort::Data),
    ("unsupported", Sort::Unsupported),
];

/// What refusals mean; `name` begins their codes.
pub(super) fn errors(node: Option<Node<'_, '_>>, name: &str) -> Errors {
    let entries = node.and_then(|node| node.entries("errors", &["message_at", "rules"], &[]));
    let Some(entries) = entries else { return Errors::default() };
    let rules = rules(entries.get("rules"), name);
    for rule in entries.get("rules").iter().flat_map(|node| node.list(RULES)) {
        let is_good = rule.value.get("status").is_some_and(|status| {
            status == "any" || status == "2xx" || status.as_u64().is_some_and(|status| status < 300)
        });
        if is_good && rule.value.get("at").is_none() {
            rule.fault("a rule for good answers of all activities needs at, or it belongs to one activity: records contain anything");
        }
    }
    Errors { message_at: entries.json_path("message_at"), rules }
}

/// Rules; `name` begins their codes.
pub(super) fn rules(node: Option<Node<'_, '_>>, name: &str) -> Vec<Rule> {
    let rules = node.map(|node| node.list(RULES)).unwrap_or_default();
    rules.iter().filter_map(|node| rule(node, name)).collect()
}

fn rule(node: &Node<'_, '_>, name: &str) -> Option<Rule> {
    let keys = ["status", "at", "equals", "contains", "kind", "code", "message", "retry_after"];
    let entries = node.entries("a rule", &keys, &["status", "kind", "code", "message"])?;
    let statuses = entries.get("status").and_then(|node| statuses(&node));
    let kind = entries.get("kind").and_then(|node| node.choice(&SORTS));
    let code = entries.get("code").and_then(|node| code(&node, name));
    let message = entries.get("message").and_then(|node| node.word());
    let at = entries.json_path("at");
    let equals = entries.get("equals");
    if let (Some(equals), None) = (&equals, &at) {
        equals.fault("equals needs at: where in the body the value stands");
    }
    let contains = entries.get("contains").and_then(|node| node.word());
    if statuses.is_some_and(|statuses| statuses.from < 300) && at.is_none() && contains.is_none() {
        entries.fault("a rule for a status below 300 needs at or contains: the status alone means success");
    }
    let equals = equals.map(|node| node.value.clone());
    let retry_after = entries.get("retry_after").and_then(|node| node.count(0, DAY));
    let (statuses, kind, code, message) = (statuses?, kind?, code?, message?);
    Some(Rule { statuses, at, equals, contains, kind, code, message, retry_after })
}

/// `404`, `"4xx"` or `any`.
fn statuses(node: &Node<'_, '_>) -> Option<Statuses> {
    let text = node.value.as_str().unwrap_or_default();
    let hundreds = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok()).filter(|h| (2..=5).contains(h));
    if let Some(hundreds) = hundreds {
        return Some(Statuses { from: hundreds * 100, to: hundreds * 100 + 99 });
    }
    if text == "any" {
        return Some(Statuses { from: 200, to: 599 });
    }
    match node.value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|s| (200..=599).contains(s)) {
        Some(status) => Some(Statuses { from: status, to: status }),
        None => {
            node.fault("status is a number from 200 to 599, or 2xx, 3xx, 4xx, 5xx, or any");
            None
        }
    }
}

/// `ticket_missing` becomes `request-tracker.ticket_missing`.
fn code(node: &Node<'_, '_>, name: &str) -> Option<String> {
    let code = node.text()?;
    let proper = !code.is_empty()
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    if !proper {
        node.fault("a code has lower-case letters, digits, _ and -, such as ticket_missing; the name stands before it");
        return None;
    }
    let code = format!("{name}.{code}");
    if code.len() > 64 {
        node.fault("name and code have 64 characters at most");
    }
    Some(code)
}

/// Headers of rate limits.
pub(super) fn rate_limit(node: Option<Node<'_, '_>>) -> RateLimit {
    let keys = ["remaining", "reset", "reset_is"];
    let entries = node.and_then(|node| node.entries("rate_limit", &keys, &[]));
    let Some(entries) = entries else { return RateLimit::default() };
    let remaining = entries.get("remaining").and_then(|node| node.header());
    let resets = [("seconds", Reset::Seconds), ("time", Reset::Time)];
    let reset_is = entries.get("reset_is").map_or(Some(Reset::Seconds), |node| node.choice(&resets));
    let reset = entries.get("reset").and_then(|node| Some((node.header()?, reset_is?)));
    RateLimit { remaining, reset }
}
