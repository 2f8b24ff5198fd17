//! What an agent has of the connectors it should have, in lines for people.

use serde_json::{Value, json};

/// The agent with one line for each connector and each environment whose lock it does not follow yet.
pub(super) fn in_words(mut agent: Value) -> Value {
    let stocks = agent.get("stock").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines: Vec<Value> = stocks.iter().flat_map(lines).map(Value::from).collect();
    if let Some(fields) = agent.as_object_mut().filter(|_| !lines.is_empty()) {
        fields.insert("stock_lines".to_owned(), json!(lines));
    }
    agent
}

fn lines(stock: &Value) -> Vec<String> {
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
}
