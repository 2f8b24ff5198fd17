//! `wherry connector`.

pub(super) mod moves;
mod new;
mod package;
mod publish;
mod revoke;
mod test;
mod versions;

use clap::Subcommand;
use wherry_domain::name::Name;

use super::Context;
use crate::error::Outcome;
use crate::table::{Column, list, size, text, time};

const CONNECTORS: &[Column] = &[
    text("NAME", "name"),
    text("VERSION", "version"),
    text("PUBLISHER", "publisher"),
    list("ACTIVITIES", "activities"),
    size("SIZE", "length"),
    time("PUBLISHED", "published_at"),
];

const CONNECTOR: &[Column] = &[
    text("NAME", "name"),
    text("VERSION", "version"),
    text("PUBLISHER", "publisher"),
    list("ACTIVITIES", "activities"),
    size("SIZE", "length"),
    text("DIGEST", "digest"),
    time("PUBLISHED", "published_at"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Connectors {
    /// Lists the newest version of each connector, or those of an environment.
    List {
        /// As this environment's lock names them.
        #[arg(long)]
        environment: Option<Name>,
    },
    /// Lists the versions of a connector, or how it stands in an environment.
    Versions {
        /// Its name.
        name: Name,
        /// Its version there, with what agents have ready and how a canary does.
        #[arg(long)]
        environment: Option<Name>,
    },
    /// Moves a connector to a newer version in an environment; shows what changes, and asks.
    #[command(after_help = "\
Examples:
    wherry connector upgrade http --environment prod
    wherry connector upgrade http --environment prod --to 1.4.0 --canary 10% --for 30m")]
    Upgrade(moves::Upgrade),
    /// Goes back to the version before, and pins it; ends a canary.
    Rollback(moves::Rollback),
    /// Keeps a connector at its version, whatever is published.
    Pin(moves::Pin),
    /// Lets a connector follow its publisher again.
    Unpin(moves::Pin),
    /// Shows every version that a connector had in an environment: who moved it, when and why.
    History(moves::Which),
    /// Makes a connector that builds, with tests and recorded answers.
    New(new::New),
    /// Runs a connector in the real host against recorded answers, and checks that it keeps the contract.
    Test(test::Test),
    /// Keys that sign connectors: make and show them.
    #[command(subcommand)]
    Key(super::key::KeyFiles),
    /// Signs a component, with what it says of itself, and writes its package.
    Package(package::Package),
    /// Revokes one version of a connector: no agent runs it any more.
    Revoke(revoke::Revoke),
    /// Publishes a package, or a component that it packages first.
    Publish(publish::Publish),
}

impl Connectors {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::List { environment: Some(environment) } => moves::standing(context, &environment, None).await?,
            Self::List { environment: None } => {
                context.screen.list(CONNECTORS, &context.client()?.all(&["connectors"], &[]).await?);
            }
            Self::Versions { name, environment: Some(environment) } => {
                moves::standing(context, &environment, Some(&name)).await?;
            }
            Self::Versions { name, environment: None } => versions::list(&name, context).await?,
            Self::Upgrade(upgrade) => upgrade.run(context).await?,
            Self::Rollback(rollback) => rollback.run(context).await?,
            Self::Pin(pin) => pin.run(context, false).await?,
            Self::Unpin(pin) => pin.run(context, true).await?,
            Self::History(which) => which.history(context).await?,
            Self::New(new) => new.run(context)?,
            Self::Test(test) => test.run(context).await?,
            Self::Key(command) => command.run(context)?,
            Self::Package(package) => package.run(context).await?,
            Self::Revoke(revoke) => revoke.run(context).await?,
            Self::Publish(publish) => publish.run(context).await?,
        }
        Ok(())
    }
}
