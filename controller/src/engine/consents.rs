//! A person connects an account: between the command line, the browser and the agent that owns the connection.
//!
//! ```text
//! begin ─► agent: Start ─► address (its origin is checked) ─► browser ─► provider ─► /oauth/callback
//!   ─► state taken once ─► agent: Code ─► account ─► the same caller confirms ─► agent: Confirm ─► connected
//! ```
//!
//! Nothing of a flow is stored: verifier and tokens are on the agent alone, and the code goes straight into the frame
//! for it. A controller that restarts has forgotten the flow, and the person begins again.

use std::collections::BTreeMap;

use tokio::sync::watch;
use wherry_domain::{
    connection::ConnectionPath,
    consent::{Consent, Effect, Event, LIFE, State as Flowing},
    digest::Digest,
    failure::{Code, Failure},
    id::{AgentId, FlowId},
    name::Name,
    owner::{Owner, Standing},
    presence::State as Presence,
    project::application::origin,
    time::Timestamp,
};
use wherry_proto::frame::{ConsentAddress, ConsentedAccount, OAuthAsked};
use wherry_trust::keys::sha256;

use super::{
    Kind, Ledger, Refusal, Turn,
    owners::{Kept, OwnerKey, oauth_of},
};
use crate::model::Account;

mod callback;
mod leaving;
mod provider;
mod view;

use self::{
    leaving::{Leaving, Parting},
    provider::Provider,
};
pub use callback::{BACK, Back};
pub use view::{Connectedness, FlowView};

/// Flows that may be under way, or were within the last minutes.
const MAX_FLOWS: usize = 256;
/// The connection is not deployed any more.
const GONE: Code = Code::new("oauth.connection_unknown");
/// The agent is of a version that knows less than the flow needs.
const TOO_OLD: Code = Code::new("connection.agent_too_old");
/// A newer flow of the same connection took its place.
const REPLACED: Code = Code::new("oauth.flow_replaced");
/// The agent named an address that nobody approved.
const ADDRESS_REFUSED: Code = Code::new("oauth.address_refused");

/// A wish to connect an account.
#[derive(Clone, Debug)]
pub struct NewFlow {
    /// Where.
    pub environment: Name,
    /// Of which project, if the connection's name alone does not tell.
    pub project: Option<Name>,
    /// Which connection.
    pub connection: Name,
    /// Id or name of the agent that shall own it.
    pub agent: Option<String>,
    /// Name of the token of whoever asks: nobody else may confirm.
    pub who: String,
    /// The controller's own redirect address.
    pub redirect_uri: String,
}

/// Every flow.
#[derive(Default)]
pub(super) struct Flows {
    all: BTreeMap<FlowId, Flow>,
    /// Tokens that are being given back, by the number of the question.
    leaving: BTreeMap<u64, Leaving>,
    parting: Parting,
    next: u64,
}

struct Flow {
    machine: Consent,
    path: ConnectionPath,
    key: OwnerKey,
    agent: AgentId,
    who: String,
    /// The only origin that people are sent to.
    origin: String,
    issuer: String,
    public_client: bool,
    redirect_uri: String,
    /// The agent opens what is sealed to its group.
    opens_sealed: bool,
    url: Option<String>,
    watch: watch::Sender<FlowView>,
    /// When it may be forgotten, once it is over.
    forget: Option<Timestamp>,
}

impl Flows {
    /// Until when nothing happens by itself.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let flows = self.all.values().filter_map(|flow| flow.forget.or_else(|| flow.machine.deadline()));
        flows.chain(self.leaving.values().map(|leaving| leaving.until)).min()
    }
}

impl Ledger {
    /// Begins to connect an account; what follows is told to the receiver.
    ///
    /// # Errors
    /// If the connection is not known or needs no person, nobody approved its provider, or no agent can do it.
    pub async fn begin_flow(&self, new: NewFlow) -> Result<watch::Receiver<FlowView>, Refusal> {
        self.begin(move |turn| turn.begin_flow(&new)).await
    }

