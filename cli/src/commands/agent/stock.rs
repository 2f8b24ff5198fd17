//! What an agent has of the connectors it should have, in lines for people.

use serde_json::{Value, json};

/// Characters of a digest that are shown of a component without a name: the kind and as much as tells two apart.
const SHORT: usize = 19;

/// The agent with one line for each connector, each environment whose lock it does not follow yet, and each component on
/// its disk.
pub(super) fn in_words(mut agent: Value) -> Value {
    let stocks = agent.get("stock").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines: Vec<String> = stocks.iter().flat_map(lines).collect();
    let on_disk = on_disk(&agent);
    for (key, lines) in [("stock_lines", lines), ("on_disk", on_disk)] {
        if let Some(fields) = agent.as_object_mut().filter(|_| !lines.is_empty()) {
            fields.insert(key.to_owned(), json!(lines));
        }
    }
    agent
}

/// What is on its disk, by name and version; an older controller gives digests alone.
fn on_disk(agent: &Value) -> Vec<String> {
    let listed = |key: &str| agent.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let short = |digest: &str| format!("{}...", digest.chars().take(SHORT).collect::<String>());
    let components = listed("components");
    if components.is_empty() {
        return listed("connectors").iter().filter_map(Value::as_str).map(short).collect();
    }
    let line = |one: &Value| match (text(one, "connector"), text(one, "version")) {
        (name, _) if name.is_empty() => format!("{} (not published here)", short(&text(one, "digest"))),
        (name, version) => format!("{name} {version}"),
    };
    components.iter().map(line).collect()
}

/// What an agent that is away should have: nobody knows what it has.
fn away(stock: &Value) -> String {
    let wanted = stock.get("wanted").and_then(Value::as_array).into_iter().flatten();
    let wanted = wanted.map(|one| {
        let canary = one.get("on_trial").and_then(Value::as_bool).unwrap_or_default();
        format!("{} {}{}", text(one, "connector"), text(one, "version"), if canary { " (canary)" } else { "" })
    });
    let wanted: Vec<String> = wanted.collect();
    let wanted = if wanted.is_empty() { "nothing".to_owned() } else { wanted.join(", ") };
    format!("{}: away, so what it has is not known; it should have {wanted}", text(stock, "environment"))
}

fn lines(stock: &Value) -> Vec<String> {
    if stock.get("lock_version").is_none() {
        return vec![away(stock)];
    }
    let environment = text(stock, "environment");
    let version = |key: &str| stock.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (has, wants) = (version("lock_version"), version("wanted_lock_version"));
    let behind = (has != wants).then(|| match has {
        0 => format!("{environment}: has no lock (should be version {wants})"),
        _ => format!("{environment}: follows version {has} of the lock (should be {wants})"),
    });
    let held = stock.get("connectors").and_then(Value::as_array).into_iter().flatten();
    let held = held.map(|one| {
        let why = [text(one, "code"), text(one, "message")].into_iter().filter(|part| !part.is_empty());
        let why: Vec<String> = why.collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(": ")) };
        let instead = one.get("instead").and_then(Value::as_str).map(|version| format!(", {version} runs instead"));
        let instead = instead.unwrap_or_default();
        format!(
            "{environment}: {} {} {}{why}{instead}",
            text(one, "connector"),
            text(one, "version"),
            text(one, "state")
        )
    });
    behind.into_iter().chain(held).collect()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_an_agent_has_wants_and_why_they_differ() {
        let agent = json!({ "name": "eu-1", "stock": [
            { "environment": "prod", "lock_version": 3, "wanted_lock_version": 4, "connectors": [
                { "connector": "http", "version": "1.1.0", "state": "ready" },
                { "connector": "crm", "version": "2.0.0", "state": "quarantined", "code": "sandbox.trap", "message": "it failed", "instead": "1.9.0" },
            ] },
            { "environment": "dev", "lock_version": 0, "wanted_lock_version": 1, "connectors": [] },
        ] });
        let shown = in_words(agent);
        let lines: Vec<&str> = shown["stock_lines"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(
            lines,
            [
                "prod: follows version 3 of the lock (should be 4)",
                "prod: http 1.1.0 ready",
                "prod: crm 2.0.0 quarantined (sandbox.trap: it failed), 1.9.0 runs instead",
                "dev: has no lock (should be version 1)",
            ]
        );
        assert_eq!(in_words(json!({ "name": "old" })), json!({ "name": "old" }));
    }

    #[test]
    fn an_agent_that_is_away_says_what_it_should_have() {
        let wanted = json!([
            { "connector": "crm", "version": "2.0.0", "on_trial": false },
            { "connector": "crm", "version": "2.1.0", "on_trial": true },
        ]);
        let stock = json!([
            { "environment": "prod", "wanted_lock_version": 4, "connectors": [], "wanted": wanted },
            { "environment": "dev", "wanted_lock_version": 1, "connectors": [], "wanted": [] },
        ]);
        let lines = [
            "prod: away, so what it has is not known; it should have crm 2.0.0, crm 2.1.0 (canary)",
            "dev: away, so what it has is not known; it should have nothing",
        ];
        assert_eq!(in_words(json!({ "stock": stock }))["stock_lines"], json!(lines));
    }

    #[test]
    fn what_is_on_its_disk_has_a_name_where_one_is_known() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let named = json!({ "digest": digest, "connector": "crm", "version": "2.0.0" });
        let shown = in_words(json!({ "connectors": [digest], "components": [named, { "digest": digest }] }));
        assert_eq!(shown["on_disk"], json!(["crm 2.0.0", "sha256:000000000000... (not published here)"]));
        assert_eq!(in_words(json!({ "connectors": [digest] }))["on_disk"], json!(["sha256:000000000000..."]));
    }
}
