//! A group of agents and the least a controller has to do for them.

mod disk;
mod operator;
mod owner;

pub(super) use self::operator::invitation;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tempfile::TempDir;
use wherry_domain::id::{AgentId, GroupId, OrganisationId};
use wherry_proto::frame::{
    Departed, Keyring as Frame, KeyringReport, KeyringState, MissingWrap, PendingJoin, RemovedItem, SealedItem,
};
use wherry_trust::{
    keys::{SigningKey, sha256},
    seal_local::LocalKey,
    sealing::{
        invite::{Destination, Invite},
        key::{SealingKey, SealingPublic},
        roster::Roster,
        secret::{Place, SealedSecret},
        wrap::Wrap,
    },
};

use super::super::{
    files::{Files, Joining},
    keys::Keys,
    ring::{Ring, Who},
    vault::{Id, Vault},
};

pub(super) const HOME: (OrganisationId, GroupId) = (OrganisationId::from_u128(1), GroupId::from_u128(2));
/// The machine's own clock, by which files are dated.
fn now_ms() -> u64 {
    wherry_daemon::clock::Clock::system().wall_unix_millis()
}

pub(super) fn agent_id(n: usize) -> AgentId {
    AgentId::from_u128(n as u128 + 10)
}

pub(super) fn secret_id(name: &str) -> Id {
    ("prod".parse().unwrap(), name.parse().unwrap())
}

pub(super) fn place(id: &Id) -> Place {
    Place::secret(HOME.0, HOME.1, &id.0, &id.1)
}

/// What the controller keeps.
#[derive(Clone, Default)]
pub(super) struct Store {
    entries: Vec<Vec<u8>>,
    wraps: BTreeMap<(u32, String), Vec<u8>>,
    invites: BTreeMap<usize, Invite>,
    joins: BTreeMap<usize, Vec<u8>>,
    secrets: BTreeMap<Id, (u64, SealedItem)>,
    removed: BTreeMap<Id, (u64, u64)>,
    revision: u64,
    departed: Vec<usize>,
}

struct Agent {
    folder: TempDir,
    pem: String,
    local: [u8; 32],
    online: bool,
    keys: Keys,
    ring: Ring,
    trouble: String,
    state: KeyringState,
}

