//! A group's roster as this tool sees it: fetched, verified, and compared with what was seen before.

use serde_json::{Value, json};
use wherry_domain::digest::Digest;
use wherry_domain::id::{GroupId, OrganisationId};
use wherry_domain::name::Name;
use wherry_trust::keys::{PublicKey, SigningKey};
use wherry_trust::sealing::roster::{Op, Roster, RosterError};
use wherry_trust::sealing::wrap::Wrap;

use crate::client::{Call, Client};
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::keystore::{Keystore, Pin};

/// More parts than a full roster has.
const MOST_PARTS: u64 = 200;

/// What the controller says of a group, before anything is believed.
pub(crate) struct Shown {
    pub(crate) organisation: OrganisationId,
    pub(crate) group: GroupId,
    pub(crate) name: Name,
    /// Every signature in it holds; whose roster it is, is another question.
    pub(crate) roster: Option<Roster>,
}

/// Fetches a group's roster and verifies it in itself.
pub(crate) async fn fetch(client: &Client, name: &Name) -> Outcome<Shown> {
    let mut entries: Vec<String> = Vec::new();
    for _ in 0..MOST_PARTS {
        let path = ["groups", name.as_str(), "roster"];
        let part = client.send(Call::get(&path).query("after", Some(entries.len()))).await?;
        let more: Vec<String> =
            part.get("entries").cloned().and_then(|all| serde_json::from_value(all).ok()).ok_or_else(unexpected)?;
        let total = part.get("n").and_then(Value::as_u64).ok_or_else(unexpected)?;
        let ended = more.is_empty();
        entries.extend(more);
        if ended || entries.len() as u64 >= total {
            let text = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            return Ok(Shown {
                organisation: text("organisation").parse().map_err(|_| unexpected())?,
                group: text("group_id").parse().map_err(|_| unexpected())?,
                name: name.clone(),
                roster: if entries.is_empty() {
                    None
                } else {
                    Some(Roster::fold(&entries).map_err(|error| refused(&error))?)
                },
            });
        }
    }
    Err(unexpected())
}

impl Shown {
    /// The roster, if it is the one this person knows: pinned before, or founded by this person's own invitation.
    /// What was seen is pinned.
    pub(crate) fn known(&self, client: &Client, keystore: &Keystore, operator: &PublicKey) -> Outcome<Option<&Roster>> {
        let pin = keystore.pin(client.url(), &self.name)?;
        let Some(roster) = &self.roster else {
            return match pin {
                None => Ok(None),
                Some(_) => Err(refused(&RosterError::Forked { n: 1 }).fix(reset_or_not(&self.name))),
            };
        };
        match pin {
            Some(pin) => {
                let same = pin.founding == roster.founding();
                let continued = if same { roster.continues(&pin.head) } else { Err(RosterError::Forked { n: 1 }) };
                continued.map_err(|error| refused(&error).fix(reset_or_not(&self.name)))?;
            }
            None if roster.founder() == operator => (),
            None => return Err(self.unpinned(roster)),
        }
        self.pin(client, keystore, roster)?;
        Ok(Some(roster))
    }

    /// Believes a roster because the person compared its fingerprint.
    pub(crate) fn pin_as(&self, client: &Client, keystore: &Keystore, fingerprint: &Digest) -> Outcome<&Roster> {
        let roster = self.roster.as_ref().ok_or_else(|| no_keys(&self.name))?;
        if roster.founding() != *fingerprint {
            let message = format!("the controller shows a roster with the fingerprint {}", roster.founding());
            return Err(CliError::new(Exit::Untrusted, codes::ROSTER_FORKED, message)
                .fix("compare with `wherry-agent status` on an agent of the group; if that agrees with you, do not trust the controller"));
        }
        self.pin(client, keystore, roster)?;
        Ok(roster)
    }

    fn pin(&self, client: &Client, keystore: &Keystore, roster: &Roster) -> Outcome {
        let pin = Pin { founding: roster.founding(), head: roster.head() };
        keystore.set_pin(client.url(), &self.name, &pin)
    }

    fn unpinned(&self, roster: &Roster) -> CliError {
        let message = format!("group {} was founded by another operator, {}", self.name, roster.founder());
        CliError::new(Exit::Untrusted, codes::ROSTER_UNPINNED, message).fix(format!(
            "compare the fingerprint {} with what `wherry-agent status` says on an agent of the group, \
             then run: wherry key pin --group {} {}",
            roster.founding(),
            self.name,
            roster.founding()
        ))
    }
}

/// A group whose roster is known, and the operator who may sign for it.
pub(crate) struct Signer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) keystore: Keystore,
    pub(crate) operator: SigningKey,
    pub(crate) shown: Shown,
    pub(crate) roster: Roster,
}

impl<'a> Signer<'a> {
    /// Fetches the roster and makes sure that this person is one of the group's operators.
    pub(crate) async fn of(client: &'a Client, group: &Name) -> Outcome<Self> {
        let keystore = Keystore::own()?;
        let (operator, _) = keystore.operator()?;
        let shown = fetch(client, group).await?;
        let public = operator.public();
        let roster = shown.known(client, &keystore, &public)?.ok_or_else(|| no_keys(group))?.clone();
        if !roster.is_operator(&public) {
            let message = format!("your key {public} is not an operator's of group {group}");
            return Err(CliError::new(Exit::Denied, codes::OPERATOR_UNKNOWN, message)
                .fix(format!("an operator of the group runs: wherry key trust-operator --group {group} {public}")));
        }
        Ok(Self { client, keystore, operator, shown, roster })
    }

    /// Whether the roster as it is known here would take this.
    pub(crate) fn allows(&self, op: &Op) -> Outcome {
        self.roster.entry(now_ms(), op.clone(), &self.operator).map(drop).map_err(|error| refused(&error))
    }

    /// Signs and appends an entry, with keys wrapped to those whom it admits.
    pub(crate) async fn append(&mut self, op: Op, wraps: Vec<Wrap>) -> Outcome {
        let entry = self.roster.entry(now_ms(), op, &self.operator).map_err(|error| refused(&error))?;
        let text = String::from_utf8(entry.clone()).map_err(|_| unexpected())?;
        let wraps: Vec<Value> = wraps.iter().filter_map(|wrap| serde_json::to_value(wrap).ok()).collect();
        let group = self.shown.name.clone();
        self.client.post(&["groups", group.as_str(), "roster"], json!({"entry": text, "wraps": wraps})).await?;
        self.roster.extend(&entry).map_err(|error| refused(&error))?;
        let pin = Pin { founding: self.roster.founding(), head: self.roster.head() };
        self.keystore.set_pin(self.client.url(), &group, &pin)
    }
}

/// Unix milliseconds of this machine.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// A group without a roster.
pub(crate) fn no_keys(group: &Name) -> CliError {
    let message = format!("no agent of group {group} has made the group's key yet");
    CliError::new(Exit::Conflict, codes::SECRET_NO_KEYRING, message)
        .fix(format!("enrol an agent with a token of `wherry agent token --group {group}`, and let it connect once"))
}

fn refused(error: &RosterError) -> CliError {
    CliError::new(Exit::Untrusted, error.code(), error.to_string())
}

fn reset_or_not(group: &Name) -> String {
    format!(
        "ask who runs the controller; only if the group's keys were reset on purpose, run: wherry key forget --group {group}"
    )
}

fn unexpected() -> CliError {
    CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, "the controller's answer about a roster cannot be read")
        .fix("check that the controller has the same version as this tool")
}
