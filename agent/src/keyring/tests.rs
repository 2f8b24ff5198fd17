//! The rules of the keyring, with agents that are killed after every step and a controller that is a few maps.

mod group;
mod planted;
mod tokens;

use std::{collections::BTreeSet, sync::Arc};

use wherry_proto::frame::{Keyring as Frame, KeyringState};
use wherry_trust::sealing::key::SealingKey;

use self::group::Group;
use super::Left;

#[test]
fn the_first_agent_founds_the_group_and_opens_what_the_operator_sealed() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    assert_eq!(group.state(first), KeyringState::Member);
    group.set("password", "hunter2-hunter2");
    group.settle();
    assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2");
    assert_eq!(group.roster().n(), 1);
}

#[test]
fn a_joiner_waits_for_a_member_and_then_has_everything() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.offline(first);
    let second = group.invited();
    group.settle();
    assert_eq!(group.state(second), KeyringState::PendingKeys);
    assert!(group.opens(second, "password").is_err());
    group.online(first);
    group.settle();
    assert_eq!(group.state(second), KeyringState::Member);
    assert_eq!(group.opens(second, "password").unwrap(), "hunter2-hunter2");
}

#[test]
fn two_agents_admitted_before_the_founding_end_in_one_group() {
    let mut group = Group::new();
    let agents = [group.invited(), group.invited(), group.invited()];
    group.settle();
    for agent in agents {
        assert_eq!(group.state(agent), KeyringState::Member);
    }
    assert_eq!((group.roster().n(), group.roster().members().count()), (3, 3));
}

#[test]
fn who_leaves_cannot_open_what_is_sealed_from_then_on() {
    let mut group = Group::new();
    let (first, second) = (group.invited(), group.invited());
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    let before = group.sealed("password");
    group.depart(second);
    group.settle();
    assert_eq!(group.roster().epoch().0, 2);
    let after = group.sealed("password");
    assert_eq!((before.epoch(), after.epoch(), after.version()), (1, 2, before.version() + 1));
    assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2");
    group.tell(second);
    assert_eq!(group.state(second), KeyringState::Removed);
    let kept = group.keys_of(second);
    assert!(kept.values().all(|key| after.open(key).is_err()), "an old key opens a new secret");
    group.set("password", "a-new-one");
    group.settle();
    assert_eq!(group.opens(first, "password").unwrap(), "a-new-one");
}

#[test]
fn who_is_taken_back_has_everything_again() {
    let mut group = Group::new();
    let (first, second) = (group.invited(), group.invited());
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.depart(second);
    group.settle();
    group.set("password", "set-while-it-was-away");
    group.settle();
    group.take_back(second);
    group.settle();
    assert_eq!((group.state(second), group.roster().epoch().0), (KeyringState::Member, 2));
    for agent in [first, second] {
        assert_eq!(group.opens(agent, "password").unwrap(), "set-while-it-was-away");
    }
}

#[test]
fn a_value_that_one_agent_hands_to_its_group_reaches_all_and_is_sent_until_it_has_come_back() {
    let mut group = Group::new();
    let (first, second) = (group.invited(), group.invited());
    group.settle();
    group.hand_over(first, "password", "hunter2-hunter2");
    group.lose_outgoing(first);
    let third = group.invited();
    group.settle();
    // The group's key changes before it is sent.
    group.depart(third);
    group.settle();
    group.send_outgoing(first);
    group.settle();
    for agent in [first, second] {
        assert_eq!(group.opens(agent, "password").unwrap(), "hunter2-hunter2");
    }
    assert_eq!(group.sealed("password").epoch(), 2);
    assert!(group.outgoing_is_empty(first));
}

#[test]
fn many_secrets_are_sealed_anew_after_a_removal_though_the_agent_is_killed_each_time() {
    let mut group = Group::new();
    let (first, second) = (group.invited(), group.invited());
    group.settle();
    for n in 0..300 {
        group.set(&format!("secret-{n}"), &format!("value-of-{n}"));
    }
    group.settle();
    group.depart(second);
    group.kill_after_each_step = true;
    group.settle();
    for n in 0..300 {
        assert_eq!(group.sealed(&format!("secret-{n}")).epoch(), 2, "secret-{n}");
        assert_eq!(group.opens(first, &format!("secret-{n}")).unwrap(), format!("value-of-{n}"));
    }
}

