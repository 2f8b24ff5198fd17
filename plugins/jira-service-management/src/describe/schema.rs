//! From the form of a request type to the JSON Schema of `requestFieldValues`.

use serde_json::Map;
use wherry_sdk::prelude::*;

/// Values of one field that are listed; a field with more says so.
const VALUES: usize = 200;

/// The form, as Jira describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Form {
    request_type_fields: Vec<Field>,
    #[serde(default)]
    can_raise_on_behalf_of: bool,
    #[serde(default)]
    can_add_request_participants: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    field_id: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    valid_values: Vec<Choice>,
    #[serde(default)]
    jira_schema: Kind,
}

/// A value to choose from.
#[derive(Deserialize)]
struct Choice {
    value: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    children: Vec<Choice>,
}

#[derive(Default, Deserialize)]
struct Kind {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    items: Option<String>,
    #[serde(default)]
    custom: Option<String>,
}

impl Form {
    /// The schema.
    pub(super) fn schema(&self, desk: &str, kind: &str) -> Value {
        let required: Vec<_> =
            self.request_type_fields.iter().filter(|field| field.required).map(|field| &field.field_id).collect();
        let properties: Map<_, _> =
            self.request_type_fields.iter().map(|field| (field.field_id.clone(), field.schema())).collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": format!("requestFieldValues of request type {kind} of service desk {desk}"),
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
            "x-canRaiseOnBehalfOf": self.can_raise_on_behalf_of,
            "x-canAddRequestParticipants": self.can_add_request_participants,
        })
    }
}

impl Field {
    fn schema(&self) -> Value {
        let Kind { kind, items, custom } = &self.jira_schema;
        let mut schema = match (kind.as_str(), items.as_deref()) {
            ("array", Some(items)) => {
                Map::from_iter([("type".to_owned(), json!("array")), ("items".to_owned(), self.one(items).into())])
            }
            (kind, _) => self.one(kind),
        };
        schema.insert("title".to_owned(), json!(self.name));
        if !self.description.is_empty() {
            schema.insert("description".to_owned(), json!(self.description));
        }
        if let Some(custom) = custom {
            schema.insert("x-jiraType".to_owned(), json!(custom));
        }
        if self.valid_values.len() > VALUES {
            schema.insert("x-moreValues".to_owned(), json!(self.valid_values.len() - VALUES));
        }
        schema.into()
    }

    /// One value of a type. What it has to look like is Jira's convention, not part of the form.
    fn one(&self, kind: &str) -> Map<String, Value> {
        let schema = match kind {
            "string" if self.valid_values.is_empty() => json!({ "type": "string" }),
            "string" => json!({ "oneOf": choices(&self.valid_values) }),
            "number" => json!({ "type": "number" }),
            "date" => json!({ "type": "string", "format": "date" }),
            // Jira writes the offset without a colon, which is no date-time of RFC 3339.
            "datetime" => json!({ "type": "string", "examples": ["2026-02-05T09:11:09.000+0000"] }),
            "user" => json!({
                "anyOf": [object("accountId", json!({ "type": "string" })), object("name", json!({ "type": "string" }))],
            }),
            "option-with-child" => self.with_children(),
            // Options, priorities, versions, components and the like are named by id.
            _ if !self.valid_values.is_empty() => object("id", json!({ "oneOf": choices(&self.valid_values) })),
            _ => json!({}),
        };
        match schema {
            Value::Object(schema) => schema,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        }
    }

    fn with_children(&self) -> Value {
        let each = self.valid_values.iter().take(VALUES).map(|parent| {
            let mut properties = Map::from_iter([("id".to_owned(), choice(parent))]);
            if !parent.children.is_empty() {
                let child = object("id", json!({ "oneOf": choices(&parent.children) }));
                properties.insert("child".to_owned(), child);
            }
            json!({ "type": "object", "required": ["id"], "properties": properties, "additionalProperties": false })
        });
        json!({ "oneOf": each.collect::<Vec<_>>() })
    }
}

fn object(key: &str, schema: Value) -> Value {
    json!({ "type": "object", "required": [key], "properties": { key: schema } })
}

fn choices(values: &[Choice]) -> Vec<Value> {
    values.iter().take(VALUES).map(choice).collect()
}

fn choice(choice: &Choice) -> Value {
    json!({ "const": choice.value, "title": choice.label })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(field: Value) -> Value {
        let form: Form = serde_json::from_value(json!({ "requestTypeFields": [field] })).unwrap();
        form.schema("1", "25")["properties"]["f"].clone()
    }

    fn field(kind: &Value, values: &Value) -> Value {
        json!({ "fieldId": "f", "name": "F", "required": true, "validValues": values, "jiraSchema": kind })
    }

    #[test]
    fn each_type_of_field_says_how_its_values_are_written() {
        let small = json!([{ "value": "7", "label": "Small", "children": [] }]);
        let by_id = json!({ "oneOf": [{ "const": "7", "title": "Small" }] });
        for (kind, values, expected) in [
            (json!({ "type": "string" }), json!([]), json!({ "type": "string" })),
            (json!({ "type": "number" }), json!([]), json!({ "type": "number" })),
            (json!({ "type": "date" }), json!([]), json!({ "type": "string", "format": "date" })),
            (json!({ "type": "option" }), small.clone(), object("id", by_id.clone())),
            (json!({ "type": "priority" }), small.clone(), object("id", by_id.clone())),
            (
                json!({ "type": "array", "items": "option" }),
                small,
                json!({ "type": "array", "items": object("id", by_id) }),
            ),
            (
                json!({ "type": "array", "items": "string" }),
                json!([]),
                json!({ "type": "array", "items": { "type": "string" } }),
            ),
            (json!({ "type": "something" }), json!([]), json!({})),
        ] {
            let mut made = schema_of(field(&kind, &values));
            assert_eq!(made.as_object_mut().unwrap().remove("title"), Some(json!("F")));
            assert_eq!(made, expected, "{kind}");
        }
    }

    #[test]
    fn a_second_level_belongs_to_its_first() {
        let children = json!([{ "value": "2", "label": "14 inch" }]);
        let values =
            json!([{ "value": "1", "label": "Laptop", "children": children }, { "value": "3", "label": "None" }]);
        let made = schema_of(field(&json!({ "type": "option-with-child" }), &values));
        assert_eq!(made["oneOf"][0]["properties"]["child"]["properties"]["id"]["oneOf"][0]["const"], "2");
        assert!(made["oneOf"][1]["properties"].get("child").is_none());
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let values: Vec<_> = (0..VALUES + 5).map(|n| json!({ "value": n.to_string(), "label": "x" })).collect();
        let made = schema_of(field(&json!({ "type": "option" }), &json!(values)));
        assert_eq!(made["x-moreValues"], 5);
        assert_eq!(made["properties"]["id"]["oneOf"].as_array().unwrap().len(), VALUES);
    }
}
