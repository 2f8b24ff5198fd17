//! Ids of desks, request types, issues and so on. Jira writes them as texts and refuses numbers; people write both.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Longest id or key.
const LENGTH: usize = 255;

/// An id or a key: a text that is not empty. A whole number is taken as its digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Id(String);

impl Id {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl de::Visitor<'_> for Reading {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id: a text of 1 to {LENGTH} characters, or a whole number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > LENGTH {
            return Err(E::invalid_length(text.chars().count(), &self));
        }
        Ok(Id(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
        Ok(Id(number.to_string()))
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "minLength": 1, "maxLength": LENGTH, "minimum": 0 })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// One id or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an id or a list of ids; an id is a text or a whole number")]
#[schemars(inline)]
pub(crate) enum Ids {
    #[allow(missing_docs, reason = "a description in the schema would say no more than the type")]
    One(Id),
    #[allow(missing_docs, reason = "as above")]
    Many(Vec<Id>),
}

impl Ids {
    /// Each once, in their order.
    pub(crate) fn each(&self) -> Vec<String> {
        let all = match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids.as_slice(),
        };
        let mut each: Vec<String> = Vec::with_capacity(all.len());
        for Id(id) in all {
            if !each.contains(id) {
                each.push(id.clone());
            }
        }
        each
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_become_texts_and_emptiness_is_refused() {
        let read = |value| serde_json::from_value::<Id>(value).map(|Id(text)| text);
        assert_eq!(read(json!(25)).unwrap(), "25");
        assert_eq!(read(json!(" IT-1 ")).unwrap(), "IT-1");
        for bad in [json!(""), json!(-1), json!(1.5), json!(null), json!("x".repeat(256))] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_names_each_once() {
        let read = |value| serde_json::from_value::<Ids>(value).unwrap().each();
        assert_eq!(read(json!(["IT-1", 2, "IT-1"])), ["IT-1", "2"]);
        assert_eq!(read(json!("IT-1")), ["IT-1"]);
    }
}
