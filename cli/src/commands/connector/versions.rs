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
    text("DIGEST", "digest"),
    time("PUBLISHED", "published_at"),
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

/// A text for each environment that runs the version: `prod 2 of 3 agents`.
fn placed(version: &mut Value) {
    let environments = version.get("environments").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |one: &Value| {
        let count = |key: &str| one.get(key).and_then(Value::as_u64).unwrap_or_default();
        let environment = one.get("environment").and_then(Value::as_str).unwrap_or_default();
        let trial = one.get("on_trial").and_then(Value::as_bool).unwrap_or_default();
        let trial = if trial { " (canary)" } else { "" };
        format!("{environment}{trial} {} of {} agents", count("ready"), count("agents"))
    };
    let texts: Vec<String> = environments.iter().map(text).collect();
    if let Some(fields) = version.as_object_mut().filter(|_| !texts.is_empty()) {
        fields.insert("runs_in".to_owned(), texts.into());
    }
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
        ] });
        placed(&mut shown);
        assert_eq!(shown["runs_in"], json!(["dev 1 of 1 agents", "prod (canary) 2 of 3 agents"]));
        let mut nowhere = json!({ "version": "1.0.0" });
        placed(&mut nowhere);
        assert_eq!(nowhere, json!({ "version": "1.0.0" }));
    }
}
