//! A group of agents with real keys, as far as the controller sees it: operator, members, roster.

use wherry_controller::engine::{Refusal, SecretView};
use wherry_domain::id::{AgentId, GroupId, OrganisationId};
use wherry_proto::frame::{FromAgent, FromController, Keyring, KeyringReport, KeyringState, SealedItem, WrappedKey};
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        invite::{Destination, Invite, Join},
        key::SealingKey,
        roster::{Op, Roster},
        secret::{Place, SealedSecret},
        wrap::Wrap,
    },
    token::{EnrolmentToken, SpkiPin},
};

use super::{Agent, Bench, name, soon};

/// The operator of group `berlin`, and what is true of its keys.
pub(crate) struct Crew {
    pub(crate) operator: SigningKey,
    pub(crate) organisation: OrganisationId,
    pub(crate) group: GroupId,
    pub(crate) roster: Roster,
    pub(crate) epoch_key: SealingKey,
}

/// An agent that has keys.
pub(crate) struct Hand {
    pub(crate) agent: Agent,
    pub(crate) identity: SigningKey,
    pub(crate) sealing: SealingKey,
    pub(crate) invite: Invite,
    pub(crate) join: Join,
    pub(crate) frames: Vec<Keyring>,
}

/// After so long a group begins another epoch by itself, in milliseconds.
const NINETY_DAYS_MS: u64 = 90 * 24 * 3_600_000;

impl Crew {
    pub(crate) async fn new(bench: &Bench) -> Self {
        bench.ledger.create_environment("test".to_owned(), name("prod"), name("berlin")).await.unwrap();
        Self::of(bench).await
    }

    /// For a group that is there.
    pub(crate) async fn of(bench: &Bench) -> Self {
        let view = bench.ledger.roster(name("berlin"), 0, 200).await.unwrap();
        let (operator, epoch_key) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
        let roster = nobody(view.organisation, view.group);
        Self { operator, organisation: view.organisation, group: view.group, roster, epoch_key }
    }

    pub(crate) async fn enrol(&self, bench: &Bench, called: &str) -> Hand {
        let token = EnrolmentToken::generate(SpkiPin::of_spki(b"root")).unwrap();
        let to = Destination { organisation: self.organisation, group: self.group, founding: None };
        let secret = (token.id(), token.roster_part());
        let invite = Invite::make(secret, to, u64::MAX / 2, &self.operator).unwrap();
        let id = token.id().to_string();
        let registered = bench.ledger.create_enrolment_token(
            "ada".to_owned(),
            name("berlin"),
            id,
            token.auth_hash(),
            600,
            Some(invite.clone()),
        );
        registered.await.unwrap();
        let mut agent = Agent::enrol_with(bench, called, 1, &token).await;
        agent.connect(bench, &[]).await;
        let (identity, sealing) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
        let join = Join::make(secret, agent.id, identity.public(), sealing.public()).unwrap();
        Hand { agent, identity, sealing, invite, join, frames: Vec::new() }
    }

    /// The first agent founds the group.
    pub(crate) async fn found(&mut self, bench: &Bench, hand: &mut Hand) {
        self.epoch_key = SealingKey::generate().unwrap();
        let entry =
            Roster::founding_entry(1, &hand.invite, &hand.join, self.epoch_key.public(), &hand.identity).unwrap();
        self.roster = Roster::found(&entry).unwrap();
        let wrap = self.wrap(1, hand);
        let said = hand
            .report(bench, KeyringState::Member, |report| (report.append, report.wraps) = (vec![entry], vec![wrap]))
            .await;
        assert_eq!((said.entries.len(), said.wraps.len(), said.roster_n), (1, 1, 1));
    }

    /// A group of two members that know it.
    pub(crate) async fn two(&mut self, bench: &Bench) -> (Hand, Hand) {
        self.pair(bench, ["pier-1", "pier-2"]).await
    }

    /// The same under other names.
    pub(crate) async fn pair(&mut self, bench: &Bench, names: [&str; 2]) -> (Hand, Hand) {
        let [one, other] = names;
        let mut first = self.enrol(bench, one).await;
        self.found(bench, &mut first).await;
        let mut second = self.enrol(bench, other).await;
        self.admit(bench, &mut first, &second).await;
        second.report(bench, KeyringState::Member, |report| self.known(report)).await;
        first.hears(bench).await;
        second.hears(bench).await;
        (first, second)
    }

    pub(crate) async fn admit(&mut self, bench: &Bench, by: &mut Hand, joiner: &Hand) {
        let (invite, join) = (joiner.invite.clone(), joiner.join.clone());
        let add = self.say(Op::Add { invite, join }, &by.identity);
        let wrap = self.wrap(1, joiner);
        by.report(bench, KeyringState::Member, |report| (report.append, report.wraps) = (vec![add], vec![wrap])).await;
    }

    /// The first of two members begins the second epoch.
    pub(crate) async fn rotate(&mut self, bench: &Bench, by: &mut Hand, other: &Hand) -> Keyring {
        let head = self.roster.head();
        self.epoch_key = SealingKey::generate().unwrap();
        let op = Op::Epoch { epoch: 2, epoch_key: self.epoch_key.public() };
        // Nobody has left: the epoch is as old as one may become.
        let begin = self.roster.entry(1 + NINETY_DAYS_MS, op, &by.identity).unwrap();
        self.roster.extend(&begin).unwrap();
        let wraps = vec![self.wrap(2, by), self.wrap(2, other)];
        by.report(bench, KeyringState::Member, |report| {
            (report.roster_n, report.roster_head) = (head.n, head.hash.as_bytes().to_vec());
            (report.append, report.wraps) = (vec![begin], wraps);
        })
        .await
    }

