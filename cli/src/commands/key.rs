//! `wherry key`: the keys that sign connectors, and those that say who has a group's secrets.

mod group;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use wherry_trust::keys::SigningKey;

use super::Context;
use crate::error::Outcome;
use crate::keys;
use crate::table::{Column, text};

const KEY: &[Column] = &[text("PUBLIC", "public"), text("ID", "key_id"), text("FILE", "file")];

/// What `wherry connector key` offers as well.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyFiles {
    /// Makes an Ed25519 key. The file is the private key: keep it, and keep it to yourself.
    New {
        /// The file to make, for example ~/.config/wherry/publisher.key.
        file: PathBuf,
    },
    /// Shows the public half of a key file.
    Show {
        /// The key file.
        file: PathBuf,
        /// Prints the public key and nothing else.
        #[arg(long)]
        public: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    #[command(flatten)]
    Files(KeyFiles),
    /// The older name of `wherry publisher list`, `trust` and `distrust`.
    #[command(flatten)]
    Publisher(super::publisher::Trusting),
    #[command(flatten)]
    Group(group::GroupKeys),
}

impl Keys {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Files(command) => command.run(context)?,
            Self::Group(command) => command.run(context).await?,
            Self::Publisher(command) => command.run(context).await?,
        }
        Ok(())
    }
}

impl KeyFiles {
    pub(super) fn run(self, context: &Context) -> Outcome {
        match self {
            Self::New { file } => context.screen.show(KEY, &described(&keys::create(&file)?, &file)),
            Self::Show { file, public: true } => context.screen.raw(&format!("{}\n", keys::read(&file)?.public())),
            Self::Show { file, public: false } => context.screen.show(KEY, &described(&keys::read(&file)?, &file)),
        }
        Ok(())
    }
}

fn described(key: &SigningKey, file: &Path) -> Value {
    let public = key.public();
    json!({"public": public, "key_id": public.key_id().as_str(), "file": file.display().to_string()})
}