#[test]
fn everything_ends_well_though_each_agent_is_killed_after_each_step() {
    let mut group = Group::new();
    group.kill_after_each_step = true;
    let agents = [group.invited(), group.invited(), group.invited()];
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.depart(agents[0]);
    group.settle();
    assert_eq!(group.roster().epoch().0, 2);
    for agent in [agents[1], agents[2]] {
        assert_eq!(group.state(agent), KeyringState::Member);
        assert_eq!(group.opens(agent, "password").unwrap(), "hunter2-hunter2");
    }
}

#[test]
fn two_agents_that_tend_at_the_same_time_end_with_the_same_key() {
    let mut group = Group::new();
    group.everyone_tends = true;
    let agents = [group.invited(), group.invited(), group.invited(), group.invited()];
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.depart(agents[3]);
    group.settle();
    assert_eq!(group.roster().epoch().0, 2);
    for agent in &agents[..3] {
        assert_eq!(group.opens(*agent, "password").unwrap(), "hunter2-hunter2");
    }
}

#[test]
fn a_recovery_key_gets_every_epoch() {
    let mut group = Group::new();
    group.invited();
    group.settle();
    let recovery = SealingKey::generate().unwrap();
    group.recovery(recovery.public());
    group.settle();
    let roster = group.roster();
    let wrap = group.wraps().into_iter().find(|wrap| *wrap.recipient() == recovery.public()).unwrap();
    assert_eq!(wrap.open(&recovery, &roster).unwrap().public(), roster.epoch().1);
}

#[test]
fn what_a_distrusted_operator_set_is_signed_anew_by_a_member() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.replace_operator();
    group.settle();
    let sealed = group.sealed("password");
    assert!(group.roster().may_sign_secrets(sealed.signer()));
    assert_eq!((sealed.version(), group.opens(first, "password").unwrap().as_str()), (2, "hunter2-hunter2"));
}

#[test]
fn a_removed_secret_goes_and_an_old_version_of_it_does_not_come_back() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    let old = group.item("password");
    group.remove("password");
    group.settle();
    assert!(group.opens(first, "password").is_err());
    group.plant(first, vec![old]);
    assert!(group.opens(first, "password").is_err());
    assert_eq!(group.trouble(first), "seal.version_old");
    group.set("password", "set-again");
    group.settle();
    assert_eq!(group.opens(first, "password").unwrap(), "set-again");
}

#[test]
fn a_controller_that_forgot_a_part_is_reminded_of_it() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "old");
    group.settle();
    let backup = group.backup();
    let second = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.restore(backup);
    group.settle();
    assert_eq!(group.roster().members().count(), 2);
    assert_eq!(group.sealed("password").version(), 2);
    for agent in [first, second] {
        assert_eq!(group.opens(agent, "password").unwrap(), "hunter2-hunter2");
    }
}

#[test]
fn who_reminded_the_controller_goes_on_with_its_duties_in_the_same_session() {
    let mut group = Group::new();
    group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    let backup = group.backup();
    let second = group.invited();
    group.settle();
    group.restore(backup);
    group.depart(second);
    group.settle();
    assert_eq!((group.roster().members().count(), group.roster().epoch().0), (1, 2));
    assert_eq!(group.sealed("password").epoch(), 2);
}

#[test]
fn a_controller_that_forgot_many_secrets_gets_all_of_them_back() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    let names: Vec<String> = (0..12).map(|n| format!("secret-{n}")).collect();
    names.iter().for_each(|name| group.set(name, "old"));
    group.settle();
    let backup = group.backup();
    names.iter().for_each(|name| group.set(name, "hunter2-hunter2"));
    group.settle();
    group.restore(backup);
    group.settle();
    for name in &names {
        assert_eq!((group.sealed(name).version(), group.opens(first, name).unwrap().as_str()), (2, "hunter2-hunter2"));
    }
}

#[test]
fn a_sealed_secret_whose_file_was_damaged_comes_again() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.set("other", "another-value");
    group.settle();
    group.damage(first, "password");
    assert!(group.opens(first, "password").is_err());
    group.settle();
    assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2");
    assert_eq!(group.opens(first, "other").unwrap(), "another-value");
}

