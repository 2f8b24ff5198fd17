//! `wherry key`: the keys that sign connectors, and those that say who has a group's secrets.

mod group;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_trust::keys::{PublicKey, SigningKey};
use wherry_trust::release::Prefix;

use super::Context;
use crate::error::Outcome;
use crate::keys;
use crate::prompt::confirm;
use crate::table::{Column, text, time};

const KEY: &[Column] = &[text("PUBLIC", "public"), text("ID", "key_id"), text("FILE", "file")];
const PUBLISHERS: &[Column] =
    &[text("NAME", "name"), text("KEY", "key"), text("PREFIX", "prefix"), time("TRUSTED", "created_at")];

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes an Ed25519 key. The file is the private key: keep it, and keep it to yourself.
    New {
        /// The file to make, for example ~/.config/wherry/publisher.key.
        file: PathBuf,
    },
    /// Shows the public half of a key file.
    Show {
        /// The key file.
        file: PathBuf,
    },
    /// Lists the publishers that the organisation trusts.
    List,
    /// Trusts a publisher's key.
    Trust(Trust),
    /// Trusts a publisher no longer. What is deployed stays.
    Distrust {
        /// The publisher's name.
        name: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    #[command(flatten)]
    Group(group::GroupKeys),
}

#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// The publisher's name.
    name: String,
    /// The public key, ed25519:..., as the publisher gave it to you.
    key: PublicKey,
    /// Which connectors the key may sign: * for all, acme-* for all that begin so, or one name.
    #[arg(long, default_value = "*")]
    prefix: Prefix,
}

impl Keys {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::New { file } => {
                let key = keys::create(&file)?;
                context.screen.show(KEY, &described(&key, &file));
            }
            Self::Show { file } => context.screen.show(KEY, &described(&keys::read(&file)?, &file)),
            Self::Group(command) => command.run(context).await?,
            Self::List => {
                context.screen.list(PUBLISHERS, &context.client()?.all(&["publishers"], &[]).await?);
            }
            Self::Trust(Trust { name, key, prefix }) => {
                let body = json!({"name": name, "key": key, "prefix": prefix});
                let publisher = context.client()?.post(&["publishers"], body).await?;
                let sentence = format!("publisher {name} may sign {prefix} with key {}", key.key_id());
                context.screen.done(&sentence, &publisher);
            }
            Self::Distrust { name, yes } => {
                confirm(&format!("Trust publisher {name} no longer?"), yes)?;
                context.client()?.delete(&["publishers", &name]).await?;
                let removed = json!({"name": name, "trusted": false});
                context.screen.done(&format!("publisher {name} is trusted no longer"), &removed);
            }
        }
        Ok(())
    }
}

fn described(key: &SigningKey, file: &Path) -> Value {
    let public = key.public();
    json!({"public": public, "key_id": public.key_id().as_str(), "file": file.display().to_string()})
}
