//! The roster: whoever carries it can neither change it nor add to it, and each signer may say only what is theirs.

use proptest::prelude::*;
use proptest::sample::Index;
use wherry_domain::digest::Digest;
use wherry_domain::id::{GroupId, OrganisationId};
use wherry_trust::keys::{SigningKey, sha256};
use wherry_trust::sealing::invite::{Destination, Invite, Join};
use wherry_trust::sealing::key::SealingKey;
use wherry_trust::sealing::roster::{EPOCH_LIFE_MS, Entry, Head, JOIN_WITHIN_MS, Op, Roster, RosterError};

use crate::sealing::{Agent, Group, now};

#[test]
fn a_log_folds_to_members_operators_epochs_and_recovery_keys() {
    let (group, second) = grown();
    let roster = Roster::fold(&group.log).unwrap();
    assert_eq!(roster.head(), group.roster.head());
    let members: Vec<_> = roster.members().map(|member| member.agent).collect();
    assert_eq!(members, [group.agent.id]);
    assert_eq!(roster.departed(second.id).map(|member| member.agent_key), Some(second.identity.public()));
    assert_eq!(roster.epoch().0, 2);
    assert_eq!(roster.epoch_key(1), Some(&group.epoch_key.public()));
    assert_eq!((roster.operators().count(), roster.recovery().count(), roster.recipients().count()), (2, 1, 2));
    assert_eq!(roster.founding(), sha256(&group.log[0]));
    assert_eq!(roster.removed_since(4).collect::<Vec<_>>(), [second.id]);
    assert_eq!(roster.removed_since(5).count(), 0);
    assert!(!roster.wants_epoch(now()) && roster.wants_epoch(now() + EPOCH_LIFE_MS));
}

#[test]
fn a_lying_controller_founds_no_group_that_a_joiner_believes() {
    let group = Group::new();
    let evil = Group::new();
    let joiner = Agent::new(11);
    let invite = joiner.invited(&group.operator, Some(&group.roster));
    let early = joiner.invited(&group.operator, None);
    assert!(group.roster.vouched_for_by(&invite).is_ok() && group.roster.vouched_for_by(&early).is_ok());
    assert!(evil.roster.vouched_for_by(&invite).is_err() && evil.roster.vouched_for_by(&early).is_err());
    // The invitation itself was made by someone else, or is for another token or group.
    let planted = joiner.invited(&evil.operator, None);
    let token = (joiner.token.id(), joiner.token.roster_part());
    let (organisation, here) = (OrganisationId::from_u128(1), GroupId::from_u128(2));
    assert!(invite.check_as_holder(token, organisation, here).is_ok());
    assert!(invite.check_as_holder(token, organisation, GroupId::from_u128(3)).is_err());
    assert!(invite.check_as_holder(token, OrganisationId::from_u128(3), here).is_err());
    let other = Agent::new(12);
    let other = (other.token.id(), other.token.roster_part());
    assert!(planted.check_as_holder(other, organisation, here).is_err());
    // Without the roster part nobody can put another operator into an invitation.
    let stolen = EnrolmentLike::of(&joiner);
    let forged = Invite::make(stolen.pair(), destination(None), now(), &evil.operator).unwrap();
    assert!(forged.check_as_holder(token, organisation, here).is_err());
}

#[test]
fn nothing_that_was_planted_is_appended() {
    let group = Group::new();
    let (evil, evil_agent) = (SigningKey::generate().unwrap(), Agent::new(66));
    let key = SealingKey::generate().unwrap().public();
    let honest = Agent::new(11);
    let (invite, join) = (honest.invited(&group.operator, Some(&group.roster)), honest.join());
    let add = |invite: &Invite, join: &Join| Op::Add { invite: invite.clone(), join: join.clone() };
    let member = &group.agent.identity;
    let cases: Vec<(&str, Op, &SigningKey)> = vec![
        ("an agent by a stranger's word", add(&invite, &join), &evil),
        ("an agent by its own word", add(&invite, &join), &honest.identity),
        ("a stranger's invitation", add(&evil_agent.invited(&evil, None), &evil_agent.join()), member),
        ("another agent's invitation", add(&invite, &evil_agent.join()), member),
        ("an operator by a stranger", Op::OperatorAdd { key: evil.public() }, &evil),
        ("an operator by a member", Op::OperatorAdd { key: evil.public() }, member),
        ("a recovery key by a member", Op::Recovery { key }, member),
        ("an epoch by an operator", Op::Epoch { epoch: 2, epoch_key: key }, &group.operator),
        ("an epoch without need", Op::Epoch { epoch: 2, epoch_key: key }, member),
        ("a removal by a stranger", Op::Remove { agent: group.agent.id, reason: String::new() }, &evil),
        ("a removal of itself", Op::Remove { agent: group.agent.id, reason: String::new() }, member),
        ("a removal of nobody", Op::Remove { agent: honest.id, reason: String::new() }, &group.operator),
        ("a return of nobody", Op::Readmit { agent: honest.id }, &group.operator),
        ("the last operator's end", Op::OperatorRemove { key: group.operator.public() }, &group.operator),
        (
            "a second founding",
            Op::Found { epoch_key: key, invite: honest.invited(&group.operator, None), join: honest.join() },
            &honest.identity,
        ),
    ];
    for (what, op, by) in cases {
        let error = group.roster.entry(now(), op, by).expect_err(what);
        assert!(matches!(error, RosterError::NotAllowed { n: 2, .. }), "{what}: {error}");
    }
    assert!(group.roster.entry(now(), add(&invite, &join), member).is_ok());
}

