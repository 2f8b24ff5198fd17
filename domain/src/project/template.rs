//! Variables in texts: `{{ vars.name }}`, `{{ run.id }}`, `{{ agent.name }}`.
//!
//! References to anything else, such as `{{ record.id }}`, belong to the connector and stay as
//! they are.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::Value;

use crate::name::Name;

/// What a text may refer to.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// Values of the variables.
    pub vars: &'a BTreeMap<Name, Value>,
    /// The run's id.
    pub run: &'a str,
    /// The agent's name.
    pub agent: &'a str,
}

/// A reference to something that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{{{{ {0} }}}} refers to nothing: declare it under variables in wherry.yaml, or use run.id or agent.name")]
pub struct UnknownReference(pub String);

impl Scope<'_> {
    fn value(&self, reference: &str) -> Option<Result<Value, UnknownReference>> {
        let unknown = || UnknownReference(reference.to_owned());
        match reference.split_once('.')? {
            ("vars", name) => Some(self.vars.get(name).cloned().ok_or_else(unknown)),
            ("run", "id") => Some(Ok(Value::from(self.run))),
            ("agent", "name") => Some(Ok(Value::from(self.agent))),
            ("run" | "agent", _) => Some(Err(unknown())),
            (_, _) => None,
        }
    }

    /// Replaces the references in every text inside `value`. A text that is one reference takes
    /// the referred value with its type.
    ///
    /// # Errors
    /// If a reference of ours refers to nothing.
    pub fn resolve(&self, value: &Value) -> Result<Value, UnknownReference> {
        match value {
            Value::String(text) => self.resolve_text(text),
            Value::Array(items) => {
                items.iter().map(|item| self.resolve(item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| Ok((key.clone(), self.resolve(field)?)))
                .collect::<Result<_, _>>()
                .map(Value::Object),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    fn resolve_text(&self, text: &str) -> Result<Value, UnknownReference> {
        if let [Piece::Reference(_, reference)] = pieces(text).as_slice() {
            return self.value(reference).unwrap_or_else(|| Ok(Value::from(text)));
        }
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference(source, reference) => match self.value(reference).transpose()? {
                    None => out.push_str(source),
                    Some(Value::String(value)) => out.push_str(&value),
                    Some(other) => out.push_str(&other.to_string()),
                },
            }
        }
        Ok(Value::String(out))
    }
}

enum Piece<'a> {
    Text(&'a str),
    Reference(&'a str, &'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, opened)) = rest.split_once("{{") {
        let Some((inside, after)) = opened.split_once("}}") else { break };
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let length = rest.len() - before.len() - after.len();
        let source = rest.get(before.len()..before.len() + length).unwrap_or_default();
        pieces.push(Piece::Reference(source, inside.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(value: &Value) -> Result<Value, UnknownReference> {
        let vars = BTreeMap::from([("desk".parse().unwrap(), json!(7)), ("site".parse().unwrap(), json!("ber"))]);
        Scope { vars: &vars, run: "run_1", agent: "eu-1" }.resolve(value)
    }

    #[test]
    fn a_lone_reference_keeps_its_type_and_a_reference_in_a_text_becomes_text() {
        let given = json!({"id": "{{ vars.desk }}", "path": "/{{vars.site}}/{{ vars.desk }}", "run": ["{{ run.id }}"]});
        assert_eq!(resolve(&given), Ok(json!({"id": 7, "path": "/ber/7", "run": ["run_1"]})));
    }

    #[test]
    fn references_of_the_connector_and_broken_braces_stay() {
        for text in ["{{ record.id }}", "/x/{{ record.id }}/{{", "{{ 7*7 }}", "}} {{ vars.site"] {
            assert_eq!(resolve(&json!(text)), Ok(json!(text)));
        }
    }

    #[test]
    fn an_unknown_variable_is_named() {
        assert_eq!(resolve(&json!("a {{ vars.dsk }}")), Err(UnknownReference("vars.dsk".into())));
    }
}
