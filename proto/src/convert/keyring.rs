//! Frames about a group's keys.

use wherry_domain::failure::Code;

use super::{Invalid, bounded, parse};
use crate::{
    MAX_ENTRY, MAX_KEYRING_ITEMS, MAX_KEYRING_TEXT, MAX_SEALED, MAX_WRAP,
    frame::{
        Departed, Keyring, KeyringReport, KeyringState, KeyringTrouble, MissingWrap, PendingJoin, RemovedItem,
        SealedItem, WrappedKey,
    },
    wire::{
        self,
        keyring_report::{State, Trouble},
    },
};

/// `x25519:` and base64url of 32 bytes.
const MAX_RECIPIENT: usize = 64;
/// SHA-256, or nothing.
const MAX_HEAD: usize = 32;

pub(super) fn report(wire: wire::KeyringReport) -> Result<KeyringReport, Invalid> {
    let state = match wire.state() {
        State::Unspecified | State::None => KeyringState::None,
        State::PendingKeys => KeyringState::PendingKeys,
        State::Member => KeyringState::Member,
        State::Removed => KeyringState::Removed,
    };
    bounded("roster_head", wire.roster_head.len(), MAX_HEAD)?;
    bounded("join", wire.join.len(), MAX_ENTRY)?;
    Ok(KeyringReport {
        roster_n: wire.roster_n,
        roster_head: wire.roster_head,
        secrets_revision: wire.secrets_revision,
        state,
        append: entries("append", wire.append)?,
        wraps: few("wraps", wire.wraps, wrapped)?,
        resealed: few("resealed", wire.resealed, sealed)?,
        join: wire.join,
        trouble: wire
            .trouble
            .map(|wire| KeyringTrouble { code: Code::received(&wire.code), message: cut(wire.message) }),
    })
}

pub(super) fn wire_report(report: KeyringReport) -> wire::KeyringReport {
    let state = match report.state {
        KeyringState::None => State::None,
        KeyringState::PendingKeys => State::PendingKeys,
        KeyringState::Member => State::Member,
        KeyringState::Removed => State::Removed,
    };
    wire::KeyringReport {
        roster_n: report.roster_n,
        roster_head: report.roster_head,
        secrets_revision: report.secrets_revision,
        state: state.into(),
        append: report.append,
        wraps: report.wraps.into_iter().map(wire_wrapped).collect(),
        resealed: report.resealed.into_iter().map(wire_sealed).collect(),
        join: report.join,
        trouble: report
            .trouble
            .map(|KeyringTrouble { code, message }| Trouble { code: code.as_str().to_owned(), message: cut(message) }),
    }
}

pub(super) fn keyring(wire: wire::Keyring) -> Result<Keyring, Invalid> {
    Ok(Keyring {
        roster_first: wire.roster_first,
        entries: entries("entries", wire.entries)?,
        roster_n: wire.roster_n,
        wraps: few("wraps", wire.wraps, wrapped)?,
        joins: few("joins", wire.joins, pending)?,
        departed: few("departed", wire.departed, |one| {
            Ok(Departed { agent: parse("agent_id", &one.agent_id)?, reason: cut(one.reason) })
        })?,
        missing: few("missing", wire.missing, |one| {
            bounded("recipient", one.recipient.len(), MAX_RECIPIENT)?;
            Ok(MissingWrap { epoch: one.epoch, recipient: one.recipient })
        })?,
        secrets: few("secrets", wire.secrets, sealed)?,
        removed: few("removed", wire.removed, |one| {
            let (environment, name) = (parse("environment", &one.environment)?, parse("name", &one.name)?);
            Ok(RemovedItem { environment, name, version: one.version })
        })?,
        revision: wire.revision,
        more: wire.more,
        tends: wire.tends,
        since: wire.since,
        epochs_in_use: few("epochs_in_use", wire.epochs_in_use, Ok)?,
    })
}

pub(super) fn wire_keyring(keyring: Keyring) -> wire::Keyring {
    let departed = |Departed { agent, reason }| wire::Departed { agent_id: agent.to_string(), reason: cut(reason) };
    let removed = |RemovedItem { environment, name, version }| wire::RemovedSecret {
        environment: environment.to_string(),
        name: name.to_string(),
        version,
    };
    wire::Keyring {
        roster_first: keyring.roster_first,
        entries: keyring.entries,
        roster_n: keyring.roster_n,
        wraps: keyring.wraps.into_iter().map(wire_wrapped).collect(),
        joins: keyring
            .joins
            .into_iter()
            .map(|PendingJoin { join, invite }| wire::PendingJoin { join, invite })
            .collect(),
        departed: keyring.departed.into_iter().map(departed).collect(),
        missing: keyring
            .missing
            .into_iter()
            .map(|MissingWrap { epoch, recipient }| wire::MissingWrap { epoch, recipient })
            .collect(),
        secrets: keyring.secrets.into_iter().map(wire_sealed).collect(),
        removed: keyring.removed.into_iter().map(removed).collect(),
        revision: keyring.revision,
        more: keyring.more,
        tends: keyring.tends,
        since: keyring.since,
        epochs_in_use: keyring.epochs_in_use,
    }
}

fn few<W, T>(field: &'static str, list: Vec<W>, read: impl FnMut(W) -> Result<T, Invalid>) -> Result<Vec<T>, Invalid> {
    if list.len() > MAX_KEYRING_ITEMS {
        return Err(Invalid::new(field, format!("it lists {}, more than {MAX_KEYRING_ITEMS}", list.len())));
    }
    list.into_iter().map(read).collect()
}

