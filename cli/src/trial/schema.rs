//! The schemas of a descriptor: whether they are schemas, and whether what a case names fits them.

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};
use wherry_trust::release::Described;

use super::Finding;

/// Faults told of one document.
const TOLD: usize = 10;

/// Whether every schema of the descriptor is one.
pub(super) fn of(descriptor: &Described) -> Finding {
    let mut faults = Vec::new();
    let mut look = |place: &str, schema: &Map<String, Value>| {
        if let Err(error) = jsonschema::validator_for(&Value::Object(schema.clone())) {
            faults.push(format!("{place} is no JSON Schema: {error}"));
        }
    };
    look("the schema of the connection's options", &descriptor.connection.config_schema);
    for activity in &descriptor.activities {
        look(&format!("the parameters' schema of {}", activity.name), &activity.config_schema);
        for (what, schema) in [("taken", &activity.input_schema), ("yielded", &activity.output_schema)] {
            if let Some(schema) = schema {
                look(&format!("the schema of records {what} by {}", activity.name), schema);
            }
        }
    }
    Finding::new(descriptor.name.as_str(), "descriptor", faults)
}

/// Why a document does not fit, one line per fault; nothing if the schema is none, which is told elsewhere.
pub(super) fn faults(what: &str, schema: &Map<String, Value>, document: &Value) -> Vec<String> {
    let Ok(validator) = jsonschema::validator_for(&Value::Object(schema.clone())) else { return Vec::new() };
    let fault = |error: jsonschema::ValidationError<'_>| {
        let place = error.instance_path().to_string();
        let told = unknown(&error, document).unwrap_or_else(|| error.to_string());
        format!("{what}{}{place}: {told}", if place.is_empty() { "" } else { " at " })
    };
    validator.iter_errors(document).take(TOLD).map(fault).collect()
}

/// The keys of an object that may have none, of which the library says only that `false` is its schema.
fn unknown(error: &jsonschema::ValidationError<'_>, document: &Value) -> Option<String> {
    if !matches!(error.kind(), ValidationErrorKind::FalseSchema)
        || !error.schema_path().as_str().ends_with("/additionalProperties")
    {
        return None;
    }
    let keys: Vec<&str> =
        document.pointer(error.instance_path().as_str())?.as_object()?.keys().map(String::as_str).collect();
    Some(format!("the connector knows no key {} here; it has none", keys.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn descriptor(schema: &Value) -> Described {
        let activity = json!({ "name": "query", "kind": "source", "sideEffects": "read", "configSchema": schema });
        let whole = json!({ "name": "crm", "version": "1.0.0", "connection": {}, "activities": [activity] });
        Described::parse(whole.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_schema_that_is_none_and_a_document_that_does_not_fit_are_told_with_their_places() {
        assert!(of(&descriptor(&json!({ "type": "object" }))).passed);
        let broken = of(&descriptor(&json!({ "type": "objekt" })));
        assert!(broken.faults[0].starts_with("the parameters' schema of query is no JSON Schema"), "{broken:?}");
        let schema =
            json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "additionalProperties": false });
        let Value::Object(schema) = schema else { panic!() };
        assert_eq!(faults("with", &schema, &json!({ "a": 1 })), [""; 0]);
        let told = faults("with", &schema, &json!({ "a": "x" }));
        assert!(told[0].starts_with("with at /a: "), "{told:?}");
        assert_eq!(faults("with", &schema, &json!({ "b": 1 })).len(), 1);
        let Value::Object(none) = json!({ "type": "object", "additionalProperties": false }) else { panic!() };
        let told = faults("options", &none, &json!({ "workspace": "w" }));
        assert_eq!(told, ["options: the connector knows no key workspace here; it has none"]);
    }
}
