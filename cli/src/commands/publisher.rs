//! `wherry publisher`: whose connectors the organisation runs.
//!
//! While no operator has signed the publishers list, the controller keeps it. From the first signed one on, each change
//! is made here: the list is fetched, shown, changed, signed with the operator's own key, and sent back. Agents then
//! believe no list that an operator did not sign.
//!
//! A list names the controller's present catalogue key alone, so that one that was stolen is good for nothing after the
//! next signature.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_trust::keys::PublicKey;
use wherry_trust::release::{Prefix, Publisher};

use self::signed::{Agreed, Signed};
use super::Context;
use crate::client::{Body, Call};
use crate::error::Outcome;
use crate::prompt::confirm;
use crate::table::{Column, text, time};
use crate::text::plain;

mod signed;

const LIST: [&str; 2] = ["catalogue", "publishers"];
const PUBLISHERS: &[Column] =
    &[text("NAME", "name"), text("KEY", "key"), text("PREFIX", "prefix"), time("TRUSTED", "created_at")];

#[derive(Debug, Subcommand)]
pub(crate) enum Publishers {
    #[command(flatten)]
    Trusting(Trusting),
    /// Revokes a publisher's key for good: nothing that it signed runs any more, on any agent.
    Revoke {
        /// The publisher's name.
        name: String,
        #[command(flatten)]
        agreed: Agreed,
    },
    /// Signs the publishers list with your operator key. From then on only operators change it.
    Sign {
        /// Another operator who may sign the list, ed25519:...; may be given several times.
        #[arg(long = "operator", value_name = "KEY")]
        operators: Vec<PublicKey>,
        #[command(flatten)]
        agreed: Agreed,
    },
}

/// What `wherry key` offers as well.
#[derive(Debug, Subcommand)]
pub(crate) enum Trusting {
    /// Lists the publishers that the organisation trusts.
    List,
    /// Trusts a publisher's key.
    Trust(Trust),
    /// Trusts a publisher no longer. Agents do not load its connectors again.
    Distrust {
        /// The publisher's name.
        name: String,
        #[command(flatten)]
        agreed: Agreed,
    },
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
    #[command(flatten)]
    agreed: Agreed,
}

impl Publishers {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Trusting(command) => command.run(context).await,
            Self::Revoke { name, agreed } => revoke(context, &name, &agreed).await,
            Self::Sign { operators, agreed } => sign(context, operators, &agreed).await,
        }
    }
}

impl Trusting {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::List => {
                context.screen.list(PUBLISHERS, &context.client()?.all(&["publishers"], &[]).await?);
                Ok(())
            }
            Self::Trust(trust) => trust.run(context).await,
            Self::Distrust { name, agreed } => distrust(context, &name, &agreed).await,
        }
    }
}

impl Trust {
    async fn run(self, context: &Context) -> Outcome {
        let Self { name, key, prefix, agreed } = self;
        let client = context.client()?;
        let sentence = format!("publisher {name} may sign {prefix} with key {}", key.key_id());
        let Some(signed) = Signed::fetch(&client).await? else {
            let publisher = client.post(&["publishers"], json!({"name": name, "key": key, "prefix": prefix})).await?;
            context.screen.done(&sentence, &publisher);
            return Ok(());
        };
        let publisher = Publisher { name, key, prefix };
        let item = json!({"name": publisher.name, "key": publisher.key, "prefix": publisher.prefix});
        signed
            .change(context, &client, &agreed, |list| {
                list.publishers.retain(|known| known.name != publisher.name);
                list.publishers.push(publisher);
            })
            .await?;
        context.screen.done(&sentence, &item);
        Ok(())
    }
}

async fn distrust(context: &Context, name: &str, agreed: &Agreed) -> Outcome {
    confirm(&format!("Trust publisher {name} no longer?"), agreed.yes())?;
    let client = context.client()?;
    match Signed::fetch(&client).await? {
        None => drop(client.delete(&["publishers", name]).await?),
        Some(signed) => {
            signed.publisher(name)?;
            signed.change(context, &client, agreed, |list| list.publishers.retain(|known| known.name != name)).await?;
        }
    }
    context.screen.done(&format!("publisher {name} is trusted no longer"), &json!({"name": name, "trusted": false}));
    Ok(())
}

async fn revoke(context: &Context, name: &str, agreed: &Agreed) -> Outcome {
    confirm(
        &format!("Revoke the key of publisher {name} for good? Nothing that it signed runs any more."),
        agreed.yes(),
    )?;
    let client = context.client()?;
    let done = match Signed::fetch(&client).await? {
        None => client.send(Call::post(&["publishers", name, "revoke"], Body::None)).await?,
        Some(signed) => {
            let key = signed.publisher(name)?.key;
            signed
                .change(context, &client, agreed, |list| {
                    list.publishers.retain(|known| known.key != key);
                    list.revoked_keys.insert(key);
                })
                .await?
        }
    };
    let environments = done.get("environments").cloned().unwrap_or_default();
    let sentence = format!("the key of publisher {name} is revoked{}", stopped(&environments));
    context.screen.done(&sentence, &json!({"name": name, "revoked": true, "environments": environments}));
    Ok(())
}

/// Where a connector stops, which people want to know at once.
fn stopped(environments: &Value) -> String {
    let names: Vec<String> =
        environments.as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!("; connectors that it signed stop in {}, until they are upgraded there", names.join(", ")),
    }
}

async fn sign(context: &Context, operators: Vec<PublicKey>, agreed: &Agreed) -> Outcome {
    let client = context.client()?;
    let signed = Signed::read(&client.get(&LIST).await?)?;
    let sent = signed
        .change(context, &client, agreed, |list| {
            for operator in operators {
                if !list.operators.contains(&operator) {
                    list.operators.push(operator);
                }
            }
        })
        .await?;
    context.screen.done("the publishers list is signed: from now on only operators change it", &sent);
    Ok(())
}
