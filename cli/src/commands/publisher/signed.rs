//! The publishers list under this person's own key. It comes from the controller, so what this person did not sign before
//! is told and agreed to first: who publishes, who else may sign the list, and above all the controller's own key, which
//! signs what agents may run.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};
use wherry_trust::chain::{OPERATOR_LIFE_MS, PublishersList};
use wherry_trust::keys::{PublicKey, SigningKey};
use wherry_trust::release::Publisher;

use super::LIST;
use crate::client::{Body, Call, Client};
use crate::codes;
use crate::commands::Context;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::keystore::Keystore;
use crate::prompt::confirm;
use crate::roster::now_ms;
use crate::text::plain;

/// What is agreed to before a list is signed.
#[derive(Debug, Args)]
pub(crate) struct Agreed {
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// The controller's new catalogue key, ed25519:..., once you compared it with the one on its machine. Where operators
    /// sign the list.
    #[arg(long, value_name = "KEY")]
    accept_catalogue_key: Option<PublicKey>,
    /// An earlier catalogue key that stays in the list beside the present one; may be given several times.
    #[arg(long, value_name = "KEY")]
    keep_catalogue_key: Vec<PublicKey>,
}

impl Agreed {
    pub(super) fn yes(&self) -> bool {
        self.yes
    }
}

/// The list in force, with who signed it.
pub(super) struct Signed {
    list: PublishersList,
    envelope: wherry_trust::dsse::Envelope,
    catalogue_key: PublicKey,
    by_operator: bool,
}

impl Signed {
    /// The list, if operators sign it.
    pub(super) async fn fetch(client: &Client) -> Outcome<Option<Self>> {
        Self::read(&client.get(&LIST).await?).map(|signed| Some(signed).filter(|signed| signed.by_operator))
    }

    pub(super) fn read(answer: &Value) -> Outcome<Self> {
        let field = |name: &str| answer.get(name).and_then(Value::as_str);
        let envelope = answer.get("envelope").map(Value::to_string).unwrap_or_default();
        let (list, envelope) = PublishersList::read(envelope.as_bytes())
            .map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
        let catalogue_key = field("catalogue_key").and_then(|key| key.parse().ok()).ok_or_else(|| {
            CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, "the controller names no catalogue key")
        })?;
        Ok(Self { list, envelope, catalogue_key, by_operator: field("signed_by") == Some("operator") })
    }

    pub(super) fn publisher(&self, name: &str) -> Outcome<&Publisher> {
        let missing = || {
            let code = wherry_domain::failure::Code::new("publisher.not_found");
            CliError::new(Exit::NotFound, code, format!("there is no publisher {name}"))
                .fix("see `wherry publisher list`")
        };
        self.list.publishers.iter().find(|publisher| publisher.name == name).ok_or_else(missing)
    }

    /// Signs what the list becomes, sends it, and remembers it on this machine.
    pub(super) async fn change(
        self,
        context: &Context,
        client: &Client,
        agreed: &Agreed,
        change: impl FnOnce(&mut PublishersList),
    ) -> Outcome<Value> {
        let keystore = Keystore::own()?;
        let (operator, _) = keystore.operator()?;
        let last = keystore.signed_publishers(client.url())?;
        let replaced = last.as_ref().filter(|last| {
            self.list.version < last.version || (self.list.version == last.version && self.list != **last)
        });
        let mine = replaced.is_none() && self.is_signed_by(&operator);
        // The last list that was signed here, and not what the controller shows, says which keys were agreed to.
        let known = last.as_ref().unwrap_or(&self.list).catalogue_keys.clone();
        let keys = next_keys(&known, self.catalogue_key, &agreed.keep_catalogue_key)?;
        if let Some(last) = replaced {
            self.replaced(last, agreed, context)?;
        }
        let mut list = self.list;
        change(&mut list);
        if !list.operators.contains(&operator.public()) {
            list.operators.push(operator.public());
        }
        list.catalogue_keys = keys;
        list.version = last.as_ref().map_or(0, |last| last.version).max(list.version).saturating_add(1);
        // A list that was older does not take a revocation back.
        list.revoked_keys.extend(last.into_iter().flat_map(|last| last.revoked_keys));
        list.issued_ms = now_ms();
        list.expires_ms = list.issued_ms.saturating_add(OPERATOR_LIFE_MS);
        agree(context, &list, (&known, self.catalogue_key), mine, agreed)?;
        let envelope =
            list.sign(&operator).map_err(|error| CliError::new(Exit::Invalid, error.code(), error.to_string()))?;
        let answer = client.send(Call::put(&LIST, Body::Json(json!({"envelope": envelope})))).await?;
        if let Err(error) = keystore.set_signed_publishers(client.url(), &list) {
            context.screen.note(&format!("what was signed is not remembered on this machine: {error}"));
        }
        Ok(answer)
    }

    /// The controller shows another list than the last that was signed here, and no newer one.
    fn replaced(&self, last: &PublishersList, agreed: &Agreed, context: &Context) -> Outcome {
        let message = format!(
            "the controller shows version {} of the publishers list, which is not what was signed here as version {}",
            self.list.version, last.version
        );
        if agreed.yes {
            return Err(CliError::new(Exit::Untrusted, codes::CATALOGUE_ROLLED_BACK, message).fix(
                "nothing was signed: if the controller was restored from a copy, run the command without --yes at a \
                 terminal and answer; if not, ask who runs it",
            ));
        }
        context.screen.note(&message);
        Ok(())
    }

    fn is_signed_by(&self, operator: &SigningKey) -> bool {
        let limits = wherry_trust::dsse::Limits::default();
        self.envelope.verify(wherry_trust::chain::PUBLISHERS_TYPE, &[operator.public()], &limits).is_ok()
    }
}

