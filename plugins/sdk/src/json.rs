//! JSON as it was written: paths into it, slices of it, and compact lines. Records are cut out of an answer, not parsed
//! and printed again.

mod find;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
pub use find::find;
pub(crate) use find::{Rows, find_rows};

/// One JSON value, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The text of a value that was checked.
    pub fn of(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }

    /// A slice of text that a parser has found to be one value.
    pub(crate) const fn slice(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub const fn get(self) -> &'a str {
        self.0
    }

    /// The value as a type.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        let mut deserializer = serde_json::Deserializer::from_str(self.0);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let message = format!("the answer is not as expected at {}; see the details", error.path());
            Error::data("http.answer_unexpected", message)
                .with_details(serde_json::json!({ "reason": error.inner().to_string() }))
        })
    }
}

impl serde::Serialize for Json<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A path into JSON: `data.items` or, for names with dots, the JSON pointer `/data/items` (RFC 6901). Empty for the
/// whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonPath(pub(crate) Vec<String>);

impl JsonPath {
    /// Reads either notation.
    pub fn parse(text: &str) -> Self {
        let segments = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect(),
            None => text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        };
        Self(segments)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// The text or number of a value; `None` for anything else, and for empty text. Numbers that JSON libraries commonly
/// round are given as text.
pub fn token(raw: &RawValue) -> Option<Value> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::String(text) if !text.is_empty() => Some(Value::String(text)),
        Value::Number(number) if number.is_f64() => Some(Value::String(raw.get().to_owned())),
        Value::Number(number) => Some(Value::Number(number)),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Appends JSON as one line: without the white space between its parts, if that has line feeds. Numbers keep every
/// digit, because nothing is parsed.
pub(crate) fn append_compact(json: Json<'_>, out: &mut Vec<u8>) {
    let bytes = json.get().as_bytes();
    if !bytes.contains(&b'\n') {
        out.extend_from_slice(bytes);
        return;
    }
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => continue,
            _ => {}
        }
        out.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, path: &str) -> Option<String> {
        let found = find(json, &[&JsonPath::parse(path)]).unwrap();
        found[0].map(|value| value.get().to_owned())
    }

    #[test]
    fn both_notations_reach_into_objects_and_arrays() {
        let json = r#"{"a": {"b.c": [10, {"d": 1e40}]}, "e\u0066": 2}"#;
        assert_eq!(found(json, "/a/b.c/1/d").as_deref(), Some("1e40"));
        assert_eq!(found(json, "a").as_deref(), Some(r#"{"b.c": [10, {"d": 1e40}]}"#));
        assert_eq!(found(json, "ef").as_deref(), Some("2"));
        assert_eq!(found(json, ""), Some(json.to_owned()));
        assert_eq!(found(r#"{"a/b": {"~": 3}}"#, "/a~1b/~0").as_deref(), Some("3"));
    }

    #[test]
    fn several_paths_are_found_in_one_pass_also_inside_each_other() {
        let paths = ["", "a", "a.b", "c"].map(JsonPath::parse);
        let found = find(r#"{"a": {"b": 1}, "c": [2]}"#, &paths.each_ref()).unwrap();
        let texts: Vec<_> = found.into_iter().map(|value| value.unwrap().get()).collect();
        assert_eq!(texts, [r#"{"a": {"b": 1}, "c": [2]}"#, r#"{"b": 1}"#, "1", "[2]"]);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in ["x", "a.x", "a.0", "c.5", "c.x", "d.e"] {
            assert_eq!(found(r#"{"a": {"b": 1}, "c": [1], "d": "text"}"#, path), None, "{path}");
        }
        assert_eq!(find("{} {}", &[]).unwrap_err().line(), 1);
    }

    #[test]
    fn tokens_are_texts_and_exact_numbers() {
        let of = |json: &str| token(&RawValue::from_string(json.to_owned()).unwrap());
        assert_eq!(of("\"t\""), Some("t".into()));
        assert_eq!(of("17"), Some(17.into()));
        assert_eq!(of("123456789012345678901234567890"), Some("123456789012345678901234567890".into()));
        for none in ["\"\"", "null", "false", "[]", "{}"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn only_records_with_line_feeds_are_touched() {
        let line = |json: &'static str| {
            let mut out = Vec::new();
            append_compact(Json::slice(json), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line("{ \"a\": 1.50 }"), "{ \"a\": 1.50 }");
        assert_eq!(line("{ \"a\":\r\n [1,\t2], \"b\": \" \\\" \\\\\" }"), "{\"a\":[1,2],\"b\":\" \\\" \\\\\"}");
    }
}
