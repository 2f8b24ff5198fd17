//! An operation's condition and transformation, ready for each of its runs.

use serde_json::{Value, json};
use wherry_domain::{
    failure::Failure,
    project::{Operation, template::Scope},
};
use wherry_host::{Transformation, Transformer};

use crate::transforms::Transforms;

/// The programs of an operation.
pub(super) struct Programs {
    transformer: Transformer,
    when: Option<String>,
    transform: Option<String>,
    vars: Value,
    agent: String,
}

impl Programs {
    /// Makes the operation's programs ready, if it has any.
    pub(super) async fn make(
        transforms: &Transforms,
        operation: &Operation,
        scope: &Scope<'_>,
    ) -> Result<Option<Self>, Failure> {
        if operation.programs().next().is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            transformer: transforms.load().await?,
            when: operation.when.clone(),
            transform: operation.transform.clone(),
            vars: json!(scope.vars),
            agent: scope.agent.to_owned(),
        }))
    }

    pub(super) fn transformer(&self) -> Transformer {
        self.transformer.clone()
    }

    /// What the programs get in one run.
    pub(super) fn of_run(&self, run: &str) -> Transformation {
        let variables = json!({ "vars": self.vars, "run": { "id": run }, "agent": { "name": self.agent } });
        Transformation {
            condition: self.when.clone(),
            transformation: self.transform.clone(),
            variables: variables.to_string(),
        }
    }
}
