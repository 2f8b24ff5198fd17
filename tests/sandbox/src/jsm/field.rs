//! Fields of requests and issues: what kind of value each takes, its schema, and the check of a value.

use serde_json::{Map, Value, json};

/// A value to choose from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) children: &'static [Choice],
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    LongText,
    Priority,
    Labels,
    Date,
    Number,
    User,
    Select(&'static [Choice]),
    MultiSelect(&'static [Choice]),
    Cascade(&'static [Choice]),
}

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u64,
    name_in_api: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// Longest one-line text, as in Jira.
const LINE_LIMIT: usize = 255;
/// Longest text, as in Jira.
const TEXT_LIMIT: usize = 32_767;

impl Field {
    pub(crate) const fn system(id: &'static str, name: &'static str, kind: Kind) -> Self {
        Self { number: 0, name_in_api: id, name, kind }
    }

    pub(crate) const fn custom(number: u64, name: &'static str, kind: Kind) -> Self {
        Self { number, name_in_api: "", name, kind }
    }

    /// Its id in both interfaces, such as `summary` or `customfield_10011`.
    pub(crate) fn id(&self) -> String {
        if self.is_custom() { format!("customfield_{}", self.number) } else { self.name_in_api.to_owned() }
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.name_in_api.is_empty()
    }

    pub(crate) fn is_named(&self, id: &str) -> bool {
        match id.strip_prefix("customfield_") {
            Some(number) => self.is_custom() && number.parse() == Ok(self.number),
            None => !self.is_custom() && self.name_in_api == id,
        }
    }

    /// Its schema as both interfaces describe it.
    pub(crate) fn schema(&self) -> Value {
        let (kind, custom, items) = match self.kind {
            Kind::Text => ("string", "textfield", None),
            Kind::LongText => ("string", "textarea", None),
            Kind::Priority => ("priority", "", None),
            Kind::Labels => ("array", "labels", Some("string")),
            Kind::Date => ("date", "datepicker", None),
            Kind::Number => ("number", "float", None),
            Kind::User => ("user", "userpicker", None),
            Kind::Select(_) => ("option", "select", None),
            Kind::MultiSelect(_) => ("array", "multiselect", Some("option")),
            Kind::Cascade(_) => ("option-with-child", "cascadingselect", None),
        };
        let mut schema = Map::from_iter([("type".to_owned(), json!(kind))]);
        if let Some(items) = items {
            schema.insert("items".to_owned(), json!(items));
        }
        if self.is_custom() {
            let custom = format!("com.atlassian.jira.plugin.system.customfieldtypes:{custom}");
            schema.insert("custom".to_owned(), json!(custom));
            schema.insert("customId".to_owned(), json!(self.number));
        } else {
            schema.insert("system".to_owned(), json!(self.name_in_api));
        }
        Value::Object(schema)
    }

    /// The value as it is kept, or what is wrong with it. `null` clears a field and is kept as such.
    pub(crate) fn take(&self, value: &Value) -> Result<Value, String> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match self.kind {
            Kind::Text => self.text(value, LINE_LIMIT),
            Kind::LongText => self.text(value, TEXT_LIMIT),
            Kind::Number if value.is_number() => Ok(value.clone()),
            Kind::Number => Err(format!("{} must be a number.", self.name)),
            Kind::Date => date(value).ok_or_else(|| "Error parsing date string: use yyyy-MM-dd.".to_owned()),
            Kind::Labels => labels(value),
            Kind::User | Kind::Priority => named(value).map(|_| value.clone()).ok_or_else(|| self.unreadable()),
            Kind::Select(choices) => self.pick(choices, value).map(option),
            Kind::MultiSelect(choices) => {
                let given = value.as_array().ok_or_else(|| "data was not an array".to_owned())?;
                given.iter().map(|value| self.pick(choices, value).map(option)).collect()
            }
            Kind::Cascade(choices) => {
                let parent = self.pick(choices, value)?;
                let child = value.get("child").map(|child| self.pick(parent.children, child)).transpose()?;
                let mut kept = option(parent);
                if let (Some(child), Some(kept)) = (child, kept.as_object_mut()) {
                    kept.insert("child".to_owned(), option(child));
                }
                Ok(kept)
            }
        }
    }

    fn text(&self, value: &Value, limit: usize) -> Result<Value, String> {
        let text = value.as_str().ok_or_else(|| "Operation value must be a string".to_owned())?;
        if limit == LINE_LIMIT && text.contains(['\n', '\r']) {
            return Err(format!("The {} is invalid because it contains newline characters.", self.name.to_lowercase()));
        }
        if text.chars().count() > limit {
            return Err(format!("{} can't exceed {limit} characters.", self.name));
        }
        Ok(value.clone())
    }

    fn pick(&self, choices: &'static [Choice], value: &Value) -> Result<&'static Choice, String> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let (id, label) = (text("id"), text("value"));
        if id.is_none() && label.is_none() {
            return Err(self.unreadable());
        }
        let fits = |choice: &&Choice| id.is_none_or(|id| id == choice.id) && label.is_none_or(|l| l == choice.label);
        choices.iter().find(fits).ok_or_else(|| {
            let given = label.or(id).unwrap_or_default();
            format!("Option value '{given}' is not valid")
        })
    }

    fn unreadable(&self) -> String {
        format!("Specify a valid value for {}", self.name)
    }
}

fn option(choice: &'static Choice) -> Value {
    json!({ "id": choice.id, "value": choice.label })
}

/// Whom or what an object such as `{"accountId": "…"}`, `{"name": "…"}` or `{"id": "…"}` names.
pub(crate) fn named(value: &Value) -> Option<&str> {
    ["accountId", "id", "name"].into_iter().find_map(|key| value.get(key).and_then(Value::as_str))
}

fn date(value: &Value) -> Option<Value> {
    value.as_str()?.parse::<jiff::civil::Date>().ok().map(|date| json!(date.to_string()))
}

fn labels(value: &Value) -> Result<Value, String> {
    let given = value.as_array().ok_or_else(|| "data was not an array".to_owned())?;
    for label in given {
        let text = label.as_str().ok_or_else(|| "Labels must be strings.".to_owned())?;
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(format!("The label '{text}' contains spaces which is invalid."));
        }
        if text.chars().count() > LINE_LIMIT {
            return Err(format!("The label '{text}' exceeds {LINE_LIMIT} characters."));
        }
    }
    Ok(value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsm::catalogue::{FIELDS, IMPACT, LABELS, SUMMARY};

    #[test]
    fn a_choice_is_kept_with_id_and_label_however_it_was_named() {
        let kept = json!({"id": "10102", "value": "Significant / Large"});
        for given in [json!({"id": "10102"}), json!({"value": "Significant / Large"}), kept.clone()] {
            assert_eq!(IMPACT.take(&given).unwrap(), kept);
        }
        for wrong in [json!("10102"), json!({"id": "1"}), json!({"id": "10102", "value": "Minor / Localized"})] {
            assert!(IMPACT.take(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_second_level_belongs_to_its_first() {
        let model = FIELDS.into_iter().find(|field| field.is_named("customfield_10014")).unwrap();
        let kept = model.take(&json!({"id": "10141", "child": {"value": "16 inch"}})).unwrap();
        assert_eq!(kept["child"]["id"], "10143");
        assert!(model.take(&json!({"id": "10141", "child": {"id": "10145"}})).is_err());
    }

    #[test]
    fn texts_and_labels_have_their_limits() {
        assert!(SUMMARY.take(&json!("x".repeat(255))).is_ok());
        assert!(SUMMARY.take(&json!("x".repeat(256))).is_err());
        assert!(SUMMARY.take(&json!("two\nlines")).is_err());
        assert!(LABELS.take(&json!(["one", "two"])).is_ok());
        assert!(LABELS.take(&json!(["two words"])).is_err());
    }
}
