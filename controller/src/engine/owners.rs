//! Which agent of a group refreshes the tokens of a connection, and copies of them for the others.
//!
//! The rules are [`wherry_domain::owner`]'s. Fence and number are compared where the change lands, in the writer's turn,
//! and the answer leaves once that is durable.

use std::collections::BTreeMap;

use wherry_daemon::{
    clock::Clock,
    store::{Store, StoreError},
};
use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code, Failure},
    id::{AgentId, EnvironmentId},
    name::Name,
    owner::{Claim, Intent, Owner, OwnerFence, Standing},
    presence::State as Presence,
    project::{Auth, Snapshot, auth::OAuth2},
    schedule::Tie,
};
use wherry_proto::frame::{
    FromController, OAuthAsked, OAuthOrder, OAuthReport, OAuthSaid, TokenCopy, TokenOwnership, Wrapped,
};

use super::{Turn, keyring::in_use, load::definitions};
use crate::model::{Account, StoredCopy, TokenRecord};

/// Most connections whose tokens are kept: their copies are in memory.
const MAX_KEPT: usize = 10_000;
/// The connection is not one of the agent's group, or has no OAuth.
const UNKNOWN: Code = Code::new("oauth.connection_unknown");
/// The owner is away, so nobody can refresh.
const AWAY: Code = Code::new("oauth.owner_away");
/// Too many connections have tokens.
const TOO_MANY: Code = Code::new("oauth.too_many");

/// A connection of an environment.
pub(super) type OwnerKey = (EnvironmentId, Name, Name);

/// What is known of the tokens of a connection.
pub(super) struct Kept {
    pub(super) owner: Owner,
    pub(super) account: Option<Account>,
    pub(super) trouble: Option<Failure>,
    pub(super) copy: Option<TokenCopy>,
    /// Of the group's key that opens the copy.
    pub(super) copy_epoch: Option<u32>,
    /// Agents that wait for newer tokens, with the number of their question.
    wanted: BTreeMap<AgentId, u64>,
}

impl Kept {
    pub(super) fn of(owner: Owner) -> Self {
        Self { owner, account: None, trouble: None, copy: None, copy_epoch: None, wanted: BTreeMap::new() }
    }

    pub(super) fn stored(record: TokenRecord, copy: Option<TokenCopy>, owner: Owner) -> Self {
        let TokenRecord { account, trouble, .. } = record;
        let copy_epoch = copy.as_ref().and_then(in_use::of_copy);
        Self { account, trouble, copy, copy_epoch, ..Self::of(owner) }
    }

    pub(super) fn copied(&mut self, copy: Option<TokenCopy>) {
        self.copy_epoch = copy.as_ref().and_then(in_use::of_copy);
        self.copy = copy;
    }
}

/// Everything that is kept of tokens. Whoever owned them may be refreshing them now.
pub(super) fn load(store: &dyn Store, clock: &Clock) -> Result<BTreeMap<OwnerKey, Kept>, StoreError> {
    let mut copies: BTreeMap<OwnerKey, TokenCopy> = BTreeMap::new();
    for StoredCopy { environment, project, connection, generation, sealed } in definitions(store, "oauth-copy")? {
        copies.insert((environment, project, connection), TokenCopy { generation, sealed });
    }
    let mut all = BTreeMap::new();
    for record in definitions::<TokenRecord>(store, "oauth")? {
        let key = (record.environment, record.project.clone(), record.connection.clone());
        let owner = Owner::restored(record.owner, clock.now());
        let copy = copies.remove(&key);
        all.insert(key, Kept::stored(record, copy, owner));
    }
    Ok(all)
}

