//! A vendor's description of an interface, as far as Prism does not check it itself: which operations there are, and
//! which parameters each takes.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// Every operation.
pub(super) struct Description {
    operations: Vec<Operation>,
}

/// A method at a path with placeholders.
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) template: String,
    /// Names of the query's parameters.
    pub(super) parameters: BTreeSet<String>,
    /// Status codes.
    pub(super) answers: BTreeSet<String>,
}

impl Description {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let tree: Value = serde_json::from_slice(&text)?;
        let paths = tree["paths"].as_object().context("the description has no paths")?;
        let mut operations = Vec::new();
        for (template, methods) in paths {
            let shared = methods.get("parameters").map(parameters).unwrap_or_default();
            for method in ["get", "post", "put", "delete"] {
                let Some(operation) = methods.get(method) else { continue };
                let own = operation.get("parameters").map(parameters).unwrap_or_default();
                let answers = operation["responses"].as_object().context("an operation without answers")?;
                operations.push(Operation {
                    method: method.to_uppercase(),
                    template: template.clone(),
                    parameters: shared.union(&own).cloned().collect(),
                    answers: answers.keys().cloned().collect(),
                });
            }
        }
        Ok(Self { operations })
    }

    pub(super) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation that a request means; a path that is spelt out goes before one with placeholders.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<&Operation> {
        let fits = self.operations.iter().filter(|operation| operation.method == method && operation.fits(path));
        fits.min_by_key(|operation| operation.template.matches('{').count())
    }
}

impl Operation {
    fn fits(&self, path: &str) -> bool {
        let (own, given): (Vec<_>, Vec<_>) = (self.template.split('/').collect(), path.split('/').collect());
        own.len() == given.len() && own.iter().zip(given).all(|(own, given)| own.starts_with('{') || *own == given)
    }

    /// Its path with something in place of each placeholder.
    pub(super) fn example(&self) -> String {
        let part = |part: &str| if part.starts_with('{') { "1".to_owned() } else { part.to_owned() };
        self.template.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

fn parameters(list: &Value) -> BTreeSet<String> {
    let in_query = list.as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "query");
    in_query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
}
