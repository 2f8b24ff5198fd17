//! `wherry secret`: values that are sealed here to the agents that may use them, and that nobody else can read.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_domain::name::Name;
use wherry_trust::sealing::SealingError;
use wherry_trust::sealing::invite::{Invite, Join};
use wherry_trust::sealing::key::SealingKey;
use wherry_trust::sealing::roster::Op;
use wherry_trust::sealing::secret::{MAX_SECRET, Place, SealedSecret};
use wherry_trust::sealing::wrap::Wrap;
use zeroize::Zeroizing;

use super::Context;
use crate::client::{Body, Call, Client};
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::prompt::{confirm, read_secret};
use crate::recovery;
use crate::roster::Signer;
use crate::table::{Column, count, list, text, time};

const SECRETS: &[Column] = &[
    text("NAME", "name"),
    count("VERSION", "version"),
    count("EPOCH", "epoch"),
    text("SET BY", "set_by"),
    time("SET", "set_at"),
    list("READ BY REMOVED AGENTS", "exposed_to"),
];
const TO_ROTATE: &[Column] =
    &[text("NAME", "name"), list("READ BY REMOVED AGENTS", "exposed_to"), time("SET", "set_at")];
/// Tries of a secret that someone else changes at the same time.
const TRIES: u32 = 3;
/// Versions beyond this are none that a controller counts to; taking one would leave no room for the next.
const HIGHEST_VERSION: u64 = 1 << 62;

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Sets a secret for every agent that serves an environment. The value is asked for, or read from a file or pipe.
    Set {
        #[command(flatten)]
        which: Which,
        /// Reads the value from this file; - is standard input.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Lists the secrets of an environment, without their values.
    List {
        /// The environment.
        #[arg(long)]
        environment: Name,
    },
    /// Removes a secret from the controller and from every agent.
    Remove {
        #[command(flatten)]
        which: Which,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Lists what has to be made anew at its provider, because an agent that could read it was removed.
    Rotate {
        /// Only this secret.
        name: Option<Name>,
        /// The environment.
        #[arg(long)]
        environment: Name,
    },
    /// Gives a group's keys to its waiting agents with a recovery key, after every other agent was lost.
    Recover {
        /// The group.
        #[arg(long)]
        group: Name,
        /// The file that `wherry key recovery` made.
        #[arg(long)]
        key: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name, as connections refer to it.
    name: Name,
    /// The environment whose runs may use it.
    #[arg(long)]
    environment: Name,
}

impl Secrets {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = &context.client()?;
        match self {
            Self::Set { which, file } => which.set(client, context, file).await,
            Self::List { environment } => {
                let path = ["environments", environment.as_str(), "secrets"];
                context.screen.list(SECRETS, &client.all(&path, &[]).await?);
                Ok(())
            }
            Self::Remove { which: Which { name, environment }, yes } => {
                confirm(&format!("Remove secret {name} from {environment}?"), yes)?;
                client.delete(&["environments", environment.as_str(), "secrets", name.as_str()]).await?;
                let removed = json!({"environment": environment, "name": name, "removed": true});
                context.screen.done(&format!("secret {name} is removed from {environment}"), &removed);
                Ok(())
            }
            Self::Rotate { name, environment } => rotate(client, context, &environment, name.as_ref()).await,
            Self::Recover { group, key } => recover(client, context, &group, &recovery::read(&key)?).await,
        }
    }
}

impl Which {
    async fn set(self, client: &Client, context: &Context, file: Option<PathBuf>) -> Outcome {
        let Self { name, environment } = &self;
        let found = client.get(&["environments", environment.as_str()]).await?;
        let group = found.get("group").and_then(Value::as_str).and_then(|group| group.parse().ok());
        let group: Name = group.ok_or_else(unexpected)?;
        // Before the value is asked for: nobody likes to type it in vain.
        let mut signer = Signer::of(client, &group).await?;
        let value = read_secret(&format!("Value of {name} in {environment}"), file.as_deref())?;
        acceptable(&value)?;
        let mut tries = 1;
        let secret = loop {
            match self.put(&signer, &value).await {
                Err(error) if tries < TRIES && is_overtaken(&error) => signer = Signer::of(client, &group).await?,
                outcome => break outcome?,
            }
            tries += 1;
        };
        let version = secret.get("version").and_then(Value::as_u64).unwrap_or_default();
        context.screen.done(&format!("secret {name} is set in {environment}, version {version}"), &secret);
        Ok(())
    }

    async fn put(&self, signer: &Signer<'_>, value: &[u8]) -> Outcome<Value> {
        let Self { name, environment } = self;
        let path = ["environments", environment.as_str(), "secrets", name.as_str()];
        let slot = signer.client.get(&path).await?;
        let number = |key: &str| slot.get(key).and_then(Value::as_u64).ok_or_else(unexpected);
        let (replaces, version) = (number("version")?, number("next_version")?);
        if version <= replaces || version >= HIGHEST_VERSION {
            return Err(unexpected());
        }
        let place = Place::secret(signer.roster.organisation(), signer.roster.group(), environment, name);
        let (epoch, key) = signer.roster.epoch();
        let sealed = SealedSecret::seal(&place, version, epoch, &key, value, &signer.operator);
        let sealed = sealed.map_err(|error| failed(&error))?;
        signer.client.send(Call::put(&path, Body::Json(json!({"replaces": replaces, "sealed": sealed})))).await
    }
}

async fn rotate(client: &Client, context: &Context, environment: &Name, only: Option<&Name>) -> Outcome {
    let all = client.all(&["environments", environment.as_str(), "secrets"], &[]).await?;
    let named = |item: &&Value| only.is_none_or(|name| item.get("name").and_then(Value::as_str) == Some(name.as_str()));
    let exposed = |item: &&Value| item.get("exposed_to").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let items = all.get("items").and_then(Value::as_array).into_iter().flatten();
    let items: Vec<_> = items.filter(named).filter(exposed).cloned().collect();
    let some = !items.is_empty();
    context.screen.list(TO_ROTATE, &json!({"items": items, "next_cursor": null}));
    if some {
        context.screen.note(
            "make each of these anew at its provider, then set it with `wherry secret set`: \
             a new seal does not change what was read before",
        );
    }
    Ok(())
}

async fn recover(client: &Client, context: &Context, group: &Name, key: &SealingKey) -> Outcome {
    let mut signer = Signer::of(client, group).await?;
    let recipient = key.public();
    if !signer.roster.recovery().any(|known| *known == recipient) {
        let message = format!("{recipient} is not a recovery key of group {group}");
        return Err(CliError::new(Exit::Untrusted, codes::RECOVERY_KEY_INVALID, message)
            .fix(format!("give one of those that `wherry key roster --group {group}` shows")));
    }
    let epochs = epoch_keys(client, &signer, key).await?;
    let waiting = client.get(&["groups", group.as_str(), "joins"]).await?;
    let (mut admitted, mut skipped) = (Vec::new(), Vec::new());
    for pending in waiting.get("items").and_then(Value::as_array).into_iter().flatten() {
        let name = pending.get("name").cloned().unwrap_or_default();
        match admission(pending, &signer, &epochs) {
            Ok((op, wraps)) => {
                signer.append(op, wraps).await?;
                admitted.push(name);
            }
            Err(error) => {
                let called = name.as_str().unwrap_or("an agent without a name");
                context.screen.note(&format!("{called} is not admitted: {}", error.message));
                skipped.push(name);
            }
        }
    }
    let names: Vec<_> = admitted.iter().filter_map(Value::as_str).collect();
    let sentence = match names.as_slice() {
        [] if !skipped.is_empty() => format!("no agent has the keys of group {group} again: enrol those named anew"),
        [] => "no agent waits for the group's keys: enrol one, let it connect, and say this again".to_owned(),
        names => format!("{} have the keys of group {group} again", names.join(", ")),
    };
    context.screen.done(&sentence, &json!({"group": group, "admitted": admitted, "skipped": skipped}));
    Ok(())
}

/// What admits an agent that waits: the entry, and every epoch's key for it.
fn admission(pending: &Value, signer: &Signer<'_>, epochs: &[(u32, SealingKey)]) -> Outcome<(Op, Vec<Wrap>)> {
    let text = |name: &str| pending.get(name).and_then(Value::as_str).unwrap_or_default().as_bytes();
    let invite = Invite::from_json(text("invite")).map_err(|error| failed(&error))?;
    let join = Join::from_json(text("join")).map_err(|error| failed(&error))?;
    let place = (signer.roster.organisation(), signer.roster.group());
    let wraps = epochs.iter().map(|(epoch, key)| Wrap::seal(place, *epoch, key, *join.sealing_key()));
    let wraps = wraps.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    let op = Op::Add { invite, join };
    signer.allows(&op)?;
    Ok((op, wraps))
}

/// Every epoch's key that was wrapped to the recovery key, each checked against the roster.
async fn epoch_keys(client: &Client, signer: &Signer<'_>, key: &SealingKey) -> Outcome<Vec<(u32, SealingKey)>> {
    let group = signer.shown.name.as_str();
    let path = ["groups", group, "wraps"];
    let wraps = client.send(Call::get(&path).query("recipient", Some(key.public()))).await?;
    let mut keys = Vec::new();
    for wrap in wraps.get("items").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let wrap = Wrap::from_json(wrap.as_bytes()).map_err(|error| failed(&error))?;
        keys.push((wrap.epoch(), wrap.open(key, &signer.roster).map_err(|error| failed(&error))?));
    }
    if keys.iter().any(|(epoch, _)| *epoch == signer.roster.epoch().0) {
        return Ok(keys);
    }
    let message = "the group's newest key was never wrapped to this recovery key";
    Err(CliError::new(Exit::Failed, codes::RECOVERY_KEY_INVALID, message)
        .fix("an agent of the group wraps it as soon as one is connected; if all are lost, the secrets are lost"))
}

fn acceptable(value: &Zeroizing<Vec<u8>>) -> Outcome {
    let refused = |why: String| Err(CliError::new(Exit::Invalid, codes::SECRET_UNACCEPTABLE, why));
    if value.is_empty() {
        return refused("the value is empty".to_owned());
    }
    if value.len() > MAX_SECRET {
        return refused(format!("the value has {} bytes, at most {MAX_SECRET} are accepted", value.len()));
    }
    if std::str::from_utf8(value).is_err() {
        return refused("the value is not text: encode it, for example as base64".to_owned());
    }
    Ok(())
}

fn is_overtaken(error: &CliError) -> bool {
    ["secret.changed", "secret.epoch_stale"].contains(&error.code.as_str())
}

fn failed(error: &SealingError) -> CliError {
    CliError::new(Exit::Untrusted, error.code(), error.to_string())
}

fn unexpected() -> CliError {
    CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, "the controller's answer about a secret cannot be read")
        .fix("check that the controller has the same version as this tool")
}
