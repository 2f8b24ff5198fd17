//! Texts with `{{ record.field }}` in them, and JSON made of such texts.

use serde_json::{Map, Value};

use wherry_sdk::http::url::encode;
use wherry_sdk::{Error, Result};

/// A text with gaps for fields of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A field of the record, as the names on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field(Vec<String>);

impl Field {
    fn parse(text: &str) -> Result<Self> {
        let mut names = text.trim().split('.').map(str::trim);
        let proper = names.next() == Some("record") && names.clone().all(|name| !name.is_empty());
        if !proper {
            let message = format!("the template {{{{{text}}}}} is unknown; write {{{{ record.field }}}}");
            return Err(Error::config("http.template_invalid", message));
        }
        Ok(Self(names.map(str::to_owned).collect()))
    }

    fn find<'r>(&self, record: &'r Value) -> Option<&'r Value> {
        self.0
            .iter()
            .try_fold(record, |value, name| match value {
                Value::Object(fields) => fields.get(name),
                Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            })
            .filter(|value| !value.is_null())
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

impl Template {
    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((field, following)) = after.split_once("}}") else {
                let message = "a template begins with {{ and does not end with }}";
                return Err(Error::config("http.template_invalid", message));
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(Field::parse(field)?));
            rest = following;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The field, if the text is nothing but one.
    fn as_field(&self) -> Option<&Field> {
        match self.0.as_slice() {
            [Part::Field(field)] => Some(field),
            _ => None,
        }
    }

    /// The text for a record; `None` if it is a single field that the record does not have.
    pub(crate) fn render(&self, record: &Value) -> Option<String> {
        if let Some(field) = self.as_field() {
            return field.find(record).map(as_text);
        }
        let text = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => field.find(record).map(as_text).unwrap_or_default(),
        });
        Some(text.collect())
    }

    /// The text for a record as part of a path: every field must be there and have a value, because a path without it
    /// means something else, such as all records instead of one.
    pub(crate) fn render_path(&self, record: &Value) -> Result<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(field) => match field.find(record).map(as_text) {
                    Some(value) if !matches!(value.as_str(), "" | "." | "..") => text.push_str(&encode(&value)),
                    Some(_) | None => {
                        let name = field.0.join(".");
                        let message = format!("the record has no usable record.{name}, which the path needs");
                        return Err(Error::data("http.template_missing", message));
                    }
                },
            }
        }
        Ok(text)
    }
}

/// JSON whose texts are templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonTemplate {
    /// Anything that is not text.
    Literal(Value),
    /// A text.
    Text(Template),
    /// An array.
    Array(Vec<Self>),
    /// An object; its names are taken as they are.
    Object(Vec<(String, Self)>),
}

impl JsonTemplate {
    /// Reads JSON.
    pub(crate) fn parse(json: &Value) -> Result<Self> {
        Ok(match json {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(elements) => Self::Array(elements.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let parse = |(name, value): (&String, &Value)| Ok((name.clone(), Self::parse(value)?));
                Self::Object(fields.iter().map(parse).collect::<Result<_>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Literal(json.clone()),
        })
    }

    /// The JSON for a record. A text that is a single field becomes that field with its type, or `null`.
    pub(crate) fn render(&self, record: &Value) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Text(template) => match template.as_field() {
                Some(field) => field.find(record).cloned().unwrap_or(Value::Null),
                None => template.render(record).map_or(Value::Null, Value::String),
            },
            Self::Array(elements) => elements.iter().map(|element| element.render(record)).collect(),
            Self::Object(fields) => {
                let fields: Map<String, Value> =
                    fields.iter().map(|(name, value)| (name.clone(), value.render(record))).collect();
                Value::Object(fields)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wherry_sdk::Kind;

    use super::*;

    fn record() -> Value {
        json!({"id": 7, "name": "a/b ä", "tags": ["x", "y"], "sub": {"ok": true}, "none": null, "empty": "", "up": ".."})
    }

    fn text(template: &str) -> Option<String> {
        Template::parse(template).unwrap().render(&record())
    }

    #[test]
    fn a_whole_template_keeps_the_type_of_the_field() {
        let body = json!({"a": "{{ record.id }}", "b": ["{{record.tags}}", "{{ record.none }}", 1], "c": "{{record}}"});
        let rendered = JsonTemplate::parse(&body).unwrap().render(&record());
        assert_eq!(rendered, json!({"a": 7, "b": [["x", "y"], null, 1], "c": record()}));
    }

    #[test]
    fn inside_text_a_field_becomes_text() {
        assert_eq!(text("#{{ record.id }}: {{record.name}}!").as_deref(), Some("#7: a/b ä!"));
        assert_eq!(
            text("{{ record.sub.ok }}{{ record.tags.1 }}{{ record.sub }}").as_deref(),
            Some("truey{\"ok\":true}")
        );
        assert_eq!(text("<{{ record.nothing }}>").as_deref(), Some("<>"));
        assert_eq!(text("{{ record.nothing }}"), None);
    }

    #[test]
    fn in_a_path_fields_are_encoded_and_must_be_there() {
        let path = |template: &str| Template::parse(template).unwrap().render_path(&record());
        assert_eq!(path("/x/{{ record.name }}/y?z=1").unwrap(), "/x/a%2Fb%20%C3%A4/y?z=1");
        for missing in
            ["/x/{{ record.nothing }}", "/x/{{ record.none }}", "/x/{{ record.empty }}", "/{{ record.up }}/x"]
        {
            let failure = path(missing).unwrap_err();
            assert_eq!((&*failure.code, failure.kind), ("http.template_missing", Kind::Data), "{missing}");
        }
    }

    #[test]
    fn unknown_and_unfinished_templates_are_refused() {
        for bad in ["{{ vars.x }}", "{{ record.id", "{{}}", "{{ record..id }}", "{{ records }}"] {
            assert_eq!(Template::parse(bad).unwrap_err().code, "http.template_invalid", "{bad}");
        }
    }

    #[test]
    fn what_a_record_contains_is_not_a_template() {
        let record = json!({"x": "{{ record.secret }}", "secret": "s"});
        assert_eq!(
            Template::parse("{{ record.x }}!").unwrap().render(&record).as_deref(),
            Some("{{ record.secret }}!")
        );
    }
}