pub(super) struct Group {
    operator: SigningKey,
    store: Store,
    agents: Vec<Agent>,
    now_ms: u64,
    pub(super) kill_after_each_step: bool,
    pub(super) everyone_tends: bool,
    pub(super) withhold_wraps: bool,
    pub(super) epochs_in_use: Vec<u32>,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            operator: SigningKey::generate().unwrap(),
            store: Store::default(),
            agents: Vec::new(),
            now_ms: now_ms(),
            kill_after_each_step: false,
            everyone_tends: false,
            withhold_wraps: false,
            epochs_in_use: Vec::new(),
        }
    }

    pub(super) fn operator(&self) -> &SigningKey {
        &self.operator
    }

    pub(super) fn invited(&mut self) -> usize {
        self.admitted(true)
    }

    /// The same, not heard of by the controller yet.
    pub(super) fn invited_but_silent(&mut self) -> usize {
        let agent = self.invited();
        self.agents[agent].online = false;
        self.agents[agent].ring.begin();
        agent
    }

    pub(super) fn uninvited(&mut self) -> usize {
        self.admitted(false)
    }

    fn admitted(&mut self, invited: bool) -> usize {
        let agent = self.agents.len();
        let (folder, identity) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
        let local = *LocalKey::generate().unwrap().reveal();
        let files = Files::open(folder.path().to_owned(), LocalKey::from_bytes(&local).unwrap()).unwrap();
        let sealing = files.sealing_key().unwrap().public();
        let founding = (!self.store.entries.is_empty()).then(|| self.roster().founding());
        let to = Destination { organisation: HOME.0, group: HOME.1, founding };
        if invited {
            let (invite, join) = operator::invited_as(to, &self.operator, agent_id(agent), &identity, sealing);
            files.keep_joining(&Joining { invite: invite.clone(), join }).unwrap();
            self.store.invites.insert(agent, invite);
        }
        let pem = identity.to_pem().unwrap().to_string();
        let keys = Keys::new(folder.path().to_owned(), HOME);
        let ring = open(&folder, &local, &pem, agent);
        let (trouble, state) = (String::new(), KeyringState::None);
        self.agents.push(Agent { folder, pem, local, online: true, keys, ring, trouble, state });
        agent
    }

    pub(super) fn offline(&mut self, agent: usize) {
        self.agents[agent].online = false;
    }

    pub(super) fn online(&mut self, agent: usize) {
        self.agents[agent].online = true;
    }

    pub(super) fn later(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// Everyone talks until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        let mut queue: VecDeque<(usize, KeyringReport)> = VecDeque::new();
        for agent in 0..self.agents.len() {
            if self.agents[agent].online {
                queue.push_back((agent, self.agents[agent].ring.begin()));
            }
        }
        for _ in 0..3_000 {
            let Some((from, report)) = queue.pop_front() else { return };
            let changed = self.take(from, report);
            let answer: Vec<usize> = if changed { (0..self.agents.len()).collect() } else { vec![from] };
            for agent in answer {
                let departed = self.store.departed.contains(&agent);
                if !self.agents[agent].online || departed && agent != from {
                    continue;
                }
                let frame = self.frame(agent);
                if let Some(report) = self.say(agent, frame) {
                    queue.push_back((agent, report));
                }
            }
        }
        panic!("the agents do not come to an end");
    }

    /// The agent hears what there is, although it may have departed.
    pub(super) fn tell(&mut self, agent: usize) {
        let frame = self.frame(agent);
        self.say(agent, frame);
    }

    /// The agent hears a frame.
    pub(super) fn say(&mut self, agent: usize, frame: Frame) -> Option<KeyringReport> {
        let now_ms = self.now_ms;
        let kill = self.kill_after_each_step;
        let subject = &mut self.agents[agent];
        let mut report = subject.ring.heard(frame, now_ms);
        if let Some(report) = &report {
            subject.trouble =
                report.trouble.as_ref().map(|trouble| trouble.code.as_str().to_owned()).unwrap_or_default();
        }
        if kill {
            let spoke = report.is_some();
            subject.ring = open(&subject.folder, &subject.local, &subject.pem, agent);
            // What it said may have arrived or not; here it did. It begins anew only if it has not come to rest.
            let begins = subject.ring.begin();
            report = report
                .filter(|_| spoke)
                .or_else(|| (begins.roster_n != self.store.entries.len() as u64).then_some(begins));
        }
        let subject = &mut self.agents[agent];
        subject.keys.are(subject.ring.keys());
        subject.state = subject.ring.state();
        report
    }

    /// What the controller does with a report; whether anything changed.
    fn take(&mut self, from: usize, report: KeyringReport) -> bool {
        let mut changed = false;
        if !report.join.is_empty() {
            changed |= self.store.joins.insert(from, report.join.clone()).is_none();
        }
        let n = self.store.entries.len() as u64;
        let head = self.store.entries.last().map(|entry| sha256(entry).as_bytes().to_vec()).unwrap_or_default();
        let mut takes_wraps = true;
        if !report.append.is_empty() {
            takes_wraps = report.roster_n == n && report.roster_head == head;
            if takes_wraps {
                self.store.entries.extend(report.append);
                let roster = self.roster();
                self.store.joins.retain(|agent, _| roster.member(agent_id(*agent)).is_none());
                changed = true;
            }
        }
        if takes_wraps && !self.withhold_wraps {
            for wrap in report.wraps {
                changed |= self.store.wraps.insert((wrap.epoch, wrap.recipient), wrap.wrapped).is_none();
            }
        }
        for item in report.resealed {
            let id = (item.environment.clone(), item.name.clone());
            if self.store.secrets.get(&id).is_none_or(|(_, known)| known.version < item.version) {
                self.store.revision += 1;
                self.store.secrets.insert(id, (self.store.revision, item));
                changed = true;
            }
        }
        changed
    }

    fn tending(&self) -> Option<usize> {
        let member = |agent: &usize| {
            self.agents[*agent].state == KeyringState::Member
                && self.agents[*agent].online
                && !self.store.departed.contains(agent)
        };
        (0..self.agents.len()).find(member)
    }

    fn frame(&self, agent: usize) -> Frame {
        let subject = &self.agents[agent];
        let (n, revision) = (self.store.entries.len() as u64, subject.ring.report().secrets_revision);
        let since = if revision > self.store.revision { 0 } else { revision };
        let first = subject.ring.n().min(n);
        let mut frame = Frame {
            roster_first: first,
            entries: self.store.entries[usize::try_from(first).unwrap()..].to_vec(),
            roster_n: n,
            since,
            revision: self.store.revision,
            epochs_in_use: self.epochs_in_use.clone(),
            ..Frame::default()
        };
        let own = self.sealing_public(agent).to_string();
        for ((epoch, recipient), wrapped) in &self.store.wraps {
            if *recipient == own {
                let (epoch, recipient, wrapped) = (*epoch, recipient.clone(), wrapped.clone());
                frame.wraps.push(wherry_proto::frame::WrappedKey { epoch, recipient, wrapped });
            }
        }
        let changed = self.store.secrets.values().filter(|(at, _)| *at > since);
        frame.secrets = changed.map(|(_, item)| item.clone()).collect();
        let removed = self.store.removed.iter().filter(|(_, (at, _))| *at > since);
        frame.removed = removed
            .map(|(id, (_, version))| RemovedItem { environment: id.0.clone(), name: id.1.clone(), version: *version })
            .collect();
        if n > 0 && (self.everyone_tends || self.tending() == Some(agent)) {
            self.duties(&mut frame);
        }
        frame
    }

    fn duties(&self, frame: &mut Frame) {
        let roster = self.roster();
        frame.tends = true;
        for (agent, join) in &self.store.joins {
            if let Some(invite) = self.store.invites.get(agent) {
                frame.joins.push(PendingJoin { join: join.clone(), invite: invite.to_json() });
            }
        }
        let departed = self.store.departed.iter().map(|agent| agent_id(*agent));
        let departed = departed.filter(|agent| roster.member(*agent).is_some());
        frame.departed = departed.map(|agent| Departed { agent, reason: "removed".to_owned() }).collect();
        for epoch in 1..=roster.epoch().0 {
            for recipient in roster.recipients() {
                let recipient = recipient.to_string();
                if !self.store.wraps.contains_key(&(epoch, recipient.clone())) {
                    frame.missing.push(MissingWrap { epoch, recipient });
                }
            }
        }
    }

    /// The controller shows secrets that are none of what it was given.
    pub(super) fn plant(&mut self, agent: usize, secrets: Vec<SealedItem>) {
        self.agents[agent].ring.begin();
        let (n, revision) = (self.store.entries.len() as u64, self.store.revision);
        let frame = Frame { roster_first: n, roster_n: n, secrets, since: revision, revision, ..Frame::default() };
        self.say(agent, frame);
    }

    pub(super) fn backup(&self) -> Store {
        self.store.clone()
    }

    pub(super) fn restore(&mut self, store: Store) {
        self.store = store;
    }

    pub(super) fn roster(&self) -> Roster {
        Roster::fold(&self.store.entries).unwrap()
    }

    pub(super) fn entries(&self) -> Vec<Vec<u8>> {
        self.store.entries.clone()
    }

    pub(super) fn wraps(&self) -> Vec<Wrap> {
        self.store.wraps.values().map(|wrapped| Wrap::from_json(wrapped).unwrap()).collect()
    }

    pub(super) fn item(&self, name: &str) -> SealedItem {
        self.store.secrets[&secret_id(name)].1.clone()
    }

    pub(super) fn sealed(&self, name: &str) -> SealedSecret {
        SealedSecret::from_json(&self.item(name).envelope).unwrap()
    }

    pub(super) fn opens(&self, agent: usize, name: &str) -> Result<String, String> {
        let (environment, name) = secret_id(name);
        let keys = &self.agents[agent].keys;
        let json = std::fs::read(keys.path(&environment, &name)).map_err(|error| error.to_string())?;
        let content = keys.open(&environment, &name, &json).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(content.to_vec()).unwrap())
    }

    pub(super) fn keys(&self, agent: usize) -> &Keys {
        &self.agents[agent].keys
    }

    pub(super) fn state(&self, agent: usize) -> KeyringState {
        self.agents[agent].ring.state()
    }

    pub(super) fn n(&self, agent: usize) -> u64 {
        self.agents[agent].ring.n()
    }

    pub(super) fn id(&self, agent: usize) -> AgentId {
        agent_id(agent)
    }

    pub(super) fn trouble(&self, agent: usize) -> String {
        self.agents[agent].trouble.clone()
    }

    pub(super) fn sealing_public(&self, agent: usize) -> SealingPublic {
        self.agents[agent].ring.sealing.public()
    }

    pub(super) fn keys_of(&self, agent: usize) -> BTreeMap<u32, Arc<SealingKey>> {
        self.agents[agent].ring.epochs.clone()
    }
}

fn open(folder: &TempDir, local: &[u8; 32], pem: &str, agent: usize) -> Ring {
    let files = Files::open(folder.path().to_owned(), LocalKey::from_bytes(local).unwrap()).unwrap();
    let who = Who { organisation: HOME.0, group: HOME.1, agent: agent_id(agent) };
    let vault = Vault::open(folder.path()).unwrap();
    Ring::open(files, vault, who, SigningKey::from_pem(pem).unwrap()).unwrap()
}
