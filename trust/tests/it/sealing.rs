//! Sealed secrets: only the group opens them, and nothing that was changed, moved or planted is taken.

use wherry_domain::id::{AgentId, ConnectionId, GroupId, OrganisationId};
use wherry_domain::name::Name;
use wherry_trust::keys::SigningKey;
use wherry_trust::sealing::SealingError;
use wherry_trust::sealing::invite::{Destination, Invite, Join};
use wherry_trust::sealing::key::SealingKey;
use wherry_trust::sealing::roster::{Op, Roster};
use wherry_trust::sealing::secret::{MAX_SECRET, Place, SealedSecret};
use wherry_trust::sealing::wrap::Wrap;
use wherry_trust::token::{EnrolmentToken, SpkiPin};

const ORGANISATION: OrganisationId = OrganisationId::from_u128(1);
const GROUP: GroupId = GroupId::from_u128(2);
/// Any time; the rules look at differences only.
const NOW: u64 = 1_800_000_000_000;

/// A group of one agent with its operator.
pub(crate) struct Group {
    pub(crate) operator: SigningKey,
    pub(crate) agent: Agent,
    pub(crate) epoch_key: SealingKey,
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) roster: Roster,
}

/// An agent's keys, and the token it was given.
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) identity: SigningKey,
    pub(crate) sealing: SealingKey,
    pub(crate) token: EnrolmentToken,
}

impl Agent {
    pub(crate) fn new(id: u128) -> Self {
        Self {
            id: AgentId::from_u128(id),
            identity: SigningKey::generate().unwrap(),
            sealing: SealingKey::generate().unwrap(),
            token: EnrolmentToken::generate(SpkiPin::of_spki(b"authority")).unwrap(),
        }
    }

    pub(crate) fn invited(&self, by: &SigningKey, founding: Option<&Roster>) -> Invite {
        let founding = founding.map(Roster::founding);
        let to = Destination { organisation: ORGANISATION, group: GROUP, founding };
        Invite::make((self.token.id(), self.token.roster_part()), to, NOW + 600_000, by).unwrap()
    }

    pub(crate) fn join(&self) -> Join {
        let token = (self.token.id(), self.token.roster_part());
        Join::make(token, self.id, self.identity.public(), self.sealing.public()).unwrap()
    }
}

impl Group {
    pub(crate) fn new() -> Self {
        let (operator, agent) = (SigningKey::generate().unwrap(), Agent::new(10));
        let epoch_key = SealingKey::generate().unwrap();
        let invite = agent.invited(&operator, None);
        let first = Roster::founding_entry(NOW, &invite, &agent.join(), epoch_key.public(), &agent.identity).unwrap();
        let roster = Roster::found(&first).unwrap();
        Self { operator, agent, epoch_key, log: vec![first], roster }
    }

    /// Appends what `by` says.
    pub(crate) fn append(&mut self, op: Op, by: &SigningKey) {
        let entry = self.roster.entry(NOW, op, by).unwrap();
        self.roster.extend(&entry).unwrap();
        self.log.push(entry);
    }

    pub(crate) fn seal(&self, place: &Place, version: u64, content: &[u8]) -> SealedSecret {
        let (epoch, key) = self.roster.epoch();
        SealedSecret::seal(place, version, epoch, &key, content, &self.operator).unwrap()
    }
}

#[test]
fn a_secret_of_an_operator_opens_with_the_key_that_a_member_unwraps() {
    let group = Group::new();
    let sealed = group.seal(&place("prod", "helix"), 1, b"hunter2");
    let wrap = Wrap::seal((ORGANISATION, GROUP), 1, &group.epoch_key, group.agent.sealing.public()).unwrap();
    let wrap = Wrap::from_json(&wrap.to_json()).unwrap();
    let key = wrap.open(&group.agent.sealing, &group.roster).unwrap();
    let read = SealedSecret::from_json(&sealed.to_json()).unwrap();
    assert_eq!(read, sealed);
    read.check(&place("prod", "helix"), &group.roster, 1).unwrap();
    assert_eq!(read.open(&key).unwrap().as_slice(), b"hunter2");
    assert_eq!(read.open(&group.agent.sealing).err(), Some(SealingError::Unreadable));
}

