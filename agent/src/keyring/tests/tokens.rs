//! Tokens of connections, sealed to the group: what a controller that carries them can put in their place.

use wherry_domain::{id::ConnectionId, name::Name};
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        SealingError,
        left::{self, Matter, Spot},
    },
};

use super::group::Group;

const JIRA: ConnectionId = ConnectionId::from_u128(7);
const HELIX: ConnectionId = ConnectionId::from_u128(8);

fn prod() -> Name {
    "prod".parse().unwrap()
}

#[test]
fn a_copy_opens_on_every_member_and_only_as_what_it_was_sealed_for() {
    let mut group = Group::new();
    let (one, other) = (group.invited(), group.invited());
    group.settle();
    let (prod, test) = (prod(), "test".parse().unwrap());
    let sealed = group.keys(one).seal_tokens((&prod, JIRA), 4, b"tokens", group.operator()).unwrap().unwrap();
    assert_eq!(group.keys(other).open_tokens((&prod, JIRA), 4, &sealed).unwrap().as_slice(), b"tokens");
    for (environment, connection) in [(&prod, HELIX), (&test, JIRA)] {
        let moved = group.keys(other).open_tokens((environment, connection), 4, &sealed);
        assert_eq!(moved.unwrap_err(), SealingError::Misplaced);
    }
    assert_eq!(
        group.keys(other).open_tokens((&prod, JIRA), 5, &sealed).unwrap_err(),
        SealingError::VersionOld { found: 4, floor: 5 },
        "an older copy under a newer number"
    );
    assert_eq!(group.keys(other).open_tokens((&prod, JIRA), 3, &sealed).unwrap_err(), SealingError::Misplaced);
}

#[test]
fn a_copy_that_nobody_of_the_roster_signed_is_refused_whatever_it_says() {
    let mut group = Group::new();
    let one = group.invited();
    group.settle();
    let (prod, stranger) = (prod(), SigningKey::generate().unwrap());
    // The key to seal to is public, so that a controller can seal; it cannot sign.
    let planted = group.keys(one).seal_tokens((&prod, JIRA), 1, b"planted", &stranger).unwrap().unwrap();
    assert_eq!(group.keys(one).open_tokens((&prod, JIRA), 1, &planted).unwrap_err(), SealingError::SignerUnknown);
    let sealed = group.keys(one).seal_tokens((&prod, JIRA), 1, b"tokens", group.operator()).unwrap().unwrap();
    let text = String::from_utf8(sealed).unwrap();
    for (from, to) in
        [("\"version\":1", "\"version\":2"), ("\"kind\":\"oauth\"", "\"kind\":\"secret\""), ("\"ct\":\"", "\"ct\":\"A")]
    {
        assert!(text.contains(from), "{text}");
        let altered = text.replacen(from, to, 1);
        assert!(group.keys(one).open_tokens((&prod, JIRA), 1, altered.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn the_last_copy_of_an_agent_that_was_removed_opens_but_no_copy_that_it_makes_of_a_later_epoch() {
    let mut group = Group::new();
    let (one, owner) = (group.invited(), group.invited());
    group.settle();
    let (prod, identity) = (prod(), group.identity(owner));
    let copy = group.keys(owner).seal_tokens((&prod, JIRA), 4, b"tokens", &identity).unwrap().unwrap();
    group.depart(owner);
    group.settle();
    assert_eq!(group.roster().epoch().0, 2);
    assert_eq!(group.keys(one).open_tokens((&prod, JIRA), 4, &copy).unwrap().as_slice(), b"tokens");
    let later = group.keys(one).seal_tokens((&prod, JIRA), 5, b"planted", &identity).unwrap().unwrap();
    assert_eq!(group.keys(one).open_tokens((&prod, JIRA), 5, &later).unwrap_err(), SealingError::SignerUnknown);
}

#[test]
fn what_an_agent_leaves_for_its_group_opens_on_every_member_at_its_place_if_a_member_signed_it() {
    let mut group = Group::new();
    let (one, other, outsider) = (group.invited(), group.invited(), group.uninvited());
    group.settle();
    let (mine, stranger) = (group.identity(one), SigningKey::generate().unwrap());
    let left = |by| group.keys(one).seal_left(Matter::Cursor, "run_1", b"page 3", by).unwrap().unwrap();
    let sealed = left(&mine);
    let open = |agent, matter, name, sealed: &[u8]| group.keys(agent).open_left(matter, name, sealed);
    assert_eq!(open(other, Matter::Cursor, "run_1", &sealed).unwrap().as_slice(), b"page 3");
    assert_eq!(open(other, Matter::Cursor, "run_2", &sealed).unwrap_err(), SealingError::SignatureInvalid);
    assert_eq!(open(other, Matter::State, "run_1", &sealed).unwrap_err(), SealingError::SignatureInvalid);
    // Whoever knows the public key can seal, and the controller does; it cannot sign.
    assert_eq!(open(other, Matter::Cursor, "run_1", &left(&stranger)).unwrap_err(), SealingError::SignerUnknown);
    let roster = group.roster();
    let (epoch, key) = roster.epoch();
    let spot = Spot { home: (roster.organisation(), roster.group()), matter: Matter::Cursor, name: "run_1" };
    let unsigned = left::seal(&spot, (epoch, &key), b"page 9").unwrap();
    assert!(matches!(open(other, Matter::Cursor, "run_1", &unsigned), Err(SealingError::Malformed(_))));
    assert_eq!(group.keys(other).open_given(Matter::Cursor, "run_1", &unsigned).unwrap().as_slice(), b"page 9");
    let without = open(outsider, Matter::Cursor, "run_1", &sealed).unwrap_err();
    assert_eq!(without, SealingError::EpochUnknown { epoch: 1 });
    assert_eq!(group.keys(outsider).seal_left(Matter::Cursor, "run_1", b"page 3", &mine), Ok(None));
}

#[test]
fn without_the_groups_keys_nothing_is_sealed_and_nothing_opens() {
    let mut group = Group::new();
    let (member, outsider) = (group.invited(), group.uninvited());
    group.settle();
    let prod = prod();
    let sealed = group.keys(member).seal_tokens((&prod, JIRA), 1, b"tokens", group.operator()).unwrap().unwrap();
    assert_eq!(group.keys(outsider).seal_tokens((&prod, JIRA), 1, b"tokens", group.operator()), Ok(None));
    let refused = group.keys(outsider).open_tokens((&prod, JIRA), 1, &sealed).unwrap_err();
    assert_eq!(refused, SealingError::EpochUnknown { epoch: 1 });
}
