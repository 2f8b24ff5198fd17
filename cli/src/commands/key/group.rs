//! `wherry key operator`, `trust-operator`, `roster` and so on: who may say things about a group's keys.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_domain::digest::Digest;
use wherry_domain::name::Name;
use wherry_trust::keys::PublicKey;
use wherry_trust::sealing::roster::{Op, Roster};

use super::Context;
use crate::client::Client;
use crate::error::Outcome;
use crate::keystore::Keystore;
use crate::prompt::confirm;
use crate::recovery;
use crate::roster::{Signer, fetch, no_keys};
use crate::table::{Column, count, list, text};

const OPERATOR: &[Column] = &[text("PUBLIC", "public"), text("ID", "key_id"), text("FILE", "file")];
const ROSTER: &[Column] = &[
    text("GROUP", "group"),
    text("FINGERPRINT", "fingerprint"),
    count("ENTRIES", "n"),
    count("EPOCH", "epoch"),
    list("MEMBERS", "members"),
    list("OPERATORS", "operators"),
    list("RECOVERY KEYS", "recovery"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum GroupKeys {
    /// Shows your operator key, with which you invite agents and set secrets. Makes it if there is none.
    Operator,
    /// Shows who has a group's keys, after verifying every entry of its roster.
    Roster {
        /// The group.
        #[arg(long)]
        group: Name,
    },
    /// Believes a group's roster, after you compared its fingerprint with the one that an agent shows.
    Pin {
        /// The group.
        #[arg(long)]
        group: Name,
        /// The fingerprint, sha256:..., from `wherry-agent status` on an agent of the group.
        fingerprint: Digest,
    },
    /// Lets another operator invite agents and set secrets.
    TrustOperator(Trust),
    /// Lets an operator do so no longer. What the key signed is signed anew by an agent.
    DistrustOperator(Trust),
    /// Makes a recovery key: with its file, secrets survive the loss of every agent of the group.
    Recovery {
        /// The group.
        #[arg(long)]
        group: Name,
        /// The file to make. Keep it off line.
        #[arg(long)]
        out: PathBuf,
    },
    /// Forgets what was seen of a group's roster, after its keys were reset on purpose.
    Forget {
        /// The group.
        #[arg(long)]
        group: Name,
    },
    /// Deletes a group's roster, keys and secrets for good; the next agent that is enrolled founds it anew.
    Reset {
        /// The group.
        #[arg(long)]
        group: Name,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// The group.
    #[arg(long)]
    group: Name,
    /// The operator's public key, ed25519:..., from `wherry key operator`.
    key: PublicKey,
}

impl GroupKeys {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if matches!(self, Self::Operator) {
            return operator(context);
        }
        let client = &context.client()?;
        match self {
            Self::Operator => Ok(()),
            Self::Roster { group } => roster(client, context, &group).await,
            Self::Pin { group, fingerprint } => {
                let shown = fetch(client, &group).await?;
                let roster = shown.pin_as(client, &Keystore::own()?, &fingerprint)?;
                let seen = described(&group, roster);
                context.screen.done(&format!("the roster of group {group} is believed from now on"), &seen);
                Ok(())
            }
            Self::TrustOperator(Trust { group, key }) => {
                let done = format!("operator {key} may set secrets of group {group}");
                append(client, context, &group, Op::OperatorAdd { key }, &done).await
            }
            Self::DistrustOperator(Trust { group, key }) => {
                let done = format!("operator {key} may set secrets of group {group} no longer");
                append(client, context, &group, Op::OperatorRemove { key }, &done).await
            }
            Self::Recovery { group, out } => make_recovery(client, context, &group, &out).await,
            Self::Forget { group } => {
                let forgot = Keystore::own()?.unpin(client.url(), &group)?;
                let sentence = if forgot { "forgot what was seen of" } else { "nothing was seen yet of" };
                context.screen.done(&format!("{sentence} group {group}"), &json!({"group": group, "forgot": forgot}));
                Ok(())
            }
            Self::Reset { group, yes } => reset(client, context, &group, yes).await,
        }
    }
}

fn operator(context: &Context) -> Outcome {
    let keystore = Keystore::own()?;
    let (key, _) = keystore.operator()?;
    let public = key.public();
    let file = keystore.operator_file().display().to_string();
    context.screen.show(OPERATOR, &json!({"public": public, "key_id": public.key_id().as_str(), "file": file}));
    Ok(())
}

async fn roster(client: &Client, context: &Context, group: &Name) -> Outcome {
    let keystore = Keystore::own()?;
    let (operator, _) = keystore.operator()?;
    let shown = fetch(client, group).await?;
    let roster = shown.known(client, &keystore, &operator.public())?.ok_or_else(|| no_keys(group))?;
    context.screen.show(ROSTER, &described(group, roster));
    Ok(())
}

fn described(group: &Name, roster: &Roster) -> Value {
    let members: Vec<_> = roster.members().map(|member| member.agent.to_string()).collect();
    let operators: Vec<_> = roster.operators().map(ToString::to_string).collect();
    let recovery: Vec<_> = roster.recovery().map(ToString::to_string).collect();
    json!({
        "group": group,
        "fingerprint": roster.founding(),
        "n": roster.n(),
        "epoch": roster.epoch().0,
        "members": members,
        "operators": operators,
        "recovery": recovery,
    })
}

async fn append(client: &Client, context: &Context, group: &Name, op: Op, done: &str) -> Outcome {
    let mut signer = Signer::of(client, group).await?;
    signer.append(op, Vec::new()).await?;
    context.screen.done(done, &described(group, &signer.roster));
    Ok(())
}

async fn make_recovery(client: &Client, context: &Context, group: &Name, out: &Path) -> Outcome {
    let mut signer = Signer::of(client, group).await?;
    // The file first: a key that the roster names and nobody has would recover nothing.
    let key = recovery::create(out, group)?;
    signer.append(Op::Recovery { key: key.public() }, Vec::new()).await?;
    let made = json!({"group": group, "key": key.public(), "file": out.display().to_string()});
    let sentence = format!(
        "whoever has {} can open every secret of group {group}: keep it off line, in two places",
        out.display()
    );
    context.screen.done(&sentence, &made);
    Ok(())
}

async fn reset(client: &Client, context: &Context, group: &Name, yes: bool) -> Outcome {
    confirm(&format!("Delete every secret of group {group} for good?"), yes)?;
    client.delete(&["groups", group.as_str(), "roster"]).await?;
    Keystore::own()?.unpin(client.url(), group)?;
    let sentence = format!("the keys and secrets of group {group} are gone: enrol its agents anew");
    context.screen.done(&sentence, &json!({"group": group, "reset": true}));
    Ok(())
}