impl Turn<'_> {
    /// An agent says something about the tokens of a connection.
    pub(super) fn oauth_report(&mut self, agent: AgentId, report: OAuthReport) {
        let OAuthReport { connection, request, said } = report;
        let key = match self.owner_key(agent, &connection) {
            Ok(key) => key,
            Err(failure) => return self.oauth_order(agent, connection, request, OAuthAsked::Refused(failure)),
        };
        match said {
            OAuthSaid::Claim { have, intent } => self.claim(agent, (key, connection), request, (have, intent)),
            OAuthSaid::Publish { fence, generation, sealed } => {
                self.publish_tokens(agent, (key, connection), request, (fence, generation, sealed));
            }
            OAuthSaid::Wanted { generation } => self.wanted(agent, (key, connection), request, generation),
            OAuthSaid::State(failure) => self.troubled(agent, &key, failure),
            OAuthSaid::Started { flow, result } => self.flow_started(agent, flow, result),
            OAuthSaid::Redeemed { flow, result } => self.flow_redeemed(agent, flow, result),
            OAuthSaid::Kept { flow, result } => self.flow_kept(agent, flow, result),
            OAuthSaid::Disconnected(result) => self.disconnected(agent, &key, request, result),
        }
    }

    /// The connection, if it belongs to the agent's group and signs in with OAuth.
    fn owner_key(&self, agent: AgentId, path: &ConnectionPath) -> Result<OwnerKey, Failure> {
        let unknown =
            || Failure::permanent(UNKNOWN, format!("{path} is no connection with oauth of this agent's group"));
        let group = self.state.agents.get(&agent).map(|state| state.agent.group).ok_or_else(unknown)?;
        let environment = self.state.environments.get(&path.environment).filter(|found| found.group == group);
        let environment = environment.ok_or_else(unknown)?.id;
        let current = self.state.current.get(&(environment, path.project.clone())).ok_or_else(unknown)?;
        let connection = current.snapshot.project.connections.get(&path.connection).ok_or_else(unknown)?;
        oauth_of(&connection.auth).ok_or_else(unknown)?;
        let key = (environment, path.project.clone(), path.connection.clone());
        if self.state.owners.len() >= MAX_KEPT && !self.state.owners.contains_key(&key) {
            let message = format!("tokens of at most {MAX_KEPT} connections are kept");
            return Err(Failure::permanent(TOO_MANY, message));
        }
        Ok(key)
    }

    fn claim(
        &mut self,
        agent: AgentId,
        (key, connection): (OwnerKey, ConnectionPath),
        request: u64,
        (have, intent): (u64, Intent),
    ) {
        let standing = self.standing(&key);
        let (now, generation, terms) = (self.now, self.state.generation, self.state.settings.lease);
        let kept = self.state.owners.entry(key.clone()).or_insert_with(|| Kept::of(Owner::none(now)));
        let claimed = kept.owner.claim(Claim { agent, have, intent, standing }, generation, terms, now);
        let stored = kept.owner.stored();
        let newest = kept.copy.clone().filter(|copy| copy.generation > have || claimed.owner);
        if claimed.changed {
            self.store_owner(&key);
        }
        let holder = stored.owner.and_then(|owner| self.state.agents.get(&owner));
        let ownership = TokenOwnership {
            owner: claimed.owner,
            fence: stored.fence,
            good_for: terms.term,
            generation: stored.generation,
            newest,
            in_doubt: claimed.in_doubt,
            holder: holder.map(|state| state.agent.name.to_string()).unwrap_or_default(),
        };
        self.oauth_order(agent, connection, request, OAuthAsked::Ownership(ownership));
    }

    /// What is known of the present owner of a connection.
    pub(super) fn standing(&self, key: &OwnerKey) -> Standing {
        let owner = self.state.owners.get(key).and_then(|kept| kept.owner.agent());
        match owner.and_then(|owner| self.state.agents.get(&owner)).map(|state| state.presence.state()) {
            None => Standing::Removed,
            Some(Presence::Live { .. } | Presence::Suspect { .. }) => Standing::Here,
            Some(Presence::AwaitingFirst | Presence::Lost | Presence::Locked) => Standing::Gone,
        }
    }

    fn publish_tokens(
        &mut self,
        agent: AgentId,
        (key, connection): (OwnerKey, ConnectionPath),
        request: u64,
        (fence, generation, sealed): (OwnerFence, u64, Wrapped),
    ) {
        let now = self.now;
        let kept = self.state.owners.entry(key.clone()).or_insert_with(|| Kept::of(Owner::none(now)));
        let copied = !sealed.0.is_empty();
        let accepted = kept.owner.publish(agent, fence, generation, copied).is_ok();
        let mut waiting = BTreeMap::new();
        if accepted {
            kept.copied(copied.then_some(TokenCopy { generation, sealed }));
            kept.trouble = None;
            waiting = std::mem::take(&mut kept.wanted);
        }
        let newest = kept.copy.clone();
        let known = kept.owner.stored().generation;
        if accepted {
            self.store_owner(&key);
            self.store_copy(&key);
        }
        let (others, answer) = (newest.clone(), newest.filter(|_| !accepted));
        let published = OAuthAsked::Published { accepted, generation: known, newest: answer };
        self.oauth_order(agent, connection.clone(), request, published);
        if let Some(newest) = others {
            for (other, request) in waiting {
                self.oauth_order(other, connection.clone(), request, OAuthAsked::Newer(newest.clone()));
            }
        }
    }

    fn wanted(&mut self, agent: AgentId, (key, connection): (OwnerKey, ConnectionPath), request: u64, generation: u64) {
        let here = self.standing(&key) == Standing::Here;
        let kept = self.state.owners.get_mut(&key);
        let newer = kept.as_ref().and_then(|kept| kept.copy.clone()).filter(|copy| copy.generation > generation);
        if let Some(newer) = newer {
            return self.oauth_order(agent, connection, request, OAuthAsked::Newer(newer));
        }
        match kept.and_then(|kept| Some((kept.owner.agent()?, kept))).filter(|_| here) {
            Some((owner, kept)) if owner != agent => {
                kept.wanted.insert(agent, request);
                let current = self.state.current.get(&(key.0, key.1));
                let deployment = current.map(|current| current.deployment.digest);
                self.oauth_order(owner, connection, 0, OAuthAsked::RefreshWanted { generation, deployment });
            }
            Some(_) | None => {
                let message = format!("no agent that can refresh the tokens of {connection} is connected");
                self.oauth_order(agent, connection, request, OAuthAsked::Refused(Failure::retry(AWAY, message)));
            }
        }
    }

    /// What is wrong with a connection is its owner's to say; if it has none, anybody's.
    fn troubled(&mut self, agent: AgentId, key: &OwnerKey, trouble: Option<Failure>) {
        let Some(kept) = self.state.owners.get_mut(key) else { return };
        let may_say = kept.owner.agent().is_none_or(|owner| owner == agent);
        if may_say && kept.trouble != trouble {
            kept.trouble = trouble;
            self.store_owner(key);
        }
    }

    pub(super) fn oauth_order(&mut self, agent: AgentId, connection: ConnectionPath, request: u64, asked: OAuthAsked) {
        self.frame(agent, FromController::OAuth(OAuthOrder { connection, request, asked }));
    }

    pub(super) fn store_owner(&mut self, key: &OwnerKey) {
        let Some(kept) = self.state.owners.get(key) else { return };
        let (environment, project, connection) = key.clone();
        let record = TokenRecord {
            environment,
            project,
            connection,
            owner: kept.owner.stored(),
            account: kept.account.clone(),
            trouble: kept.trouble.clone(),
        };
        self.define("oauth", &stored_under(key), &record);
        self.touch_environment(key.0);
    }

    pub(super) fn store_copy(&mut self, key: &OwnerKey) {
        match self.state.owners.get(key).and_then(|kept| kept.copy.clone()) {
            Some(TokenCopy { generation, sealed }) => {
                let (environment, project, connection) = key.clone();
                let copy = StoredCopy { environment, project, connection, generation, sealed };
                self.define("oauth-copy", &stored_under(key), &copy);
            }
            None => self.undefine("oauth-copy", &stored_under(key)),
        }
    }

    /// A run that waited for an owner may go elsewhere now, or has to.
    fn touch_environment(&mut self, environment: EnvironmentId) {
        let group = self.state.environment(environment).map(|environment| environment.group);
        self.state.touched.extend(group);
    }

    /// Where the runs of a connection may go whose tokens one agent has.
    pub(super) fn owner_tie(&self, kept: &Kept) -> Tie {
        let stored = kept.owner.stored();
        if stored.copied || stored.generation == 0 {
            return Tie::Any;
        }
        let Some(state) = stored.owner.and_then(|owner| self.state.agents.get(&owner)) else { return Tie::Any };
        match state.presence.state() {
            Presence::Live { .. } if state.presence.may_take_work() => Tie::Only(state.agent.id),
            Presence::Live { .. } | Presence::Suspect { .. } => Tie::Nobody,
            // Elsewhere it fails, and says why.
            Presence::AwaitingFirst | Presence::Lost | Presence::Locked => Tie::Any,
        }
    }

    /// Forgets the tokens of an environment that is gone.
    pub(super) fn forget_tokens(&mut self, environment: EnvironmentId) {
        let gone: Vec<OwnerKey> = self.state.owners.keys().filter(|(id, _, _)| *id == environment).cloned().collect();
        for key in gone {
            self.forget_owner(&key);
            self.seam();
        }
    }

    /// Forgets the tokens of connections of `old` that are not in `new`, or there with another connector.
    pub(super) fn forget_owners(&mut self, environment: EnvironmentId, old: &Snapshot, new: Option<&Snapshot>) {
        for (name, connection) in &old.project.connections {
            let kept = new.and_then(|new| new.project.connections.get(name));
            if kept.is_none_or(|kept| kept.connector != connection.connector) {
                self.forget_owner(&(environment, old.project.name.clone(), name.clone()));
            }
        }
    }

    fn forget_owner(&mut self, key: &OwnerKey) {
        self.end_flows(key);
        if let Some(kept) = self.state.owners.remove(key) {
            self.undefine("oauth", &stored_under(key));
            self.undefine("oauth-copy", &stored_under(key));
            self.touch_environment(key.0);
            self.ask_back(key, &kept);
        }
    }

    /// Whoever has the tokens of a connection that is gone forgets them, and gives them back to the provider. One that
    /// is away keeps what nobody asks it to use any more.
    fn ask_back(&mut self, key: &OwnerKey, kept: &Kept) {
        let (environment, project, connection) = key.clone();
        let connected = kept.account.is_some() || kept.owner.stored().generation > 0;
        let Some(owner) = kept.owner.agent().filter(|_| connected) else { return };
        let Some(found) = self.state.environment(environment) else { return };
        let (group, environment) = (found.group, found.name.clone());
        let Some(current) = self.state.current.get(&(key.0, key.1.clone())) else { return };
        let deployment = current.deployment.digest;
        let path = ConnectionPath { environment, project, connection };
        self.part_with(group, deployment);
        self.oauth_order(owner, path, 0, OAuthAsked::Disconnect { deployment: Some(deployment) });
    }
}

/// The OAuth settings of a connection that has some.
pub(super) fn oauth_of(auth: &Auth) -> Option<&OAuth2> {
    match auth {
        Auth::OAuth2(oauth) => Some(oauth),
        Auth::None
        | Auth::Basic { .. }
        | Auth::Bearer { .. }
        | Auth::ApiKey(_)
        | Auth::OAuth1(_)
        | Auth::LoginToken(_)
        | Auth::Crowd(_)
        | Auth::SoapHeader(_)
        | Auth::Auto(_) => None,
    }
}

fn stored_under((environment, project, connection): &OwnerKey) -> String {
    format!("{environment}/{project}/{connection}")
}
