//! `wherry publisher`: whose connectors the organisation runs.
//!
//! While no operator has signed the publishers list, the controller keeps it. From the first signed one on, each change
//! is made here: the list is fetched, shown, changed, signed with the operator's own key, and sent back. Agents then
//! believe no list that an operator did not sign.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_trust::chain::{OPERATOR_LIFE_MS, PublishersList};
use wherry_trust::keys::{PublicKey, SigningKey};
use wherry_trust::release::{Prefix, Publisher};

use super::Context;
use crate::client::{Body, Call, Client};
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::keystore::Keystore;
use crate::prompt::confirm;
use crate::roster::now_ms;
use crate::table::{Column, text, time};

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
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Signs the publishers list with your operator key. From then on only operators change it.
    Sign {
        /// Another operator who may sign the list, ed25519:...; may be given several times.
        #[arg(long = "operator", value_name = "KEY")]
        operators: Vec<PublicKey>,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
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
        /// Does not ask.
        #[arg(long)]
        yes: bool,
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
    /// Signs a changed list without asking, where operators sign it.
    #[arg(long)]
    yes: bool,
}

impl Publishers {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Trusting(command) => command.run(context).await,
            Self::Revoke { name, yes } => revoke(context, &name, yes).await,
            Self::Sign { operators, yes } => sign(context, operators, yes).await,
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
            Self::Distrust { name, yes } => distrust(context, &name, yes).await,
        }
    }
}

impl Trust {
    async fn run(self, context: &Context) -> Outcome {
        let Self { name, key, prefix, yes } = self;
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
            .change(context, &client, yes, |list| {
                list.publishers.retain(|known| known.name != publisher.name);
                list.publishers.push(publisher);
            })
            .await?;
        context.screen.done(&sentence, &item);
        Ok(())
    }
}

async fn distrust(context: &Context, name: &str, yes: bool) -> Outcome {
    confirm(&format!("Trust publisher {name} no longer?"), yes)?;
    let client = context.client()?;
    match Signed::fetch(&client).await? {
        None => drop(client.delete(&["publishers", name]).await?),
        Some(signed) => {
            signed.publisher(name)?;
            signed.change(context, &client, yes, |list| list.publishers.retain(|known| known.name != name)).await?;
        }
    }
    context.screen.done(&format!("publisher {name} is trusted no longer"), &json!({"name": name, "trusted": false}));
    Ok(())
}

async fn revoke(context: &Context, name: &str, yes: bool) -> Outcome {
    confirm(&format!("Revoke the key of publisher {name} for good? Nothing that it signed runs any more."), yes)?;
    let client = context.client()?;
    match Signed::fetch(&client).await? {
        None => drop(client.send(Call::post(&["publishers", name, "revoke"], Body::None)).await?),
        Some(signed) => {
            let key = signed.publisher(name)?.key;
            signed
                .change(context, &client, yes, |list| {
                    list.publishers.retain(|known| known.name != name);
                    list.revoked_keys.insert(key);
                })
                .await?;
        }
    }
    context.screen.done(&format!("the key of publisher {name} is revoked"), &json!({"name": name, "revoked": true}));
    Ok(())
}

async fn sign(context: &Context, operators: Vec<PublicKey>, yes: bool) -> Outcome {
    let client = context.client()?;
    let signed = Signed::read(&client.get(&LIST).await?)?;
    let sent = signed
        .change(context, &client, yes, |list| {
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

/// The list in force, with who signed it.
struct Signed {
    list: PublishersList,
    envelope: wherry_trust::dsse::Envelope,
    catalogue_key: PublicKey,
    by_operator: bool,
}

impl Signed {
    /// The list, if operators sign it.
    async fn fetch(client: &Client) -> Outcome<Option<Self>> {
        Self::read(&client.get(&LIST).await?).map(|signed| Some(signed).filter(|signed| signed.by_operator))
    }

    fn read(answer: &Value) -> Outcome<Self> {
        let field = |name: &str| answer.get(name).and_then(Value::as_str);
        let envelope = answer.get("envelope").map(Value::to_string).unwrap_or_default();
        let (list, envelope) = PublishersList::read(envelope.as_bytes())
            .map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
        let catalogue_key = field("catalogue_key").and_then(|key| key.parse().ok()).ok_or_else(|| {
            CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, "the controller names no catalogue key")
        })?;
        Ok(Self { list, envelope, catalogue_key, by_operator: field("signed_by") == Some("operator") })
    }

    fn publisher(&self, name: &str) -> Outcome<&Publisher> {
        let missing = || {
            let code = wherry_domain::failure::Code::new("publisher.not_found");
            CliError::new(Exit::NotFound, code, format!("there is no publisher {name}"))
                .fix("see `wherry publisher list`")
        };
        self.list.publishers.iter().find(|publisher| publisher.name == name).ok_or_else(missing)
    }

    /// Signs what the list becomes, and sends it. What this operator did not sign before is shown first: the list came
    /// from the controller.
    async fn change(
        self,
        context: &Context,
        client: &Client,
        yes: bool,
        change: impl FnOnce(&mut PublishersList),
    ) -> Outcome<Value> {
        let (operator, _) = Keystore::own()?.operator()?;
        let mine = self.is_signed_by(&operator);
        let mut list = self.list;
        change(&mut list);
        if !list.operators.contains(&operator.public()) {
            list.operators.push(operator.public());
        }
        if !list.catalogue_keys.contains(&self.catalogue_key) {
            list.catalogue_keys.push(self.catalogue_key);
        }
        list.version += 1;
        list.issued_ms = now_ms();
        list.expires_ms = list.issued_ms.saturating_add(OPERATOR_LIFE_MS);
        if !mine {
            for Publisher { name, key, prefix } in &list.publishers {
                context.screen.note(&format!("publisher {name} may sign {prefix} with {key}"));
            }
            for key in &list.operators {
                context.screen.note(&format!("operator {key} may sign this list"));
            }
            confirm("Sign this list? Compare each key with whom it belongs to.", yes)?;
        }
        let envelope =
            list.sign(&operator).map_err(|error| CliError::new(Exit::Invalid, error.code(), error.to_string()))?;
        client.send(Call::put(&LIST, Body::Json(json!({"envelope": envelope})))).await
    }

    fn is_signed_by(&self, operator: &SigningKey) -> bool {
        let limits = wherry_trust::dsse::Limits::default();
        self.envelope.verify(wherry_trust::chain::PUBLISHERS_TYPE, &[operator.public()], &limits).is_ok()
    }
}
