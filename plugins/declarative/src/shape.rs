//! Records as the manifest wants them: fields by their places, cut out of what the system wrote.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use wherry_sdk::json::{Json, JsonPath, find};
use wherry_sdk::{Error, Result, Writer};

/// How records are made.
pub(crate) struct Shape(Vec<(String, JsonPath)>);

/// Fields that were found, in the order of the manifest; what is not there is `null`, so that all records look alike.
struct Mapped<'s>(&'s [(String, JsonPath)], Vec<Option<&'s RawValue>>);

impl Serialize for Mapped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for ((name, _), value) in self.0.iter().zip(&self.1) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Shape {
    /// As the activity says.
    pub(crate) fn of(fields: &[(String, String)]) -> Self {
        Self(fields.iter().map(|(name, path)| (name.clone(), JsonPath::parse(path))).collect())
    }

    /// Writes a record.
    pub(crate) fn write(&self, record: &str, out: &mut Writer) -> Result<()> {
        if self.0.is_empty() {
            let raw: &RawValue = serde_json::from_str(record).map_err(|error| unreadable(&error))?;
            return out.push_json(Json::of(raw));
        }
        let paths: Vec<&JsonPath> = self.0.iter().map(|(_, path)| path).collect();
        let found = find(record, &paths).map_err(|error| unreadable(&error))?;
        out.push(&Mapped(&self.0, found))
    }
}

/// The records in a text: the elements of an array, one object, or none.
pub(crate) fn records<'t>(text: &'t str, path: &str) -> Result<Vec<&'t RawValue>> {
    let missing = || {
        let place = if path.is_empty() { "the answer" } else { path };
        let message =
            format!("the answer has neither an array nor an object at {place}; check records in the manifest");
        Error::data("http.records_missing", message)
    };
    let found = at(text, path)?.ok_or_else(missing)?;
    match found.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(found.get()).map_err(|error| unreadable(&error)),
        Some(b'{') => Ok(vec![found]),
        Some(b'n') => Ok(vec![]),
        Some(_) | None => Err(missing()),
    }
}

/// What stands at a path.
pub(crate) fn at<'t>(text: &'t str, path: &str) -> Result<Option<&'t RawValue>> {
    let found = find(text, &[&JsonPath::parse(path)]).map_err(|error| unreadable(&error))?;
    Ok(found.into_iter().next().flatten())
}

/// An object with one field more.
pub(crate) fn with_field(record: &str, name: &str, value: &RawValue) -> Result<String> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(record).map_err(|_| {
        let message = "a record is no object, so nothing can be put into it; leave out into, or check records";
        Error::data("http.answer_unexpected", message)
    })?;
    fields.insert(name.to_owned(), value);
    serde_json::to_string(&fields).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Error {
    let message = format!("the answer is not JSON at line {}, column {}", error.line(), error.column());
    Error::data("http.not_json", message)
}
