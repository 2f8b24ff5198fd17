//! Tries a connection, and tells apart what may be wrong: credentials, another system, a login page, or nothing.

use serde_json::{Map, Value, json};
use wherry_manifest::{Manifest, Scope};
use wherry_sdk::{Context, Error, Result};

use crate::request::{self, Rendered};
use crate::{Options, shape};

/// Characters of a value that is shown.
const SHOWN: usize = 256;

/// Asks what the manifest says, and shows what it wants shown.
pub(crate) fn check(cx: &Context<Options>, manifest: &'static Manifest) -> Result<Value> {
    let options = request::options(cx, manifest)?;
    let (none, empty) = (Value::Null, Map::new());
    let scope = Scope { params: &empty, options: &options, record: None, run: &none, key: &none };
    let answer = Rendered::of(manifest, &manifest.test.request, &scope, None)?.begin(cx).send()?;
    answer.refuse_page()?;
    let mut report = Map::from_iter([("status".to_owned(), json!(answer.status()))]);
    if manifest.test.expect.is_none() && manifest.test.report.is_empty() {
        return Ok(report.into());
    }
    let json = answer.raw_json()?;
    let text = json.map_or("null", |json| json.get());
    if let Some(path) = &manifest.test.expect
        && shape::at(text, path)?.is_none_or(|found| found.get() == "null")
    {
        let message = format!(
            "something answers, but not as {} does: it has no {path}; check the connection's url",
            manifest.title
        );
        return Err(Error::config("declarative.another_system", message));
    }
    for (name, path) in &manifest.test.report {
        let found = shape::at(text, path)?.and_then(|found| serde_json::from_str(found.get()).ok());
        report.insert(name.clone(), found.map(shown).unwrap_or_default());
    }
    Ok(report.into())
}

/// A value for people: a line at most, and neither lists nor maps.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => text.chars().take(SHOWN).collect::<String>().into(),
        Value::Array(_) | Value::Object(_) => Value::Null,
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}