/// Tells what this person did not sign before, and asks.
fn agree(
    context: &Context,
    list: &PublishersList,
    (known, present): (&[PublicKey], PublicKey),
    mine: bool,
    agreed: &Agreed,
) -> Outcome {
    if !mine {
        for Publisher { name, key, prefix } in &list.publishers {
            context.screen.note(&format!("publisher {} may sign {prefix} with {key}", plain(name)));
        }
        for key in &list.operators {
            context.screen.note(&format!("operator {key} may sign this list"));
        }
    }
    let differ = known.iter().collect::<BTreeSet<_>>() != list.catalogue_keys.iter().collect();
    if !mine || differ {
        told(known, &list.catalogue_keys).iter().for_each(|line| context.screen.note(line));
    }
    if known.contains(&present) {
        let asks = !mine || differ;
        return if asks {
            confirm("Sign this list? Compare each key with whom it belongs to.", agreed.yes)
        } else {
            Ok(())
        };
    }
    match (agreed.accept_catalogue_key, agreed.yes) {
        (Some(accepted), _) if accepted == present => {
            if mine {
                Ok(())
            } else {
                confirm("Sign this list? Compare each key with whom it belongs to.", agreed.yes)
            }
        }
        (Some(_), _) | (None, true) => {
            let message = format!("the controller signs with {present}, a catalogue key that this list did not name");
            Err(CliError::new(Exit::Untrusted, codes::CATALOGUE_KEY_CHANGED, message).fix(format!(
                "nothing was signed: run `wherry connector key show ca/catalogue.key --public` in the data folder on the \
                 controller's machine; if it says the same, add --accept-catalogue-key {present}"
            )))
        }
        (None, false) => confirm("Sign this list, with another key of the controller?", false),
    }
}

/// The controller's present key, and earlier ones that are to stay.
fn next_keys(known: &[PublicKey], present: PublicKey, keep: &[PublicKey]) -> Outcome<Vec<PublicKey>> {
    let mut keys = vec![present];
    for key in keep {
        if !known.contains(key) {
            let message = format!("the list names no catalogue key {key} that could stay");
            return Err(CliError::new(Exit::Invalid, codes::CATALOGUE_KEY_CHANGED, message)
                .fix("give a key that the list names, or leave --keep-catalogue-key out"));
        }
        if !keys.contains(key) {
            keys.push(*key);
        }
    }
    Ok(keys)
}

/// What becomes of the controller's keys, a line each.
fn told(known: &[PublicKey], next: &[PublicKey]) -> Vec<String> {
    let signs = next.iter().map(|key| {
        let news = if known.contains(key) { "" } else { ", which is new" };
        format!("catalogue key {key} signs what agents may run{news}")
    });
    let gone = known.iter().filter(|key| !next.contains(key));
    signs.chain(gone.map(|key| format!("catalogue key {key} counts no more"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_key_replaces_those_before_unless_they_are_to_stay() {
        let [old, other, new] = [1, 2, 3].map(|_| SigningKey::generate().unwrap().public());
        assert_eq!(next_keys(&[old, other], new, &[]).unwrap(), [new]);
        assert_eq!(next_keys(&[old, other], new, &[old, new]).unwrap_err().code, codes::CATALOGUE_KEY_CHANGED);
        assert_eq!(next_keys(&[old, other], new, &[old, old]).unwrap(), [new, old]);
        assert_eq!(next_keys(&[old, new], new, &[new]).unwrap(), [new]);
        let lines = told(&[old, other], &[new, other]);
        assert_eq!(
            lines,
            [
                format!("catalogue key {new} signs what agents may run, which is new"),
                format!("catalogue key {other} signs what agents may run"),
                format!("catalogue key {old} counts no more"),
            ]
        );
    }
}
