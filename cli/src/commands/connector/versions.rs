//! `wherry connector versions`: each version, and where it runs.

use serde_json::Value;
use wherry_domain::name::Name;

use super::Context;
use crate::error::Outcome;
use crate::table::{Column, list as several, size, text, time};

const VERSION: &[Column] = &[
    text("NAME", "name"),
    text("VERSION", "version"),
    text("PUBLISHER", "publisher"),
    several("ACTIVITIES", "activities"),
    size("SIZE", "length"),
    several("RUNS IN", "runs_in"),
    several("NOT ON", "not_on"),
    text("DIGEST", "digest"),
    time("PUBLISHED", "published_at"),
    time("REVOKED", "revoked_at"),
];

/// Lists them, newest first.
pub(super) async fn list(name: &Name, context: &Context) -> Outcome {
    let mut versions = context.client()?.all(&["connectors", name.as_str(), "versions"], &[]).await?;
    if !context.screen.is_json() {
        let items = versions.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten();
        items.for_each(placed);
    }
    context.screen.list(VERSION, &versions);
    Ok(())
}

/// A text for each environment that runs the version: `prod 2 of 3 agents`; and one for each agent that does not.
fn placed(version: &mut Value) {
    let environments = version.get("environments").and_then(Value::as_array).cloned().unwrap_or_default();
    let wants = text_at(version, "version").to_owned();
    let runs_in: Vec<String> = environments.iter().map(runs_in).collect();
    let not_on: Vec<String> = environments.iter().flat_map(|one| not_on(one, &wants)).collect();
    for (key, texts) in [("runs_in", runs_in), ("not_on", not_on)] {
        if let Some(fields) = version.as_object_mut().filter(|_| !texts.is_empty()) {
            fields.insert(key.to_owned(), texts.into());
        }
    }
}

fn runs_in(one: &Value) -> String {
    let count = |key: &str| one.get(key).and_then(Value::as_u64).unwrap_or_default();
    let is = |key: &str| one.get(key).and_then(Value::as_bool).unwrap_or_default();
    let marks: Vec<&str> = [("on_trial", "canary"), ("held", "held")]
        .into_iter()
        .filter(|(key, _)| is(key))
        .map(|(_, mark)| mark)
        .collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    let (ready, away) = (count("ready"), count("agents_away"));
    let agents = count("agents").saturating_add(away);
    let away = if away == 0 { String::new() } else { format!(", {away} away") };
    format!("{}{marks} {ready} of {agents} agents{away}", text_at(one, "environment"))
}

/// What each agent has that does not run the version, and why it differs.
fn not_on(one: &Value, wants: &str) -> Vec<String> {
    let differing = one.get("differing").and_then(Value::as_array).into_iter().flatten();
    let text = |agent: &Value| {
        let (name, state) = (text_at(agent, "agent"), text_at(agent, "state"));
        let has = agent.get("has").and_then(Value::as_str).map_or_else(String::new, |has| format!(" has {has},"));
        let why = [text_at(agent, "code"), text_at(agent, "message")];
        let why: Vec<&str> = why.into_iter().filter(|part| !part.is_empty()).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(": ")) };
        format!("{}: {name}{has} wants {wants}: {}{why}", text_at(one, "environment"), state.replace('_', " "))
    };
    differing.map(text).collect()
}

fn text_at<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_says_where_it_runs_and_how_far_the_agents_there_are() {
        let mut shown = json!({ "version": "1.1.0", "environments": [
            { "environment": "dev", "on_trial": false, "agents": 1, "ready": 1, "refused": [] },
            { "environment": "prod", "on_trial": true, "agents": 3, "ready": 2, "refused": [] },
            { "environment": "quay", "on_trial": false, "agents": 0, "agents_away": 2, "ready": 0, "refused": [] },
        ] });
        placed(&mut shown);
        let runs_in = ["dev 1 of 1 agents", "prod (canary) 2 of 3 agents", "quay 0 of 2 agents, 2 away"];
        assert_eq!(shown["runs_in"], json!(runs_in));
        assert_eq!(shown.get("not_on"), None);
        let mut nowhere = json!({ "version": "1.0.0" });
        placed(&mut nowhere);
        assert_eq!(nowhere, json!({ "version": "1.0.0" }));
    }

    #[test]
    fn agents_that_differ_say_what_they_have_and_why() {
        let mut shown = json!({ "version": "1.1.0", "environments": [
            { "environment": "prod", "on_trial": true, "held": true, "agents": 2, "ready": 0, "differing": [
                { "agent": "eu-1", "has": "1.0.0", "state": "quarantined", "code": "sandbox.trap", "message": "it broke" },
                { "agent": "eu-2", "state": "away" },
            ] },
        ] });
        placed(&mut shown);
        assert_eq!(shown["runs_in"], json!(["prod (canary, held) 0 of 2 agents"]));
        let lines =
            ["prod: eu-1 has 1.0.0, wants 1.1.0: quarantined (sandbox.trap: it broke)", "prod: eu-2 wants 1.1.0: away"];
        assert_eq!(shown["not_on"], json!(lines));
    }
}
