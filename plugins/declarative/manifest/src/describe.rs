//! The descriptor that follows from a manifest.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::model::{Activity, Kind, Manifest};

/// Codes of the engine's own.
const ENGINE: [&str; 6] = [
    "declarative.another_system",
    "declarative.manifest_invalid",
    "declarative.not_packed",
    "declarative.request_too_large",
    "declarative.value_invalid",
    "declarative.value_missing",
];

impl Manifest {
    /// The descriptor, as `plugins/README.md` describes it. `engine` says which engine runs it.
    #[must_use]
    pub fn descriptor(&self, engine: &Value) -> Value {
        let auth = self.auth.iter().map(|scheme| {
            let mut fields = scheme.settings.clone();
            fields.insert("id".to_owned(), scheme.id.clone().into());
            fields.insert("type".to_owned(), scheme.method.clone().into());
            Value::Object(fields)
        });
        let mut descriptor = json!({
            "schemaVersion": 1,
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "connection": { "configSchema": self.options.schema(), "auth": auth.collect::<Vec<_>>() },
            "activities": self.activities.iter().map(activity).collect::<Vec<_>>(),
            "engine": engine,
        });
        let own = self.activities.iter().flat_map(|activity| &activity.rules).chain(&self.errors.rules);
        let errors: BTreeSet<&str> = own.map(|rule| rule.code.as_str()).chain(ENGINE).collect();
        if let Value::Object(fields) = &mut descriptor {
            fields.insert("errors".to_owned(), json!(errors));
        }
        add_texts(&mut descriptor, &[("description", &self.description), ("license", &self.license)]);
        descriptor
    }
}

fn activity(activity: &Activity) -> Value {
    let kind = match activity.kind {
        Kind::Source | Kind::Execute => "source",
        Kind::Target => "target",
    };
    let mut described = json!({
        "name": activity.name,
        "kind": kind,
        "sideEffects": activity.side_effects.as_str(),
        "configSchema": activity.parameters.schema(),
    });
    add_texts(&mut described, &[("title", &activity.title), ("description", &activity.description)]);
    let parallel = (activity.parallel > 1).then(|| activity.parallel.into());
    let output = activity.output.clone().or_else(|| output(activity));
    if let Value::Object(fields) = &mut described {
        for (name, value) in
            [("inputSchema", activity.input.clone()), ("outputSchema", output), ("maxParallel", parallel)]
        {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
    described
}

/// What is known of the records without a schema: their fields, if they are mapped.
fn output(activity: &Activity) -> Option<Value> {
    let mapped = activity.kind != Kind::Target && !activity.fields.is_empty();
    let properties: Map<String, Value> = activity.fields.iter().map(|(name, _)| (name.clone(), json!({}))).collect();
    mapped.then(|| json!({ "type": "object", "properties": properties }))
}

fn add_texts(described: &mut Value, texts: &[(&str, &String)]) {
    if let Value::Object(fields) = described {
        let given = texts.iter().filter(|(_, text)| !text.is_empty());
        fields.extend(given.map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str()))));
    }
}