#[test]
fn a_token_admits_once_and_not_for_ever() {
    let mut group = Group::new();
    let joiner = Agent::new(11);
    let invite = joiner.invited(&group.operator, None);
    let add = Op::Add { invite: invite.clone(), join: joiner.join() };
    let late = invite.expires_ms() + JOIN_WITHIN_MS;
    assert!(group.roster.entry(late + 1, add.clone(), &group.agent.identity).is_err());
    assert!(group.roster.entry(late, add.clone(), &group.agent.identity).is_ok());
    let operator = SigningKey::from_pem(&group.operator.to_pem().unwrap()).unwrap();
    let member = SigningKey::from_pem(&group.agent.identity.to_pem().unwrap()).unwrap();
    group.append(add, &member);
    // The same token with other keys: whoever has it now comes too late.
    let token = (joiner.token.id(), joiner.token.roster_part());
    let thief = Agent::new(12);
    let again = Join::make(token, thief.id, thief.identity.public(), thief.sealing.public()).unwrap();
    assert!(group.roster.entry(now(), Op::Add { invite, join: again }, &member).is_err());
    // A removed agent does not come back by a member's word.
    group.append(Op::Remove { agent: joiner.id, reason: "gone".to_owned() }, &operator);
    assert!(group.roster.wants_epoch(now()));
    assert!(group.roster.entry(now(), Op::Readmit { agent: joiner.id }, &member).is_err());
    group.append(Op::Readmit { agent: joiner.id }, &operator);
    assert_eq!(group.roster.member(joiner.id).map(|member| member.sealing_key), Some(joiner.sealing.public()));
}

#[test]
fn a_shorter_or_different_log_is_noticed() {
    let (group, _) = grown();
    let seen = group.roster.head();
    let shorter = Roster::fold(&group.log[..3]).unwrap();
    assert_eq!(shorter.continues(&seen), Err(RosterError::Forked { n: 4 }));
    assert!(group.roster.continues(&shorter.head()).is_ok());
    assert!(group.roster.continues(&Head::NONE).is_ok());
    let other = Group::new();
    assert_eq!(
        other.roster.continues(&Head { n: 1, hash: group.roster.founding() }),
        Err(RosterError::Forked { n: 1 })
    );
    assert_eq!(RosterError::Forked { n: 1 }.code().as_str(), "roster.forked");
}

#[test]
fn an_entry_has_one_spelling_and_can_be_read_alone() {
    let (group, _) = grown();
    for (index, bytes) in group.log.iter().enumerate() {
        let mut spaced = bytes.clone();
        spaced.push(b' ');
        let mut log = group.log.clone();
        log[index] = spaced;
        assert!(matches!(Roster::fold(&log), Err(RosterError::Malformed { .. })), "entry {index}");
        assert_eq!(Entry::peek(bytes).unwrap().n, index as u64 + 1);
    }
    assert!(Roster::fold(Vec::<Vec<u8>>::new()).is_err());
    assert!(matches!(Roster::found(&[b'{'; 5_000]), Err(RosterError::Malformed { n: 1, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_altered_dropped_exchanged_or_repeated_entry_is_refused(
        first: Index, second: Index, at: Index, bit in 0..8u8, how in 0..5,
    ) {
        let (group, _) = grown();
        let mut log = group.log.clone();
        let (first, second) = (first.index(log.len()), second.index(log.len()));
        match how {
            0 => {
                let at = at.index(log[first].len());
                log[first][at] ^= 1 << bit;
            }
            1 => drop(log.remove(first)),
            2 => log.swap(first, second),
            3 => log.insert(second, log[first].clone()),
            _ => log[first] = grown().0.log[first].clone(),
        }
        prop_assume!(log != group.log);
        // Only a log without its last entries is one; a reader that saw more refuses it.
        match Roster::fold(&log) {
            Err(_) => (),
            Ok(roster) => prop_assert!(how == 1 && roster.continues(&group.roster.head()).is_err()),
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fail_in_another_way(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Roster::found(&bytes).is_err());
        prop_assert!(Entry::peek(&bytes).is_err());
        prop_assert!(Invite::from_json(&bytes).is_err() && Join::from_json(&bytes).is_err());
    }
}

/// What a controller knows of a token: its id, and no more. It has to guess the rest.
struct EnrolmentLike {
    id: wherry_trust::TokenId,
    guess: wherry_trust::token::RosterPart,
}

impl EnrolmentLike {
    fn of(agent: &Agent) -> Self {
        let guess = wherry_trust::token::RosterPart::from_slice(agent.token.auth_part().as_bytes()).unwrap();
        Self { id: agent.token.id().clone(), guess }
    }

    fn pair(&self) -> (&wherry_trust::TokenId, &wherry_trust::token::RosterPart) {
        (&self.id, &self.guess)
    }
}

/// A group to which everything happened once.
fn grown() -> (Group, Agent) {
    let mut group = Group::new();
    let second = Agent::new(11);
    let member = SigningKey::from_pem(&group.agent.identity.to_pem().unwrap()).unwrap();
    let operator = SigningKey::from_pem(&group.operator.to_pem().unwrap()).unwrap();
    let invite = second.invited(&operator, Some(&group.roster));
    group.append(Op::Add { invite, join: second.join() }, &member);
    group.append(Op::OperatorAdd { key: SigningKey::generate().unwrap().public() }, &operator);
    group.append(Op::Recovery { key: SealingKey::generate().unwrap().public() }, &operator);
    group.append(Op::Remove { agent: second.id, reason: "sold".to_owned() }, &member);
    group.append(Op::Epoch { epoch: 2, epoch_key: SealingKey::generate().unwrap().public() }, &member);
    (group, second)
}

fn destination(founding: Option<Digest>) -> Destination {
    Destination { organisation: OrganisationId::from_u128(1), group: GroupId::from_u128(2), founding }
}
