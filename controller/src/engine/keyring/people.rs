//! What people ask of keyrings and do with them.

use wherry_domain::{
    id::{AgentId, GroupId, OrganisationId},
    name::Name,
};
use wherry_proto::frame::WrappedKey;
use wherry_trust::sealing::{
    roster::{Entry, RosterError},
    secret::{Kind, SealedSecret},
    wrap::Wrap,
};

use super::{SecretKey, secrets::Setting};
use crate::{
    engine::{Ledger, Page, Refusal, Turn},
    model::SecretRecord,
};

/// A secret as people see it: never its value.
#[derive(Clone, Debug)]
pub struct SecretView {
    /// What is stored of it.
    pub record: SecretRecord,
    /// Names or ids of agents that could read the value and were removed since.
    pub exposed_to: Vec<String>,
    /// The version that its next value needs.
    pub next_version: u64,
}

/// A part of a group's roster.
#[derive(Clone, Debug)]
pub struct RosterView {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The group.
    pub group: GroupId,
    /// Its name.
    pub group_name: Name,
    /// How many entries there are.
    pub n: u64,
    /// Some of them, in order.
    pub entries: Vec<String>,
}

impl Ledger {
    /// Secrets of an environment that are set, by name.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn secrets(
        &self,
        environment: Name,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page<SecretView, Name>, Refusal> {
        self.act(move |turn| {
            let group = turn.environment(&environment)?.group;
            let all = turn.state.keyrings.get(&group).map(|keyring| keyring.secrets.values()).into_iter().flatten();
            let set = all.filter(|record| record.environment == environment && !record.removed);
            let later = |name: &str| after.as_ref().is_none_or(|after| name > after.as_str());
            let mut wanted = set.filter(|record| record.kind == Kind::Secret && later(&record.name));
            let items: Vec<_> = wanted.by_ref().take(limit).map(|record| turn.secret_view(group, record)).collect();
            let last = || items.last().and_then(|view| view.record.name.parse().ok());
            let next = wanted.next().and_then(|_| last());
            Ok(Page { items, next })
        })
        .await
    }

