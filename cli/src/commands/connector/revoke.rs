//! `wherry connector revoke`: one version of a connector runs nowhere any more.

use clap::Args;
use semver::Version;
use serde_json::{Value, json};
use wherry_domain::name::Name;

use super::Context;
use crate::error::Outcome;
use crate::prompt::confirm;

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The connector.
    name: Name,
    /// The version.
    // Not `version`: every command has a flag of that name.
    #[arg(id = "revoked", value_name = "VERSION")]
    version: Version,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

impl Revoke {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self { name, version, yes } = self;
        let question = format!("Revoke connector {name} {version} for good? No agent runs it any more.");
        confirm(&question, yes)?;
        let text = version.to_string();
        let path = ["connectors", name.as_str(), "versions", &text, "revoke"];
        let revoked = context.client()?.post(&path, json!({})).await?;
        let environments = revoked.get("environments").and_then(Value::as_array).into_iter().flatten();
        for environment in environments.filter_map(Value::as_str) {
            context.screen.note(&format!(
                "{environment} still names it and runs nothing of it: \
                 wherry connector upgrade {name} --environment {environment}"
            ));
        }
        context.screen.done(&format!("connector {name} {version} is revoked"), &revoked);
        Ok(())
    }
}
