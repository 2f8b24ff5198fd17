//! Parameters, options, and JSON Schemas that are taken as they are.

use serde_json::Value;

use super::node::Node;
use crate::fields::{Field, Fields, TYPES};

/// Parameters of one activity: more than a person fills in.
const FIELDS: usize = 100;
/// What a field's schema may say.
const KEYWORDS: [&str; 19] = [
    "type",
    "title",
    "description",
    "default",
    "enum",
    "examples",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "additionalProperties",
    "required",
    "const",
];

/// Parameters or options.
pub(super) fn fields(node: Option<Node<'_, '_>>) -> Fields {
    let Some(node) = node else { return Fields::default() };
    Fields(node.pairs(FIELDS).into_iter().filter_map(|(name, node)| field(name, &node)).collect())
}

fn field(name: String, node: &Node<'_, '_>) -> Option<Field> {
    let proper = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !proper {
        node.fault("a name has letters, digits, _ and -, begins with a letter, and has 64 characters at most");
    }
    let entries = node.entries("a parameter", &KEYWORDS, &["type"])?;
    if let Some(kind) = entries.get("type") {
        check_type(&kind);
    }
    let required = match entries.get("required") {
        // Of an object, `required` is the list of JSON Schema; of the field itself, a word of manifests.
        Some(node) if node.value.is_boolean() => node.flag().unwrap_or_default(),
        Some(_) | None => false,
    };
    let mut schema = node.value.as_object()?.clone();
    if schema.get("required").is_some_and(Value::is_boolean) {
        schema.remove("required");
    }
    let field = Field { name, required, schema };
    if let Some(default) = entries.get("default") {
        if required {
            default.fault("what is required needs no default");
        }
        if let Err(unfit) = field.check(default.value) {
            default.fault(format!("the default {}", unfit.why));
        }
    }
    if let Some(allowed) = entries.get("enum") {
        allowed.list(1_000);
    }
    Some(field)
}

fn check_type(node: &Node<'_, '_>) {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let proper = match node.value.as_array() {
        Some(several) => !several.is_empty() && several.iter().all(known),
        None => known(node.value),
    };
    if !proper {
        node.fault(format!("type is one of {}, or a list of them", TYPES.join(", ")));
    }
}

/// A JSON Schema of records, taken as it is.
pub(super) fn records(node: Node<'_, '_>) -> Option<Value> {
    if !node.value.is_object() {
        node.fault("a schema of records is a map in the words of JSON Schema");
        return None;
    }
    Some(node.value.clone())
}