#[test]
fn whatever_differs_in_one_bit_is_refused() {
    let group = Group::new();
    let here = place("prod", "helix");
    let json = group.seal(&here, 7, b"hunter2").to_json();
    let mut refused = 0;
    for at in 0..json.len() {
        for bit in 0..8 {
            let mut changed = json.clone();
            changed[at] ^= 1 << bit;
            let read = SealedSecret::from_json(&changed);
            assert!(
                read.is_err() || read.is_ok_and(|read| read.check(&here, &group.roster, 1).is_err()),
                "bit {bit} of byte {at} was not noticed"
            );
            refused += 1;
        }
    }
    assert_eq!(refused, json.len() * 8);
}

#[test]
fn a_hostile_blob_is_refused_with_its_own_reason() {
    let group = Group::new();
    let here = place("prod", "helix");
    let (epoch, key) = group.roster.epoch();
    let stranger = SigningKey::generate().unwrap();
    let (operator, agent) = (&group.operator, &group.agent.identity);
    let seal = |epoch, version, signer| SealedSecret::seal(&here, version, epoch, &key, b"x", signer).unwrap();
    let cases = [
        ("another epoch", seal(epoch + 1, 9, operator), "seal.epoch_unknown"),
        ("an older version", seal(epoch, 2, operator), "seal.version_old"),
        ("a stranger's signature", seal(epoch, 9, &stranger), "seal.signer_unknown"),
        ("another environment", group.seal(&place("dev", "helix"), 9, b"x"), "seal.misplaced"),
        ("another name", group.seal(&place("prod", "other"), 9, b"x"), "seal.misplaced"),
        ("another kind", group.seal(&oauth_place(), 9, b"x"), "seal.misplaced"),
        ("another group", group.seal(&elsewhere(1, 99), 9, b"x"), "seal.misplaced"),
        ("another organisation", group.seal(&elsewhere(99, 2), 9, b"x"), "seal.misplaced"),
    ];
    for (what, sealed, code) in cases {
        let error = sealed.check(&here, &group.roster, 3).expect_err(what);
        assert_eq!(error.code().as_str(), code, "{what}");
    }
    assert_eq!(seal(epoch, 3, agent).check(&here, &group.roster, 3), Ok(()));
}

#[test]
fn a_blob_of_an_impossible_shape_is_malformed() {
    let group = Group::new();
    let json = String::from_utf8(group.seal(&place("prod", "helix"), 1, b"hunter2").to_json()).unwrap();
    let altered = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        json.replacen(from, to, 1)
    };
    let ct = json.split("\"ct\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let cases = [
        ("another suite", altered("\"v\":1", "\"v\":2")),
        ("version 0", altered("\"version\":1", "\"version\":0")),
        ("a version below 0", altered("\"version\":1", "\"version\":-1")),
        ("epoch 0", altered("\"epoch\":1", "\"epoch\":0")),
        ("no ciphertext", altered(ct, "")),
        ("a ciphertext of 1 MiB", altered(ct, &"A".repeat(1 << 20))),
        ("an unknown kind", altered("\"secret\"", "\"other\"")),
        ("a name that is none", altered("\"helix\"", "\"../helix\"")),
        ("an unknown field", altered("\"v\":1", "\"v\":1,\"w\":1")),
        ("a field twice", altered("\"v\":1", "\"v\":1,\"v\":1")),
        ("nothing", String::new()),
    ];
    for (what, text) in cases {
        let error = SealedSecret::from_json(text.as_bytes()).expect_err(what);
        assert_eq!(error.code().as_str(), "seal.malformed", "{what}");
    }
}

#[test]
fn a_signed_blob_that_does_not_open_says_no_more_than_that() {
    let group = Group::new();
    let here = place("prod", "helix");
    let other = SealingKey::generate().unwrap().public();
    let sealed = SealedSecret::seal(&here, 1, 1, &other, b"x", &group.operator).unwrap();
    assert_eq!(sealed.check(&here, &group.roster, 1), Ok(()));
    assert_eq!(sealed.open(&group.epoch_key).err(), Some(SealingError::Unreadable));
}

#[test]
fn the_key_of_an_earlier_epoch_opens_nothing_that_is_sealed_later() {
    let mut group = Group::new();
    let here = place("prod", "helix");
    let before = group.seal(&here, 1, b"old");
    let second = Agent::new(11);
    let member = SigningKey::from_pem(&group.agent.identity.to_pem().unwrap()).unwrap();
    let invite = second.invited(&group.operator, Some(&group.roster));
    group.append(Op::Add { invite, join: second.join() }, &member);
    group.append(Op::Remove { agent: second.id, reason: String::new() }, &member);
    let next = SealingKey::generate().unwrap();
    group.append(Op::Epoch { epoch: 2, epoch_key: next.public() }, &member);
    let after = group.seal(&here, 2, b"new");
    assert_eq!(after.open(&next).unwrap().as_slice(), b"new");
    assert_eq!(after.open(&group.epoch_key).err(), Some(SealingError::Unreadable));
    assert_eq!(before.open(&group.epoch_key).unwrap().as_slice(), b"old");
    // What the removed agent signs is not taken either.
    let (epoch, key) = group.roster.epoch();
    let planted = SealedSecret::seal(&here, 3, epoch, &key, b"x", &second.identity).unwrap();
    assert_eq!(planted.check(&here, &group.roster, 1), Err(SealingError::SignerUnknown));
}