    /// A secret, and the version that the next value needs; nothing is told of one that was never set but that.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn secret(&self, environment: Name, name: Name) -> Result<(Option<SecretView>, u64, u64), Refusal> {
        self.act(move |turn| {
            let group = turn.environment(&environment)?.group;
            let key = secret_key(environment, &name);
            let record = turn.state.keyrings.get(&group).and_then(|keyring| keyring.secrets.get(&key));
            let view = record.filter(|record| !record.removed).map(|record| turn.secret_view(group, record));
            Ok((view, record.map_or(0, |record| record.version), turn.next_version(record)))
        })
        .await
    }

    /// Takes a sealed secret in place of the version it `replaces`, 0 for none.
    ///
    /// # Errors
    /// If the agents would refuse it, or it changed meanwhile.
    pub async fn set_secret(
        &self,
        who: String,
        (environment, name): (Name, Name),
        replaces: u64,
        sealed: Vec<u8>,
    ) -> Result<SecretView, Refusal> {
        let sealed = SealedSecret::from_json(&sealed)
            .map_err(|error| Refusal { code: error.code(), ..Refusal::invalid("seal.malformed", error.to_string()) })?;
        self.begin(move |turn| {
            let group = turn.environment(&environment)?.group;
            let place = sealed.place();
            if *place.environment() != environment || place.name() != name.as_str() || place.kind() != Kind::Secret {
                let message = "the secret was sealed for another name or environment: seal it for this one";
                return Err(Refusal::invalid("seal.misplaced", message));
            }
            let record =
                turn.set_sealed(group, &sealed, &Setting { who: &who, replaces: Some(replaces), resealed: false })?;
            turn.audit(&who, "secret.set", &format!("{environment}/{name}"), &format!("version {}", record.version));
            Ok(turn.secret_view(group, &record))
        })
        .await
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// If there is none.
    pub async fn remove_secret(&self, who: String, environment: Name, name: Name) -> Result<(), Refusal> {
        self.act(move |turn| {
            let group = turn.environment(&environment)?.group;
            turn.remove_sealed(group, &secret_key(environment.clone(), &name))?;
            turn.audit(&who, "secret.remove", &format!("{environment}/{name}"), "");
            Ok(())
        })
        .await
    }

    /// Entries of a group's roster after the `after`th.
    ///
    /// # Errors
    /// If there is no such group.
    pub async fn roster(&self, group: Name, after: u64, limit: usize) -> Result<RosterView, Refusal> {
        self.act(move |turn| {
            let (id, group_name) = turn.keyring_group(&group)?;
            let entries = turn.state.keyrings.get(&id).map_or(&[][..], |keyring| keyring.entries.as_slice());
            let skipped = usize::try_from(after).unwrap_or(usize::MAX);
            Ok(RosterView {
                organisation: turn.state.organisation,
                group: id,
                group_name,
                n: entries.len() as u64,
                entries: entries.iter().skip(skipped).take(limit).cloned().collect(),
            })
        })
        .await
    }

    /// Appends an entry that an operator signed, with keys wrapped to those whom it admits.
    ///
    /// # Errors
    /// If it does not follow the last one, or the roster does not allow it.
    pub async fn append_roster(
        &self,
        who: String,
        group: Name,
        entry: Vec<u8>,
        wraps: Vec<Vec<u8>>,
    ) -> Result<RosterView, Refusal> {
        let wraps = wraps.iter().map(|wrap| Wrap::from_json(wrap)).collect::<Result<Vec<_>, _>>();
        let wraps = wraps.map_err(|error| Refusal::invalid("seal.malformed", error.to_string()))?;
        self.begin(move |turn| {
            let (id, group_name) = turn.keyring_group(&group)?;
            let signer = Entry::peek(&entry).map_err(|error| of_roster(&error))?.by;
            let roster = turn.state.keyrings.get(&id).and_then(|keyring| keyring.roster.as_ref());
            if !roster.is_some_and(|roster| roster.is_operator(&signer)) {
                let message = "only an operator of the group appends here: see wherry key operator";
                return Err(Refusal::conflict("roster.not_allowed", message));
            }
            turn.append_all(id, &who, vec![entry]).map_err(|error| of_roster(&error))?;
            for wrap in wraps {
                let recipient = wrap.recipient().to_string();
                turn.take_wrap(id, &WrappedKey { epoch: wrap.epoch(), recipient, wrapped: wrap.to_json() }, false);
            }
            let n = turn.state.keyrings.get(&id).map_or(0, |keyring| keyring.entries.len() as u64);
            Ok(RosterView { organisation: turn.state.organisation, group: id, group_name, n, entries: Vec::new() })
        })
        .await
    }

    /// Forgets a group's roster with every key and secret of it, so that it can be founded anew.
    ///
    /// # Errors
    /// If there is no such group, or it has no roster.
    pub async fn reset_roster(&self, who: String, group: Name) -> Result<(), Refusal> {
        self.begin(move |turn| {
            let (id, _) = turn.keyring_group(&group)?;
            let known = turn.state.keyrings.get_mut(&id).filter(|keyring| keyring.roster.is_some());
            let keyring = std::mem::take(known.ok_or_else(super::secrets::no_keyring)?);
            turn.drop_keyring(id, keyring);
            turn.audit(&who, "roster.reset", group.as_str(), "");
            turn.touch_keyring(id);
            Ok(())
        })
        .await
    }

    /// Keys wrapped to one recipient.
    ///
    /// # Errors
    /// If there is no such group.
    pub async fn wraps(&self, group: Name, recipient: String) -> Result<Vec<String>, Refusal> {
        self.act(move |turn| {
            let (id, _) = turn.keyring_group(&group)?;
            let all = turn.state.keyrings.get(&id).map(|keyring| keyring.wraps.iter()).into_iter().flatten();
            Ok(all.filter(|((to, _), _)| to.to_string() == recipient).map(|(_, wrap)| wrap.clone()).collect())
        })
        .await
    }

    /// Agents of a group that wait to be admitted: id, name, invitation and what they ask.
    ///
    /// # Errors
    /// If there is no such group.
    pub async fn pending_joins(&self, group: Name) -> Result<Vec<(AgentId, Name, String, String)>, Refusal> {
        self.act(move |turn| {
            let (id, _) = turn.keyring_group(&group)?;
            let roster = turn.state.keyrings.get(&id).and_then(|keyring| keyring.roster.as_ref());
            let of_group = turn.state.agents.values().filter(|state| state.agent.group == id);
            let waiting = of_group.filter(|state| roster.is_none_or(|roster| roster.member(state.agent.id).is_none()));
            let pending = waiting.filter_map(|state| {
                let told = state.session.as_ref()?.keyring.as_ref()?;
                let join = String::from_utf8(told.join.clone()).ok().filter(|join| !join.is_empty())?;
                Some((state.agent.id, state.agent.name.clone(), state.agent.invite.clone()?, join))
            });
            Ok(pending.collect())
        })
        .await
    }
}

impl Turn<'_> {
    fn keyring_group(&self, name: &Name) -> Result<(GroupId, Name), Refusal> {
        let missing =
            || Refusal::not_found("group.not_found", format!("there is no group {name}: see wherry group list"));
        self.state.group_named(name).map(|state| (state.group.id, state.group.name.clone())).ok_or_else(missing)
    }

    fn secret_view(&self, group: GroupId, record: &SecretRecord) -> SecretView {
        let roster = self.state.keyrings.get(&group).and_then(|keyring| keyring.roster.as_ref());
        let gone = roster.map(|roster| roster.removed_since(record.set_at_n)).into_iter().flatten();
        SecretView {
            record: record.clone(),
            exposed_to: gone.map(|agent| self.state.directory.agent(agent)).collect(),
            next_version: self.next_version(Some(record)),
        }
    }
}

fn secret_key(environment: Name, name: &Name) -> SecretKey {
    (environment, Kind::Secret, name.to_string())
}

fn of_roster(error: &RosterError) -> Refusal {
    let message = error.to_string();
    let refusal = match error {
        RosterError::Forked { .. } | RosterError::NotAllowed { .. } | RosterError::Full => {
            Refusal::conflict("roster.forked", message)
        }
        RosterError::Malformed { .. } | RosterError::SignatureInvalid { .. } | RosterError::Unavailable(_) => {
            Refusal::invalid("roster.malformed", message)
        }
    };
    Refusal { code: error.code(), ..refusal }
}
