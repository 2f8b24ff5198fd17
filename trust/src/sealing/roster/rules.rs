//! Who may say what in a roster, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Entry, JOIN_WITHIN_MS, MAX_ADMITTING, MAX_ENTRIES, MAX_MEMBERS, MAX_OPERATORS, MAX_RECOVERY, Member, Op, Roster,
    RosterError,
};
use crate::sealing::invite::{Invite, Join};

type Verdict = Result<(), &'static str>;

/// The log that a first entry begins.
pub(super) fn found(entry: &Entry) -> Result<Roster, RosterError> {
    let not_allowed = |why| RosterError::NotAllowed { n: entry.n, why };
    let Op::Found { epoch_key, invite, join } = &entry.op else {
        return Err(not_allowed("the first entry must be a founding"));
    };
    evidence(invite, join).map_err(not_allowed)?;
    if entry.by != *join.agent_key() {
        return Err(not_allowed("a founding is signed by the agent that founds"));
    }
    if invite.founding().is_some() {
        return Err(not_allowed("the invitation is for a group that was founded before"));
    }
    let member = member(join);
    Ok(Roster {
        organisation: invite.organisation(),
        group: invite.group(),
        founder: *invite.operator(),
        hashes: vec![entry.hash],
        members: BTreeMap::from([(member.agent, member)]),
        departed: BTreeMap::new(),
        operators: BTreeSet::from([*invite.operator()]),
        recovery: BTreeSet::new(),
        epochs: BTreeMap::from([(1, *epoch_key)]),
        tokens: BTreeSet::from([invite.token().to_owned()]),
        removals: Vec::new(),
        left_in: BTreeMap::new(),
        epoch_at_ms: entry.at_ms,
        stale: false,
    })
}

/// Whether the log allows this entry as its next.
pub(super) fn permit(roster: &Roster, entry: &Entry) -> Result<(), RosterError> {
    let admits = matches!(entry.op, Op::Add { .. } | Op::Readmit { .. });
    if roster.n() >= if admits { MAX_ADMITTING } else { MAX_ENTRIES } {
        return Err(RosterError::Full);
    }
    allowed(roster, entry).map_err(|why| RosterError::NotAllowed { n: entry.n, why })
}

fn allowed(roster: &Roster, entry: &Entry) -> Verdict {
    let operator = roster.is_operator(&entry.by);
    let member = roster.is_member_key(&entry.by);
    match &entry.op {
        Op::Found { .. } => Err("the group is founded already"),
        Op::Add { invite, join } => {
            rule(operator || member, "only a member or an operator admits an agent")?;
            may_add(roster, invite, join, entry.at_ms)
        }
        Op::Readmit { agent } => {
            rule(operator, "only an operator takes an agent back")?;
            rule(roster.departed.contains_key(agent), "the agent was never removed")?;
            rule(roster.members.len() < MAX_MEMBERS, "the group has as many members as it may")
        }
        Op::Remove { agent, .. } => {
            let subject = roster.members.get(agent).ok_or("the agent is not a member")?;
            let other = member && subject.agent_key != entry.by;
            rule(operator || other, "only another member or an operator removes an agent")
        }
        Op::Epoch { epoch, epoch_key } => {
            rule(member, "only a member begins an epoch")?;
            rule(roster.wants_epoch(entry.at_ms), "nobody has left, and the epoch is not old")?;
            rule(roster.epoch().0.checked_add(1) == Some(*epoch), "epochs count up by one")?;
            rule(roster.epochs.values().all(|known| known != epoch_key), "an epoch has a key of its own")
        }
        Op::OperatorAdd { key } => {
            rule(operator, "only an operator trusts another")?;
            rule(!roster.operators.contains(key), "the operator is trusted already")?;
            rule(!roster.is_member_key(key), "the key belongs to an agent")?;
            rule(roster.operators.len() < MAX_OPERATORS, "the group has as many operators as it may")
        }
        Op::OperatorRemove { key } => {
            rule(operator, "only an operator distrusts another")?;
            rule(roster.operators.contains(key), "the operator is not trusted")?;
            rule(roster.operators.len() > 1, "the last operator stays")
        }
        Op::Recovery { key } => {
            rule(operator, "only an operator names a recovery key")?;
            rule(roster.recipients().all(|known| known != *key), "the key is a recipient already")?;
            rule(roster.recovery.len() < MAX_RECOVERY, "the group has as many recovery keys as it may")
        }
        Op::RecoveryRemove { key } => {
            rule(operator, "only an operator takes a recovery key away")?;
            rule(roster.recovery.contains(key), "there is no such recovery key")
        }
    }
}

fn may_add(roster: &Roster, invite: &Invite, join: &Join, at_ms: u64) -> Verdict {
    evidence(invite, join)?;
    rule(roster.is_operator(invite.operator()), "the invitation is not by an operator of the group")?;
    let here = invite.organisation() == roster.organisation && invite.group() == roster.group;
    let founding = invite.founding().is_none_or(|founding| founding == roster.founding());
    rule(here && founding, "the invitation is for another group")?;
    rule(!roster.tokens.contains(invite.token()), "the token was used already")?;
    rule(at_ms <= invite.expires_ms().saturating_add(JOIN_WITHIN_MS), "the invitation is too old")?;
    rule(roster.members.len() < MAX_MEMBERS, "the group has as many members as it may")?;
    let seen = |known: &Member| {
        known.agent == join.agent() || known.agent_key == *join.agent_key() || known.sealing_key == *join.sealing_key()
    };
    rule(!roster.members.values().chain(roster.departed.values()).any(seen), "the agent or its key is known already")?;
    rule(!roster.is_operator(join.agent_key()), "the agent's key is an operator's")
}

/// Puts an allowed entry into effect.
pub(super) fn apply(roster: &mut Roster, entry: Entry) {
    roster.hashes.push(entry.hash);
    match entry.op {
        // Never allowed after the first entry.
        Op::Found { .. } => (),
        Op::Add { invite, join } => {
            roster.tokens.insert(invite.token().to_owned());
            roster.members.insert(join.agent(), member(&join));
        }
        Op::Readmit { agent } => {
            if let Some(member) = roster.departed.remove(&agent) {
                roster.members.insert(agent, member);
            }
        }
        Op::Remove { agent, .. } => {
            if let Some(member) = roster.members.remove(&agent) {
                roster.departed.insert(agent, member);
            }
            roster.removals.push((entry.n, agent));
            roster.left_in.insert(agent, roster.epoch().0);
            roster.stale = true;
        }
        Op::Epoch { epoch, epoch_key } => {
            roster.epochs.insert(epoch, epoch_key);
            roster.epoch_at_ms = entry.at_ms;
            roster.stale = false;
        }
        Op::OperatorAdd { key } => {
            roster.operators.insert(key);
        }
        Op::OperatorRemove { key } => {
            roster.operators.remove(&key);
        }
        Op::Recovery { key } => {
            roster.recovery.insert(key);
        }
        Op::RecoveryRemove { key } => {
            roster.recovery.remove(&key);
            roster.stale = true;
        }
    }
}

fn evidence(invite: &Invite, join: &Join) -> Verdict {
    invite.check().map_err(|_| "the invitation's signatures do not hold")?;
    join.check(invite).map_err(|_| "the agent's keys were not proven with its token")
}

fn member(join: &Join) -> Member {
    Member { agent: join.agent(), agent_key: *join.agent_key(), sealing_key: *join.sealing_key() }
}

fn rule(holds: bool, otherwise: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise) }
}