    /// A flow, to be followed.
    ///
    /// # Errors
    /// If there is none of that id for this connection.
    pub async fn flow(&self, flow: FlowId) -> Result<watch::Receiver<FlowView>, Refusal> {
        self.act(move |turn| {
            turn.state.flows.all.get(&flow).map(|flow| flow.watch.subscribe()).ok_or_else(|| unknown_flow(flow))
        })
        .await
    }

    /// The person's word on the account.
    ///
    /// # Errors
    /// If there is no such flow, it does not wait for it, or somebody else began it.
    pub async fn confirm_flow(
        &self,
        who: String,
        flow: FlowId,
        right: bool,
    ) -> Result<watch::Receiver<FlowView>, Refusal> {
        self.act(move |turn| turn.confirm_flow(&who, flow, right)).await
    }
}

impl Turn<'_> {
    fn begin_flow(&mut self, new: &NewFlow) -> Result<watch::Receiver<FlowView>, Refusal> {
        let current = self.find_connection(&new.environment, new.project.as_ref(), &new.connection)?.clone();
        let path = ConnectionPath {
            environment: new.environment.clone(),
            project: current.deployment.project.clone(),
            connection: new.connection.clone(),
        };
        let key = (current.deployment.environment, path.project.clone(), path.connection.clone());
        let Provider { origin, issuer, redirect_uri, public_client } = self.provider(&current, &path.connection)?;
        self.replace_flow(&key);
        if self.state.flows.all.len() >= MAX_FLOWS {
            let message = format!("{MAX_FLOWS} people connect accounts just now: try again in a few minutes");
            return Err(Refusal { message, ..Refusal::busy() });
        }
        let agent = self.flow_agent(&key, new)?;
        let flow: FlowId = self.fresh();
        let redirect_uri = redirect_uri.unwrap_or_else(|| new.redirect_uri.clone());
        self.audit(&new.who, "oauth.begin", &path.to_string(), &origin);
        let (watch, told) = watch::channel(FlowView::empty(flow, path.clone()));
        let one = Flow {
            machine: Consent::begun(self.now),
            path: path.clone(),
            key,
            agent,
            who: new.who.clone(),
            origin,
            issuer,
            public_client,
            redirect_uri: redirect_uri.clone(),
            opens_sealed: false,
            url: None,
            watch,
            forget: None,
        };
        self.state.flows.all.insert(flow, one);
        let deployment = current.deployment.digest;
        self.oauth_order(agent, path, 0, OAuthAsked::Start { flow, deployment, redirect_uri });
        Ok(told)
    }

    /// An older flow of the connection comes to its end.
    fn replace_flow(&mut self, key: &OwnerKey) {
        let older: Vec<FlowId> =
            self.state.flows.all.iter().filter(|(_, flow)| flow.key == *key).map(|(id, _)| *id).collect();
        for id in older {
            let message = "another flow of this connection took its place";
            self.flow_event(id, Event::Failed(Failure::permanent(REPLACED, message)), None);
            self.state.flows.all.remove(&id);
        }
    }

    /// The connection is gone: its flows come to their end, and the agent forgets what it got.
    pub(super) fn end_flows(&mut self, key: &OwnerKey) {
        let of_connection = self.state.flows.all.iter().filter(|(_, flow)| flow.key == *key && !flow.machine.is_over());
        let flows: Vec<(FlowId, AgentId, ConnectionPath)> =
            of_connection.map(|(id, flow)| (*id, flow.agent, flow.path.clone())).collect();
        for (id, agent, path) in flows {
            let failure = Failure::permanent(GONE, format!("{path} is not deployed any more"));
            self.flow_event(id, Event::Failed(failure), None);
            self.oauth_order(agent, path, 0, OAuthAsked::Confirm { flow: id, accepted: false });
        }
    }

    /// The agent that does it: the owner of the connection, if it has one.
    fn flow_agent(&mut self, key: &OwnerKey, new: &NewFlow) -> Result<AgentId, Refusal> {
        let standing = self.standing(key);
        let owner =
            self.state.owners.get(key).and_then(|kept| kept.owner.agent()).filter(|_| standing == Standing::Here);
        let preferred = owner.or_else(|| self.seated(key.0, &key.1)).or_else(|| self.owner_beside(key));
        let named = match (new.agent.as_deref(), preferred) {
            (Some(named), _) => Some(named.to_owned()),
            (None, preferred) => preferred.map(|agent| agent.to_string()),
        };
        let group = self.environment(&new.environment)?.group;
        let agent = self.choose(group, &new.environment, named.as_deref())?;
        if !self.knows_oauth(agent) {
            let message = "the agent does not know three-legged OAuth: upgrade it, or name another one";
            return Err(Refusal::new(Kind::Incompatible, "connection.agent_too_old", message));
        }
        let (now, generation, terms) = (self.now, self.state.generation, self.state.settings.lease);
        let kept = self.state.owners.entry(key.clone()).or_insert_with(|| Kept::of(Owner::none(now)));
        if !kept.owner.assign(agent, standing, generation, terms, now) {
            let message = match owner {
                Some(owner) => format!("{owner} owns the connection: connect through it, or disconnect first"),
                None => "the agent that owned the connection may still be at work: try again in a minute".to_owned(),
            };
            return Err(Refusal::new(Kind::Busy, "oauth.owner_bound", message));
        }
        self.store_owner(key);
        Ok(agent)
    }

    /// Who owns another connection of the project: an operation that uses both then finds both.
    fn owner_beside(&self, (environment, project, _): &OwnerKey) -> Option<AgentId> {
        let beside = self.state.owners.iter().filter(|((e, p, _), _)| e == environment && p == project);
        beside.filter_map(|(_, kept)| kept.owner.agent()).find(|agent| {
            self.state.agents.get(agent).is_some_and(|state| matches!(state.presence.state(), Presence::Live { .. }))
        })
    }

    fn knows_oauth(&self, agent: AgentId) -> bool {
        let session = self.state.agents.get(&agent).and_then(|state| state.session.as_ref());
        session.is_some_and(|session| session.oauth)
    }

    pub(super) fn flow_started(&mut self, agent: AgentId, flow: FlowId, result: Result<ConsentAddress, Failure>) {
        let keyed = self.sealing_key_of(agent).is_some();
        let Some(known) = self.state.flows.all.get_mut(&flow).filter(|known| known.agent == agent) else { return };
        let event = match result {
            Err(failure) => Event::Failed(failure),
            Ok(ConsentAddress { url, .. }) if origin(&url).as_ref() != Some(&known.origin) => {
                tracing::error!(%agent, %flow, "an agent wanted to send a person to an origin that nobody approved");
                let message =
                    format!("the agent named an address that is not at {}: it may be compromised", known.origin);
                Event::Failed(Failure::permanent(ADDRESS_REFUSED, message))
            }
            Ok(ConsentAddress { opens_sealed: false, .. }) if keyed => {
                let message = "the agent cannot open a code that is sealed to its group, and no other one is sent to a \
                               group that has a key: upgrade the agent";
                Event::Failed(Failure::permanent(TOO_OLD, message))
            }
            Ok(ConsentAddress { url, state_hash, opens_sealed }) => {
                (known.url, known.opens_sealed) = (Some(url), opens_sealed);
                Event::Started { state_hash }
            }
        };
        self.flow_event(flow, event, None);
    }

    pub(super) fn flow_redeemed(&mut self, agent: AgentId, flow: FlowId, result: Result<ConsentedAccount, Failure>) {
        if self.state.flows.all.get(&flow).is_some_and(|known| known.agent == agent) {
            let event = match result {
                Ok(account) => Event::Redeemed { label: account.label },
                Err(failure) => Event::Failed(failure),
            };
            self.flow_event(flow, event, None);
        }
    }

    pub(super) fn flow_kept(&mut self, agent: AgentId, flow: FlowId, result: Result<(), Failure>) {
        if self.state.flows.all.get(&flow).is_some_and(|known| known.agent == agent) {
            self.flow_event(flow, result.map_or_else(Event::Failed, |()| Event::Kept), None);
        }
    }

    fn confirm_flow(&mut self, who: &str, flow: FlowId, right: bool) -> Result<watch::Receiver<FlowView>, Refusal> {
        let known = self.state.flows.all.get(&flow).ok_or_else(|| unknown_flow(flow))?;
        if known.who != who {
            let message = "another caller began this flow: whoever began it confirms it";
            return Err(Refusal::new(Kind::Forbidden, "oauth.other_caller", message));
        }
        if !matches!(known.machine.state(), Flowing::Asking { .. }) {
            let message = "the flow does not wait for a confirmation";
            return Err(Refusal::conflict("oauth.nothing_to_confirm", message));
        }
        let (told, path) = (known.watch.subscribe(), known.path.to_string());
        self.audit(who, if right { "oauth.confirm" } else { "oauth.decline" }, &path, "");
        self.flow_event(flow, Event::Answered { right }, None);
        Ok(told)
    }

    /// Something happened to a flow; does what must follow. `code` goes with what the browser brought.
    fn flow_event(&mut self, id: FlowId, event: Event, code: Option<OAuthAsked>) {
        let now = self.now;
        let Some(flow) = self.state.flows.all.get_mut(&id) else { return };
        let effects = flow.machine.on(event, now);
        let (agent, path, key, who) = (flow.agent, flow.path.clone(), flow.key.clone(), flow.who.clone());
        let mut code = code;
        for effect in effects {
            match effect {
                Effect::Redeem => {
                    let here = self.state.agents.get(&agent).is_some_and(|state| state.session.is_some());
                    match code.take().filter(|_| here) {
                        Some(code) => self.oauth_order(agent, path.clone(), 0, code),
                        None => self.flow_event(id, Event::AgentLeft, None),
                    }
                }
                Effect::Tell { keep } => {
                    self.oauth_order(agent, path.clone(), 0, OAuthAsked::Confirm { flow: id, accepted: keep });
                }
                Effect::Connected { label } => {
                    self.audit(&who, "oauth.connect", &path.to_string(), &label);
                    let account = Account { label, connected_ms: self.wall_ms, connected_by: who.clone() };
                    if let Some(kept) = self.state.owners.get_mut(&key) {
                        kept.account = Some(account);
                        kept.trouble = None;
                    }
                    self.store_owner(&key);
                }
            }
        }
        self.show_flow(id);
    }

    /// Flows whose time has come.
    pub(super) fn tick_flows(&mut self) {
        let now = self.now;
        let due = |flow: &Flow| flow.forget.or_else(|| flow.machine.deadline()).is_some_and(|at| at <= now);
        let ids: Vec<FlowId> = self.state.flows.all.iter().filter(|(_, flow)| due(flow)).map(|(id, _)| *id).collect();
        for id in ids {
            if self.state.flows.all.get(&id).is_some_and(|flow| flow.forget.is_some()) {
                self.state.flows.all.remove(&id);
            } else {
                self.flow_event(id, Event::Tick, None);
            }
        }
        self.state.flows.leaving.retain(|_, leaving| leaving.until > now);
    }

    fn show_flow(&mut self, id: FlowId) {
        let now = self.now;
        let Some(flow) = self.state.flows.all.get_mut(&id) else { return };
        if flow.machine.is_over() && flow.forget.is_none() {
            flow.forget = Some(now.plus(LIFE));
        }
        let agent = self.state.agents.get(&flow.agent).map(|state| state.agent.name.to_string()).unwrap_or_default();
        let view = view::of(id, flow, agent);
        self.out.flows.push((flow.watch.clone(), view));
    }
}

fn unknown_flow(flow: FlowId) -> Refusal {
    let message = format!("there is no flow {flow} any more: begin again with wherry oauth connect");
    Refusal::not_found("oauth.flow_not_found", message)
}

fn hash(state: &str) -> Digest {
    sha256(state.as_bytes())
}