    /// The next entry, which will stand.
    pub(crate) fn say(&mut self, op: Op, by: &SigningKey) -> Vec<u8> {
        let entry = self.roster.entry(1, op, by).unwrap();
        self.roster.extend(&entry).unwrap();
        entry
    }

    pub(crate) fn say_as_operator(&mut self, op: Op) -> Vec<u8> {
        let entry = self.roster.entry(1, op, &self.operator).unwrap();
        self.roster.extend(&entry).unwrap();
        entry
    }

    pub(crate) fn wrap(&self, epoch: u32, to: &Hand) -> WrappedKey {
        let recipient = to.sealing.public();
        let wrapped = Wrap::seal((self.organisation, self.group), epoch, &self.epoch_key, recipient).unwrap().to_json();
        WrappedKey { epoch, recipient: recipient.to_string(), wrapped }
    }

    pub(crate) fn place(&self, called: &str) -> Place {
        Place::secret(self.organisation, self.group, &name("prod"), &name(called))
    }

    /// Sets a secret as the operator's tool does; its version.
    pub(crate) async fn seal(&self, bench: &Bench, called: &str, value: &[u8]) -> Result<u64, Refusal> {
        let (_, version, next) = bench.ledger.secret(name("prod"), name(called)).await?;
        let (epoch, key) = self.roster.epoch();
        let sealed = SealedSecret::seal(&self.place(called), next, epoch.max(1), &key, value, &self.operator).unwrap();
        let set = bench.ledger.set_secret("ada".to_owned(), (name("prod"), name(called)), version, sealed.to_json());
        soon(set).await.map(|view| view.record.version)
    }

    pub(crate) fn resealed(&self, called: &str, version: u64, value: &[u8], by: &SigningKey) -> SealedItem {
        let (epoch, key) = self.roster.epoch();
        let sealed = SealedSecret::seal(&self.place(called), version, epoch, &key, value, by).unwrap();
        SealedItem { environment: name("prod"), name: name(called), version, envelope: sealed.to_json() }
    }

    pub(crate) fn open(&self, item: &SealedItem) -> Vec<u8> {
        SealedSecret::from_json(&item.envelope).unwrap().open(&self.epoch_key).unwrap().to_vec()
    }

    /// As an agent says it that has the whole roster.
    pub(crate) fn known(&self, report: &mut KeyringReport) {
        report.roster_n = self.roster.n();
        report.roster_head = self.roster.head().hash.as_bytes().to_vec();
    }

    pub(crate) fn report_at(&self, secrets_revision: u64) -> FromAgent {
        let mut report = KeyringReport { state: KeyringState::Member, secrets_revision, ..KeyringReport::default() };
        self.known(&mut report);
        FromAgent::Keyring(report)
    }
}

impl Hand {
    /// Reports and hears the answer.
    pub(crate) async fn report(
        &mut self,
        bench: &Bench,
        state: KeyringState,
        more: impl FnOnce(&mut KeyringReport),
    ) -> Keyring {
        self.hears(bench).await;
        self.frames.clear();
        let mut report = KeyringReport { state, ..KeyringReport::default() };
        more(&mut report);
        self.agent.say(bench, FromAgent::Keyring(report)).await;
        self.keyring().await
    }

    /// The next frame about keys; those that only repeat that it tends are left out.
    pub(crate) async fn keyring(&mut self) -> Keyring {
        self.next().await
    }

    pub(crate) async fn next(&mut self) -> Keyring {
        if !self.frames.is_empty() {
            return self.frames.remove(0);
        }
        let keyring = |frame: &FromController| {
            if let FromController::Keyring(keyring) = frame { Some(keyring.clone()) } else { None }
        };
        self.agent.find(keyring).await
    }

    /// Takes everything that was sent so far.
    pub(crate) async fn hears(&mut self, bench: &Bench) {
        for frame in self.agent.heard(bench).await {
            if let FromController::Keyring(keyring) = frame {
                self.frames.push(keyring);
            }
        }
    }

    pub(crate) async fn silent(&mut self, bench: &Bench) -> bool {
        self.hears(bench).await;
        self.frames.is_empty()
    }
}

pub(crate) async fn keys(bench: &Bench, hand: &Hand) -> &'static str {
    bench.ledger.agent(hand.agent.id.to_string()).await.unwrap().keys
}

pub(crate) async fn secret(bench: &Bench, called: &str) -> SecretView {
    bench.ledger.secret(name("prod"), name(called)).await.unwrap().0.unwrap()
}

/// A roster of someone, to have one before there is one.
fn nobody(organisation: OrganisationId, group: GroupId) -> Roster {
    let token = EnrolmentToken::generate(SpkiPin::of_spki(b"nobody")).unwrap();
    let secret = (token.id(), token.roster_part());
    let operator = SigningKey::generate().unwrap();
    let invite = Invite::make(secret, Destination { organisation, group, founding: None }, 1, &operator).unwrap();
    let (identity, sealing) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
    let agent = AgentId::from_u128(1);
    let join = Join::make(secret, agent, identity.public(), sealing.public()).unwrap();
    Roster::found(&Roster::founding_entry(1, &invite, &join, sealing.public(), &identity).unwrap()).unwrap()
}
