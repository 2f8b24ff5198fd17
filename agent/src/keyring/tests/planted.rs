//! What a controller could plant, and what comes of it: nothing.

use wherry_proto::frame::{Departed, Keyring as Frame, KeyringState, MissingWrap, PendingJoin, SealedItem, WrappedKey};
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        invite::Destination,
        key::SealingKey,
        secret::{Place, SealedSecret},
        wrap::Wrap,
    },
};

use super::group::{self, Group, place, secret_id};

#[test]
fn a_secret_that_the_operator_did_not_seal_for_that_place_is_refused() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.set("other", "another-value");
    group.settle();
    let (epoch, key) = group.roster().epoch();
    let good = group.item("password");
    let stranger = SigningKey::generate().unwrap();
    let seal = |place: &Place, epoch, signer: &SigningKey| {
        let sealed = SealedSecret::seal(place, 9, epoch, &key, b"planted", signer).unwrap();
        SealedItem { version: 9, envelope: sealed.to_json(), ..good.clone() }
    };
    let here = place(&secret_id("password"));
    let mut flipped = good.clone();
    let text = String::from_utf8(flipped.envelope).unwrap().replace("\"version\":1", "\"version\":2");
    flipped.envelope = text.into_bytes();
    for (what, item, code) in [
        ("signed by the controller", seal(&here, epoch, &stranger), "seal.signer_unknown"),
        ("of another name", seal(&place(&secret_id("other")), epoch, group.operator()), "seal.misplaced"),
        ("of a later epoch", seal(&here, epoch + 1, group.operator()), "seal.epoch_unknown"),
        ("of a version that was not signed", flipped, "seal.signature_invalid"),
        ("nonsense", SealedItem { envelope: b"{}".to_vec(), ..good.clone() }, "seal.malformed"),
    ] {
        group.plant(first, vec![item]);
        assert_eq!(group.trouble(first), code, "{what}");
        assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2", "{what}");
    }
}

#[test]
fn a_roster_that_the_controller_made_up_is_not_believed() {
    let mut group = Group::new();
    let joiner = group.invited_but_silent();
    // Somebody else's operator, token and agent, for the same group: all that a controller could make itself.
    let mut evil = Group::new();
    evil.invited();
    evil.settle();
    let frame = Frame { roster_n: 1, entries: evil.entries(), ..Frame::default() };
    group.say(joiner, frame);
    assert_eq!((group.trouble(joiner).as_str(), group.n(joiner)), ("invite.refused", 0));
    assert_eq!(group.state(joiner), KeyringState::PendingKeys);
}

#[test]
fn a_fork_is_refused_and_the_agent_goes_on_with_what_it_has() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    let other = group.founded_otherwise();
    group.say(first, Frame { roster_n: 1, entries: vec![other], ..Frame::default() });
    assert_eq!(group.trouble(first), "roster.forked");
    assert_eq!(group.opens(first, "password").unwrap(), "hunter2-hunter2");
    let mut altered = group.entries().remove(0);
    altered[40] ^= 1;
    group.say(first, Frame { roster_first: 1, roster_n: 2, entries: vec![altered], ..Frame::default() });
    assert_eq!((group.n(first), group.state(first)), (1, KeyringState::Member));
}

#[test]
fn doubts_about_the_roster_are_told_although_there_was_other_trouble_before() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.set("password", "hunter2-hunter2");
    group.settle();
    let nonsense = SealedItem { envelope: b"{}".to_vec(), ..group.item("password") };
    group.plant(first, vec![nonsense]);
    assert_eq!(group.trouble(first), "seal.malformed");
    let other = group.founded_otherwise();
    group.say(first, Frame { roster_n: 1, entries: vec![other], ..Frame::default() });
    assert_eq!(group.trouble(first), "roster.forked");
}

#[test]
fn a_wrapped_key_that_is_not_the_epochs_is_not_taken() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    group.offline(first);
    let second = group.invited();
    group.settle();
    group.online(first);
    group.withhold_wraps = true;
    group.settle();
    assert_eq!(group.state(second), KeyringState::PendingKeys, "it is in the roster, but has no key");
    let (own, planted) = (group.sealing_public(second), SealingKey::generate().unwrap());
    let wrap = Wrap::seal(group::HOME, 1, &planted, own).unwrap();
    let wrapped = WrappedKey { epoch: 1, recipient: own.to_string(), wrapped: wrap.to_json() };
    let roster_n = group.roster().n();
    group.say(second, Frame { roster_first: roster_n, roster_n, wraps: vec![wrapped], ..Frame::default() });
    assert_eq!((group.trouble(second).as_str(), group.state(second)), ("seal.unreadable", KeyringState::PendingKeys));
}

#[test]
fn nobody_is_admitted_whom_no_operator_invited() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    // The controller makes up an invitation by an operator of its own.
    let evil = SigningKey::generate().unwrap();
    let founding = Some(group.roster().founding());
    let to = Destination { organisation: group::HOME.0, group: group::HOME.1, founding };
    let (invite, join) = group::invitation(to, &evil, group::agent_id(99));
    let joins = vec![PendingJoin { join: join.to_json(), invite: invite.to_json() }];
    let frame = Frame { roster_first: 1, roster_n: 1, joins, tends: true, ..Frame::default() };
    assert!(group.say(first, frame).is_none_or(|report| report.append.is_empty() && report.wraps.is_empty()));
}

#[test]
fn an_agent_removes_others_but_not_itself_and_wraps_to_nobody_whom_the_roster_does_not_name() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    let stranger = SealingKey::generate().unwrap().public().to_string();
    let departed = vec![Departed { agent: group.id(first), reason: "removed".to_owned() }];
    let missing = vec![MissingWrap { epoch: 1, recipient: stranger }];
    let frame = Frame { roster_first: 1, roster_n: 1, departed, missing, tends: true, ..Frame::default() };
    assert!(group.say(first, frame).is_none_or(|report| report.append.is_empty() && report.wraps.is_empty()));
}

#[test]
fn whom_an_agent_takes_for_an_operator_does_not_depend_on_keys_that_the_controller_holds_back() {
    let mut group = Group::new();
    let first = group.invited();
    group.settle();
    let operators = Some(vec![group.operator().public()]);
    let second = group.invited();
    assert_eq!(group.keys(second).operators(), None, "there is nothing to go by yet");
    group.withhold_wraps = true;
    group.settle();
    assert_eq!((group.state(second), group.keys(second).operators()), (KeyringState::PendingKeys, operators.clone()));
    group.withhold_wraps = false;
    group.depart(second);
    group.settle();
    group.tell(second);
    assert_eq!((group.state(second), group.keys(second).operators()), (KeyringState::Removed, operators.clone()));
    assert_eq!(group.keys(first).operators(), operators);
}
