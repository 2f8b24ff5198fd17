//! Paths into JSON: `data.items` or, for names with dots, the JSON pointer `/data/items` (RFC 6901).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A path into JSON; empty for the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    /// Reads either notation.
    pub fn parse(text: &str) -> Self {
        let segments = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect(),
            None => text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        };
        Self(segments)
    }

    /// The value at the path, if there is one, as it was written: nothing is converted or copied.
    pub fn find<'a>(&self, json: &'a RawValue) -> Option<&'a RawValue> {
        self.0.iter().try_fold(json, |value, segment| {
            let mut deserializer = serde_json::Deserializer::from_str(value.get());
            Member(segment).deserialize(&mut deserializer).ok().flatten()
        })
    }

    /// The text or number at the path; `None` for anything else, and for empty text. Numbers that JSON libraries
    /// commonly round are given as text.
    pub fn find_token(&self, json: &RawValue) -> Option<Value> {
        let raw = self.find(json)?.get();
        match serde_json::from_str(raw).ok()? {
            Value::String(text) if !text.is_empty() => Some(Value::String(text)),
            Value::Number(number) if number.is_f64() => Some(Value::String(raw.to_owned())),
            Value::Number(number) => Some(Value::Number(number)),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Picks one member of an object or array and skips the rest without building it.
struct Member<'s>(&'s str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if key.0 == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0.parse::<usize>().ok();
        let (mut found, mut at) = (None, 0);
        loop {
            if Some(at) == wanted {
                match seq.next_element()? {
                    Some(element) => found = Some(element),
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, path: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        JsonPath::parse(path).find(raw).map(|value| value.get().to_owned())
    }

    #[test]
    fn both_notations_reach_into_objects_and_arrays() {
        let json = r#"{"a": {"b.c": [10, {"d": 1e400}]}, "e\u0066": 2}"#;
        assert_eq!(found(json, "/a/b.c/1/d").as_deref(), Some("1e400"));
        assert_eq!(found(json, "a").as_deref(), Some(r#"{"b.c": [10, {"d": 1e400}]}"#));
        assert_eq!(found(json, "ef").as_deref(), Some("2"));
        assert_eq!(found(json, ""), Some(json.to_owned()));
        assert_eq!(found(r#"{"a/b": {"~": 3}}"#, "/a~1b/~0").as_deref(), Some("3"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in ["x", "a.x", "a.0", "c.5", "c.x", "d.e"] {
            assert_eq!(found(r#"{"a": {"b": 1}, "c": [1], "d": "text"}"#, path), None, "{path}");
        }
    }

    #[test]
    fn tokens_are_text_or_numbers() {
        let token = |json: &str| JsonPath::parse("t").find_token(serde_json::from_str(json).unwrap());
        assert_eq!(token(r#"{"t": "a\"b"}"#), Some("a\"b".into()));
        assert_eq!(token(r#"{"t": 12}"#), Some(12.into()));
        assert_eq!(token(r#"{"t": 12345678901234567890123}"#), Some("12345678901234567890123".into()));
        for nothing in [r#"{"t": null}"#, r#"{"t": ""}"#, r#"{"t": false}"#, r#"{"t": {}}"#, "{}"] {
            assert_eq!(token(nothing), None, "{nothing}");
        }
    }
}