#[test]
fn a_secret_has_a_smallest_and_a_largest_size() {
    let group = Group::new();
    let here = place("prod", "helix");
    let seal = |content: &[u8]| {
        let (epoch, key) = group.roster.epoch();
        SealedSecret::seal(&here, 1, epoch, &key, content, &group.operator)
    };
    assert_eq!(seal(b"").err().unwrap().code().as_str(), "seal.size");
    assert_eq!(seal(&vec![0; MAX_SECRET + 1]).err().unwrap().code().as_str(), "seal.size");
    let largest = seal(&vec![7; MAX_SECRET]).unwrap();
    let read = SealedSecret::from_json(&largest.to_json()).unwrap();
    assert_eq!(read.open(&group.epoch_key).unwrap().len(), MAX_SECRET);
}

#[test]
fn a_key_that_someone_else_wrapped_is_refused() {
    let group = Group::new();
    let planted = SealingKey::generate().unwrap();
    let sealing = &group.agent.sealing;
    let wrap = |epoch, key: &SealingKey, to| Wrap::seal((ORGANISATION, GROUP), epoch, key, to).unwrap();
    let open = |wrap: Wrap| wrap.open(sealing, &group.roster).err().map(|error| error.code().to_string());
    assert_eq!(open(wrap(1, &planted, sealing.public())).as_deref(), Some("seal.unreadable"));
    assert_eq!(open(wrap(2, &group.epoch_key, sealing.public())).as_deref(), Some("seal.epoch_unknown"));
    assert_eq!(open(wrap(1, &group.epoch_key, planted.public())).as_deref(), Some("seal.unreadable"));
    let elsewhere = Wrap::seal((ORGANISATION, GroupId::from_u128(9)), 1, &group.epoch_key, sealing.public()).unwrap();
    assert_eq!(open(elsewhere).as_deref(), Some("seal.unreadable"));
    assert_eq!(open(wrap(1, &group.epoch_key, sealing.public())), None);
    for bad in [&b""[..], b"{}", &[b' '; 600]] {
        assert_eq!(Wrap::from_json(bad).err().unwrap().code().as_str(), "seal.malformed");
    }
}

#[test]
fn a_secret_of_an_operator_who_is_trusted_no_longer_is_refused() {
    let mut group = Group::new();
    let second = SigningKey::generate().unwrap();
    let sealed = group.seal(&place("prod", "helix"), 1, b"x");
    let first = group.operator.public();
    let operator = std::mem::replace(&mut group.operator, SigningKey::generate().unwrap());
    group.append(Op::OperatorAdd { key: second.public() }, &operator);
    assert_eq!(sealed.check(&place("prod", "helix"), &group.roster, 1), Ok(()));
    group.append(Op::OperatorRemove { key: first }, &second);
    assert_eq!(sealed.check(&place("prod", "helix"), &group.roster, 1), Err(SealingError::SignerUnknown));
}

#[test]
fn public_sealing_keys_read_back_and_everything_else_is_refused() {
    let public = SealingKey::generate().unwrap().public();
    assert_eq!(public.to_string().parse(), Ok(public));
    for bad in ["", "x25519:", "ed25519:AAAA", &public.to_string().replace("x25519", "X25519"), &format!("{public}A")] {
        assert!(bad.parse::<wherry_trust::sealing::key::SealingPublic>().is_err(), "{bad}");
    }
}

pub(crate) fn place(environment: &str, name: &str) -> Place {
    Place::secret(ORGANISATION, GROUP, &self::name(environment), &self::name(name))
}

fn elsewhere(organisation: u128, group: u128) -> Place {
    let (organisation, group) = (OrganisationId::from_u128(organisation), GroupId::from_u128(group));
    Place::secret(organisation, group, &name("prod"), &name("helix"))
}

fn oauth_place() -> Place {
    Place::oauth(ORGANISATION, GROUP, &name("prod"), ConnectionId::from_u128(1))
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) const fn now() -> u64 {
    NOW
}