#[test]
fn what_the_disk_refuses_is_asked_for_again_but_not_without_end() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.set("other", "another-value");
    group.block_secrets(first, true);
    let two = |group: &Group| {
        let (n, one, other) = (group.roster().n(), group.item("password"), group.item("other"));
        let frame = Frame { roster_first: n, roster_n: n, ..Frame::default() };
        let begin = Frame { secrets: vec![one], revision: 1, more: true, ..frame.clone() };
        [begin, Frame { secrets: vec![other], since: 1, revision: 2, ..frame }]
    };
    let [begin, end] = two(&group);
    assert!(group.say(first, begin).is_none());
    let report = group.say(first, end).unwrap();
    assert_eq!((report.secrets_revision, group.trouble(first).as_str()), (0, "keyring.file"));
    let [begin, end] = two(&group);
    assert!(group.say(first, begin).or_else(|| group.say(first, end)).is_none(), "it asks without end");
    group.later(60_000);
    let [begin, end] = two(&group);
    assert!(group.say(first, begin).or_else(|| group.say(first, end)).is_some());
    group.block_secrets(first, false);
    let [begin, end] = two(&group);
    group.say(first, begin);
    group.say(first, end);
    assert_eq!((group.trouble(first).as_str(), group.opens(first, "other").unwrap().as_str()), ("", "another-value"));
}

#[test]
fn a_frame_that_was_lost_is_asked_for_again() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    let item = group.item("password");
    let roster_n = group.roster().n();
    let later =
        Frame { roster_first: roster_n, roster_n, since: 7, revision: 8, secrets: vec![item], ..Frame::default() };
    let report = group.say(first, later).unwrap();
    assert_eq!(report.secrets_revision, 0);
    group.settle();
    assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2");
}

#[test]
fn an_agent_without_an_invitation_says_what_to_do() {
    let mut group = Group::new();
    group.invited();
    let stranger = group.uninvited();
    group.settle();
    assert_eq!(group.state(stranger), KeyringState::PendingKeys);
    assert_eq!((group.trouble(stranger).as_str(), group.n(stranger)), ("keyring.not_invited", 0));
}

#[test]
fn nothing_in_the_folder_opens_without_the_local_key() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    let keys: BTreeSet<Vec<u8>> = group.keys_of(first).values().map(|key| key.reveal().to_vec()).collect();
    for file in group.files_of(first) {
        let content = std::fs::read(&file).unwrap();
        let holds = |needle: &[u8]| content.windows(needle.len()).any(|bytes| bytes == needle);
        assert!(!holds(b"hunter2"), "{} holds the secret", file.display());
        assert!(!keys.iter().any(|key| holds(key)), "{} holds a key", file.display());
    }
}

#[test]
fn an_epoch_of_ninety_days_is_followed_by_another_and_the_old_key_goes_a_day_later() {
    const DAY: u64 = 86_400_000;
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    group.later(91 * DAY);
    group.settle();
    assert_eq!((group.roster().epoch().0, group.sealed("password").epoch()), (2, 2));
    assert_eq!(group.keys_of(first).len(), 1, "the file of the new key is older than a day by this clock");
    assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2");
}

#[test]
fn the_key_of_an_old_epoch_stays_while_the_controller_has_something_that_it_opens() {
    const DAY: u64 = 86_400_000;
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.epochs_in_use = vec![1];
    group.later(91 * DAY);
    group.settle();
    group.later(30 * DAY);
    group.settle();
    assert_eq!(group.roster().epoch().0, 2);
    assert_eq!(group.keys_of(first).keys().copied().collect::<Vec<_>>(), [1, 2]);
    group.epochs_in_use.clear();
    group.settle();
    assert_eq!(group.keys_of(first).keys().copied().collect::<Vec<_>>(), [2]);
}

/// Two members of a group and an agent that has not its keys, as runs on them seal and open.
pub(crate) fn two_and_an_outsider() -> [Left; 3] {
    let mut group = Group::new();
    let (one, other, outsider) = (group.invited(), group.invited(), group.uninvited());
    group.settle();
    [one, other, outsider].map(|agent| Left::new(group.keys(agent).clone(), Arc::new(group.identity(agent))))
}
