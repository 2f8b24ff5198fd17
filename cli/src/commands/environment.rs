//! `wherry environment` and `wherry group`.

use clap::{Args, Subcommand};
use serde_json::json;
use wherry_domain::name::Name;

use super::Context;
use crate::error::Outcome;
use crate::prompt::confirm;
use crate::table::{Column, count, list, text, time};

const ENVIRONMENT: &[Column] =
    &[text("NAME", "name"), text("GROUP", "group"), time("CREATED", "created_at"), text("ID", "id")];
const GROUP: &[Column] =
    &[text("NAME", "name"), count("AGENTS", "agents"), list("ENVIRONMENTS", "environments"), text("ID", "id")];

#[derive(Debug, Subcommand)]
pub(crate) enum Environments {
    /// Creates an environment, and its group if there is none of that name.
    Create(Create),
    /// Lists the environments.
    List,
    /// Shows one environment.
    Show {
        /// Its name.
        name: Name,
    },
    /// Deletes an environment that nothing depends on.
    Delete {
        /// Its name.
        name: Name,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name, for example prod.
    name: Name,
    /// The group of agents that serves it.
    #[arg(long)]
    group: Name,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Groups {
    /// Lists the groups.
    List,
}

impl Environments {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Create(Create { name, group }) => {
                let made = client.post(&["environments"], json!({"name": name, "group": group})).await?;
                context.screen.done(&format!("environment {name} is served by group {group}"), &made);
            }
            Self::List => context.screen.list(ENVIRONMENT, &client.all(&["environments"], &[]).await?),
            Self::Show { name } => {
                context.screen.show(ENVIRONMENT, &client.get(&["environments", name.as_str()]).await?);
            }
            Self::Delete { name, yes } => {
                confirm(&format!("Delete environment {name}?"), yes)?;
                client.delete(&["environments", name.as_str()]).await?;
                let deleted = json!({"name": name, "deleted": true});
                context.screen.done(&format!("environment {name} is deleted"), &deleted);
            }
        }
        Ok(())
    }
}

impl Groups {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::List => context.screen.list(GROUP, &context.client()?.all(&["groups"], &[]).await?),
        }
        Ok(())
    }
}