fn entries(field: &'static str, list: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Invalid> {
    few(field, list, |entry| {
        bounded(field, entry.len(), MAX_ENTRY)?;
        Ok(entry)
    })
}

fn wrapped(wire: wire::WrappedKey) -> Result<WrappedKey, Invalid> {
    let wire::WrappedKey { epoch, recipient, wrapped } = wire;
    bounded("recipient", recipient.len(), MAX_RECIPIENT)?;
    bounded("wrapped", wrapped.len(), MAX_WRAP)?;
    Ok(WrappedKey { epoch, recipient, wrapped })
}

fn wire_wrapped(WrappedKey { epoch, recipient, wrapped }: WrappedKey) -> wire::WrappedKey {
    wire::WrappedKey { epoch, recipient, wrapped }
}

fn pending(wire: wire::PendingJoin) -> Result<PendingJoin, Invalid> {
    bounded("join", wire.join.len(), MAX_ENTRY)?;
    bounded("invite", wire.invite.len(), MAX_ENTRY)?;
    Ok(PendingJoin { join: wire.join, invite: wire.invite })
}

fn sealed(wire: wire::SealedSecret) -> Result<SealedItem, Invalid> {
    let (environment, name) = (parse("environment", &wire.environment)?, parse("name", &wire.name)?);
    bounded("envelope", wire.envelope.len(), MAX_SEALED)?;
    Ok(SealedItem { environment, name, version: wire.version, envelope: wire.envelope })
}

fn wire_sealed(item: SealedItem) -> wire::SealedSecret {
    let SealedItem { environment, name, version, envelope } = item;
    wire::SealedSecret { environment: environment.to_string(), name: name.to_string(), version, envelope }
}

fn cut(text: String) -> String {
    if text.len() <= MAX_KEYRING_TEXT { text } else { text.chars().take(MAX_KEYRING_TEXT / 4).collect() }
}

#[cfg(test)]
mod tests {
    use wherry_domain::id::AgentId;

    use super::*;
    use crate::frame::{FromAgent, FromController};

    fn item(envelope: usize) -> SealedItem {
        let (environment, name) = ("prod".parse().unwrap(), "helix-password".parse().unwrap());
        SealedItem { environment, name, version: 3, envelope: vec![b'x'; envelope] }
    }

    fn wrap(size: usize) -> WrappedKey {
        WrappedKey { epoch: 2, recipient: "x25519:abc".to_owned(), wrapped: vec![7; size] }
    }

    #[test]
    fn reports_and_keyrings_come_through_as_they_were() {
        let trouble = KeyringTrouble { code: Code::new("roster.forked"), message: "why".to_owned() };
        for state in [KeyringState::None, KeyringState::PendingKeys, KeyringState::Member, KeyringState::Removed] {
            let report = KeyringReport {
                roster_n: 4,
                roster_head: vec![1; 32],
                secrets_revision: 9,
                state,
                append: vec![b"{}".to_vec()],
                wraps: vec![wrap(MAX_WRAP)],
                resealed: vec![item(MAX_SEALED)],
                join: vec![b' '; MAX_ENTRY],
                trouble: Some(trouble.clone()),
            };
            let frame = FromAgent::Keyring(report);
            assert_eq!(FromAgent::from_wire(frame.clone().into_wire()), Ok(Some(frame)));
        }
        let item = item(5);
        let frame = FromController::Keyring(Keyring {
            roster_first: 1,
            entries: vec![vec![b'e'; MAX_ENTRY]],
            roster_n: 2,
            wraps: vec![wrap(80)],
            joins: vec![PendingJoin { join: b"j".to_vec(), invite: b"i".to_vec() }],
            departed: vec![Departed { agent: AgentId::from_u128(5), reason: "removed".to_owned() }],
            missing: vec![MissingWrap { epoch: 1, recipient: "x25519:abc".to_owned() }],
            removed: vec![RemovedItem { environment: item.environment.clone(), name: item.name.clone(), version: 8 }],
            secrets: vec![item],
            revision: 10,
            more: true,
            tends: true,
            since: 4,
            epochs_in_use: vec![1, 3],
        });
        assert_eq!(FromController::from_wire(frame.clone().into_wire()), Ok(Some(frame)));
    }

    #[test]
    fn what_is_too_large_or_too_many_means_nothing() {
        for report in [
            KeyringReport { append: vec![vec![0; MAX_ENTRY + 1]], ..KeyringReport::default() },
            KeyringReport { append: vec![Vec::new(); MAX_KEYRING_ITEMS + 1], ..KeyringReport::default() },
            KeyringReport { wraps: vec![wrap(MAX_WRAP + 1)], ..KeyringReport::default() },
            KeyringReport { resealed: vec![item(MAX_SEALED + 1)], ..KeyringReport::default() },
            KeyringReport { join: vec![0; MAX_ENTRY + 1], ..KeyringReport::default() },
            KeyringReport { roster_head: vec![0; 33], ..KeyringReport::default() },
        ] {
            assert!(FromAgent::from_wire(FromAgent::Keyring(report).into_wire()).is_err());
        }
        for keyring in [
            Keyring { entries: vec![vec![0; MAX_ENTRY + 1]], ..Keyring::default() },
            Keyring { secrets: vec![item(MAX_SEALED + 1)], ..Keyring::default() },
            Keyring { secrets: vec![item(0); MAX_KEYRING_ITEMS + 1], ..Keyring::default() },
            Keyring { epochs_in_use: vec![1; MAX_KEYRING_ITEMS + 1], ..Keyring::default() },
        ] {
            assert!(FromController::from_wire(FromController::Keyring(keyring).into_wire()).is_err());
        }
    }
}
