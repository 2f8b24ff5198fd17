//! What connectors say of their options, parameters and records, held against what people and applications wrote.

mod width;

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Map, Value};
use wherry_domain::{
    failure::Code,
    name::Name,
    project::{
        Project,
        check::{Fault, nearest},
    },
};
use wherry_trust::release::Described;

use super::{Ledger, Refusal};

/// What stands there is not what the connector's schema asks for.
pub(super) const MISMATCH: Code = Code::new("schema.mismatch");
/// Faults told of one document; with more of them a person begins anew anyway.
const MAX_FAULTS: usize = 50;
/// Characters of one message.
const MAX_MESSAGE: usize = 300;

/// Connectors' descriptors, by name.
type Descriptors = BTreeMap<Name, std::sync::Arc<Described>>;

impl Ledger {
    /// Every place in a project that contradicts its connectors' schemas. Connectors that were published without a
    /// descriptor are not checked.
    pub(super) async fn schema_faults(
        &self,
        environment: &Name,
        project: Project,
    ) -> Result<(Project, Vec<Fault>), Refusal> {
        let used: BTreeSet<Name> =
            project.connections.values().map(|connection| connection.connector.clone()).collect();
        let place = environment.clone();
        let chosen = self.act(move |turn| {
            turn.environment(&place)?;
            let version = |name: &Name| turn.chosen(&place, name).map(|found| (name.clone(), found.version.clone()));
            Ok(used.iter().filter_map(version).collect::<Vec<_>>())
        });
        let mut known = Descriptors::new();
        for (name, version) in chosen.await? {
            if let Some(described) = self.descriptor(name.clone(), version).await? {
                known.insert(name, described);
            }
        }
        if known.is_empty() {
            return Ok((project, Vec::new()));
        }
        // A large project against large schemas takes a while.
        let work = move || {
            let faults = of_project(&project, &known);
            (project, faults)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::stopping())
    }
}

fn of_project(project: &Project, known: &Descriptors) -> Vec<Fault> {
    let mut found = Vec::new();
    for (name, connection) in &project.connections {
        if let Some(described) = known.get(&connection.connector) {
            let options = Value::Object(connection.options.clone());
            let path = ["connections", name.as_str(), "options"];
            found.extend(faults(&described.connection.config_schema, &options, &path, Texts::Templates));
        }
    }
    for (name, operation) in &project.operations {
        let steps = [Some(("source", &operation.source)), operation.target.as_ref().map(|target| ("target", target))];
        for (place, step) in steps.into_iter().flatten() {
            let described = project.connector_of(&step.connection).and_then(|connector| known.get(connector));
            if let Some(activity) = described.and_then(|described| described.activity(&step.activity)) {
                let with = Value::Object(step.with.clone());
                let path = ["operations", name.as_str(), place, "with"];
                found.extend(faults(&activity.config_schema, &with, &path, Texts::Templates));
            }
        }
    }
    found.truncate(MAX_FAULTS);
    found
}

/// What texts mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// `{{ }}` stands for what it will become.
    Templates,
    /// Just what is written.
    Plain,
}

/// A schema that is ready to judge values.
pub(super) struct Schema {
    said: Value,
    validator: Validator,
}

impl Schema {
    /// Nothing, if it cannot be read: its connector says what is wrong then.
    pub(super) fn read(schema: &Map<String, Value>) -> Option<Self> {
        let said = Value::Object(schema.clone());
        // Without backtracking, so that no pattern of a stranger takes for ever; and nothing is fetched.
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let options = options.with_keyword("format", width::format);
        match options.build(&said) {
            Ok(validator) => Some(Self { said, validator }),
            Err(error) => {
                tracing::warn!(error = %error.masked(), "a connector's schema cannot be read and is not checked");
                None
            }
        }
    }

    /// Every fault of a value.
    pub(super) fn faults(&self, value: &Value, at: &[&str], texts: Texts) -> Vec<Fault> {
        let errors = self.validator.iter_errors(value).filter(|error| texts == Texts::Plain || !excused(error));
        errors.take(MAX_FAULTS).flat_map(|error| told((&self.said, value), &error, at)).collect()
    }
}

fn faults(schema: &Map<String, Value>, value: &Value, at: &[&str], texts: Texts) -> Vec<Fault> {
    Schema::read(schema).map(|schema| schema.faults(value, at, texts)).unwrap_or_default()
}

/// Whether the value is to be filled in later: nobody knows yet what it will be.
fn excused(error: &ValidationError<'_>) -> bool {
    // About keys and numbers of things, whatever the values become.
    let counts = matches!(
        error.kind(),
        Kind::AdditionalProperties { .. }
            | Kind::UnevaluatedProperties { .. }
            | Kind::FalseSchema
            | Kind::Required { .. }
            | Kind::PropertyNames { .. }
            | Kind::MaxItems { .. }
            | Kind::MinItems { .. }
            | Kind::MaxProperties { .. }
            | Kind::MinProperties { .. }
    );
    !counts && has_template(error.instance())
}

fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}")),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(fields) => fields.values().any(has_template),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The fault without the value: it may be a record.
fn told((schema, value): (&Value, &Value), error: &ValidationError<'_>, at: &[&str]) -> Vec<Fault> {
    let place = error.instance_path().as_str().split('/').skip(1).map(unescaped);
    let path: Vec<String> = at.iter().map(|key| (*key).to_owned()).chain(place).collect();
    let fault = |path: Vec<String>, message: String, suggestion: Option<String>| Fault {
        path,
        code: MISMATCH,
        message: message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect(),
        suggestion,
        at: None,
    };
    let beside = error.schema_path().as_str().strip_suffix("/additionalProperties");
    let unexpected: Vec<&String> = match (error.kind(), beside) {
        (Kind::AdditionalProperties { unexpected }, _) => unexpected.iter().collect(),
        // Where no key at all is known, the library does not say which one is too many.
        (Kind::FalseSchema, Some(_)) => {
            let object = value.pointer(error.instance_path().as_str()).and_then(Value::as_object);
            object.into_iter().flat_map(Map::keys).collect()
        }
        (Kind::FalseSchema, None) => {
            return vec![fault(path, "the connector takes nothing here".to_owned(), None)];
        }
        _ => return vec![fault(path, error.masked_with("what stands here").to_string(), None)],
    };
    let known = schema.pointer(&format!("{}/properties", beside.unwrap_or_default())).and_then(Value::as_object);
    let names: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let of_key = |key: &String| {
        let message = format!("the connector knows no key {key} here; it has {has}");
        let path = path.iter().chain([key]).cloned().collect();
        fault(path, message, nearest(key, names.iter().copied()))
    };
    unexpected.into_iter().take(MAX_FAULTS).map(of_key).collect()
}

/// A part of a JSON pointer (RFC 6901) as the key it means.
fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told_of(value: &Value, texts: Texts) -> Vec<(String, Option<String>)> {
        let schema = json!({
            "type": "object",
            "properties": {"max_pages": {"type": "integer"}, "mode": {"oneOf": [{"const": "a"}, {"const": "b"}]}, "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["mode"],
            "additionalProperties": false,
        });
        let found = faults(schema.as_object().unwrap(), value, &["with"], texts);
        let mut found: Vec<_> = found.into_iter().map(|fault| (fault.path.join("."), fault.suggestion)).collect();
        found.sort();
        found
    }

    #[test]
    fn a_key_that_is_nearly_right_is_refused_with_the_right_one() {
        let faults = told_of(&json!({"mode": "a", "max_page": "{{ vars.n }}"}), Texts::Templates);
        assert_eq!(faults, [("with.max_page".to_owned(), Some("max_pages".to_owned()))]);
    }

    #[test]
    fn a_connector_without_options_says_so_of_each_key_whatever_its_value() {
        for schema in [
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ] {
            let value = json!({"workspace": "{{ vars.w }}", "zone": {"a": 1}});
            let found = faults(schema.as_object().unwrap(), &value, &["options"], Texts::Templates);
            let told: Vec<_> = found.iter().map(|fault| (fault.path.join("."), fault.message.as_str())).collect();
            let says = |key: &str| format!("the connector knows no key {key} here; it has none");
            let (workspace, zone) = (says("workspace"), says("zone"));
            assert_eq!(
                told,
                [("options.workspace".to_owned(), workspace.as_str()), ("options.zone".to_owned(), zone.as_str()),]
            );
        }
        let schema = json!({"properties": {"old": false}});
        let found = faults(schema.as_object().unwrap(), &json!({"old": 1}), &[], Texts::Plain);
        assert_eq!(
            (found[0].path.join("."), found[0].message.as_str()),
            ("old".to_owned(), "the connector takes nothing here")
        );
    }

    #[test]
    fn a_template_stands_for_any_value_and_only_where_templates_are_filled_in() {
        let value = json!({"mode": "{{ vars.mode }}", "max_pages": "{{ vars.pages }}"});
        assert_eq!(told_of(&value, Texts::Templates), []);
        let plain: Vec<_> = told_of(&value, Texts::Plain).into_iter().map(|(path, _)| path).collect();
        assert_eq!(plain, ["with.max_pages", "with.mode"]);
    }

    #[test]
    fn every_fault_has_its_path_and_no_value_is_repeated() {
        let schema =
            json!({"properties": {"tags": {"items": {"type": "string"}}, "n": {"maximum": 3}}, "required": ["mode"]});
        let value = json!({"tags": ["a", 4711], "n": 815});
        let found = faults(schema.as_object().unwrap(), &value, &[], Texts::Plain);
        let mut paths: Vec<_> = found.iter().map(|fault| fault.path.join(".")).collect();
        paths.sort();
        assert_eq!(paths, ["", "n", "tags.1"]);
        assert!(
            found.iter().all(|fault| !fault.message.contains("4711") && !fault.message.contains("815")),
            "{found:?}"
        );
    }

    #[test]
    fn a_number_wider_than_its_format_is_a_fault_with_its_path() {
        let schema =
            json!({"properties": {"pages": {"type": "integer", "format": "uint64"}, "on": {"format": "date"}}});
        let schema = schema.as_object().unwrap();
        let value: Value = serde_json::from_str(r#"{"pages": 18446744073709551616, "on": "never"}"#).unwrap();
        let found = faults(schema, &value, &["with"], Texts::Plain);
        let told: Vec<_> = found.iter().map(|fault| (fault.path.join("."), fault.message.as_str())).collect();
        let message = "what stands here is not a whole number of 0 to 18446744073709551615";
        assert_eq!(told, [("with.pages".to_owned(), message)]);
        assert_eq!(faults(schema, &json!({"pages": u64::MAX}), &[], Texts::Plain), []);
        assert_eq!(faults(schema, &json!({"pages": "{{ vars.n }}"}), &[], Texts::Templates), []);
    }

    #[test]
    fn a_schema_that_cannot_be_read_says_nothing() {
        let schema = json!({"type": 7});
        assert_eq!(faults(schema.as_object().unwrap(), &json!({}), &[], Texts::Plain), []);
        let far = json!({"$ref": "https://far.example/schema.json"});
        assert_eq!(faults(far.as_object().unwrap(), &json!({}), &[], Texts::Plain), []);
    }
}
