//! `wherry alias`: which connections stand behind names in an environment.

use clap::{Args, Subcommand};
use serde_json::json;
use wherry_domain::name::Name;

use super::Context;
use crate::client::{Body, Call};
use crate::error::Outcome;
use crate::table::{Column, text};

const ALIASES: &[Column] = &[
    text("PROJECT", "project"),
    text("ALIAS", "alias"),
    text("CONNECTOR", "connector"),
    text("CONNECTION", "connection"),
    text("DEPLOYED", "deployed"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Aliases {
    /// Lists aliases: what is set for the next deployment, and what is deployed.
    List {
        /// The environment.
        #[arg(long)]
        environment: Name,
        /// Only of this project.
        #[arg(long)]
        project: Option<Name>,
    },
    /// Maps an alias to a connection of its project; it counts from the next deployment on.
    #[command(after_help = "\
Examples:
    wherry alias set crm helix-eu --project desk --environment prod
    wherry project deploy desk --environment prod")]
    Set {
        /// The alias, as operations name it.
        alias: Name,
        /// The connection.
        connection: Name,
        #[command(flatten)]
        place: Place,
    },
    /// Takes the mapping of an alias away; it counts from the next deployment on.
    Remove {
        /// The alias.
        alias: Name,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The project.
    #[arg(long)]
    project: Name,
    /// The environment.
    #[arg(long)]
    environment: Name,
}

impl Place {
    fn path<'a>(&'a self, alias: &'a Name) -> [&'a str; 6] {
        let (environment, project) = (self.environment.as_str(), self.project.as_str());
        ["environments", environment, "projects", project, "aliases", alias.as_str()]
    }
}

impl Aliases {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { environment, project } => {
                let path = ["environments", environment.as_str(), "aliases"];
                let listed = client.all(&path, &[("project", project.as_ref().map(Name::as_str))]).await?;
                context.screen.list(ALIASES, &listed);
            }
            Self::Set { alias, connection, place } => {
                let body = Body::Json(json!({ "connection": connection }));
                let said = client.send(Call::put(&place.path(&alias), body)).await?;
                let sentence = format!("{alias} is {connection} in {} from the next deployment on", place.environment);
                context.screen.done_but(&sentence, &said);
            }
            Self::Remove { alias, place } => {
                client.delete(&place.path(&alias)).await?;
                let sentence = format!("{alias} is not mapped in {} from the next deployment on", place.environment);
                context.screen.done(&sentence, &json!({ "alias": alias, "removed": true }));
            }
        }
        Ok(())
    }
}
