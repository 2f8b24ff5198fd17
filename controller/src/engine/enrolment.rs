//! Enrolment tokens and the agents they admit.

use wherry_domain::{
    digest::Digest,
    id::{AgentId, GroupId, OrganisationId},
    name::Name,
    presence::Presence,
};
use wherry_proto::frame::Publisher;
use wherry_trust::{sealing::invite::Invite, token::AuthPart};

use super::{Kind, Ledger, Refusal, Turn, state::AgentState};
use crate::model::{Agent, EnrolmentToken, Redeemed};

/// Longest life of a token.
const MAX_TOKEN_LIFE_S: u64 = 86_400;
/// One text for every reason, so that nobody learns which part was right.
pub(crate) const TOKEN_INVALID: &str =
    "the enrolment token or proof is unknown, expired, used or wrong: make a new token with wherry agent token";
/// Wrong secrets after which a token is burned.
const MAX_FAILURES: u32 = 20;
/// Most tokens that are neither used nor expired.
const MAX_TOKENS: usize = 10_000;

/// What an agent shows to be admitted.
pub struct EnrolRequest {
    /// Names the token.
    pub token_id: String,
    /// The half of its secret that is meant for the controller.
    pub auth_part: AuthPart,
    /// SHA-256 of the public key in its certificate request.
    pub key: Digest,
    /// Its Ed25519 identity key.
    pub identity_key: [u8; 32],
    /// What it calls itself.
    pub name: Name,
    /// Its version.
    pub version: String,
}

/// An agent that may have a certificate.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The group.
    pub group: GroupId,
    /// The group's name.
    pub group_name: Name,
    /// The agent.
    pub agent: AgentId,
    /// Generation of the certificate to be issued.
    pub generation: u64,
    /// The agent's identity key.
    pub identity_key: [u8; 32],
    /// Publishers the organisation trusts.
    pub publishers: Vec<Publisher>,
    /// The operator's invitation to the group's keys, if the token came with one.
    pub invite: Option<String>,
}

impl Ledger {
    /// Registers a token that the operator's tool has made.
    ///
    /// # Errors
    /// If the group or the life make no sense, or the id was used before.
    pub async fn create_enrolment_token(
        &self,
        who: String,
        group: Name,
        id: String,
        auth_hash: Digest,
        life_s: u64,
        invite: Option<Invite>,
    ) -> Result<EnrolmentToken, Refusal> {
        if !(1..=MAX_TOKEN_LIFE_S).contains(&life_s) {
            let message = format!("an enrolment token lives 1 to {MAX_TOKEN_LIFE_S} seconds");
            return Err(Refusal::invalid("token.life_invalid", message));
        }
        self.begin(move |turn| {
            let missing =
                || Refusal::not_found("group.not_found", format!("there is no group {group}: see wherry group list"));
            let group = turn.state.group_named(&group).ok_or_else(missing)?.group.id;
            let invite = invite.map(|invite| turn.invitation(&id, group, &invite)).transpose()?;
            turn.forget_old_tokens();
            if turn.state.enrolment_tokens.contains_key(&id) {
                return Err(Refusal::conflict("token.exists", "this enrolment token exists already: make a new one"));
            }
            if turn.state.enrolment_tokens.len() >= MAX_TOKENS {
                let message = format!("{MAX_TOKENS} enrolment tokens are not over yet: wait until some have ended");
                return Err(Refusal::conflict("token.too_many", message));
            }
            let expires_ms = turn.wall_ms.saturating_add(life_s * 1_000);
            let created_by = who.clone();
            let token = EnrolmentToken {
                id: id.clone(),
                auth_hash,
                group,
                expires_ms,
                created_by,
                redeemed: None,
                failures: 0,
                invite,
            };
            turn.audit(&who, "enrolment-token.create", &id, "");
            turn.define("token", &id, &token);
            turn.state.enrolment_tokens.insert(id, token.clone());
            Ok(token)
        })
        .await
    }

    /// Admits an agent: the token is spent in the same commit. The same key may ask again while the
    /// token lives, because the answer may have been lost.
    ///
    /// # Errors
    /// `enrolment.token_invalid`, one text for every reason; `agent.name_taken`.
    pub async fn admit(&self, request: EnrolRequest) -> Result<Admission, Refusal> {
        self.begin(move |turn| Ok(turn.admit_agent(request))).await?
    }

    /// What a certificate for a known agent needs; `generation` is that of the one it holds.
    ///
    /// # Errors
    /// If the agent is unknown or locked, or the generation is neither the newest nor the one before
    /// it: then someone else holds a copy of the key, and the agent is locked.
    pub async fn renew(&self, agent: AgentId, generation: Option<u64>) -> Result<Admission, Refusal> {
        self.act(move |turn| Ok(turn.renew_agent(agent, generation))).await?
    }

    /// Records until when the agent's newest certificate lasts.
    pub async fn certified(&self, agent: AgentId, ends_ms: u64) {
        let recorded = self.tell(move |turn| {
            if let Some(state) = turn.state.agents.get_mut(&agent) {
                state.agent.certificate_ends_ms = ends_ms;
                let record = state.agent.clone();
                turn.define("agent", &agent.to_string(), &record);
            }
        });
        // Only what people see; the certificate itself says the same.
        let _ = recorded.await;
    }
}

impl Turn<'_> {
    fn admit_agent(&mut self, request: EnrolRequest) -> Result<Admission, Refusal> {
        let wall_ms = self.wall_ms;
        let Some(token) = self.state.enrolment_tokens.get_mut(&request.token_id) else { return Err(invalid()) };
        if !request.auth_part.matches(&token.auth_hash) {
            token.failures = token.failures.saturating_add(1);
            let record = token.clone();
            self.define("token", &record.id, &record);
            return Err(invalid());
        }
        if token.expires_ms <= wall_ms || token.failures >= MAX_FAILURES {
            return Err(invalid());
        }
        if let Some(Redeemed { key, agent }) = token.redeemed.clone() {
            return if key == request.key { self.admission(agent) } else { Err(self.spent_twice(&request)) };
        }
        if self.state.agents.values().any(|state| state.agent.name == request.name) {
            let message = format!("there is an agent {} already: choose another name", request.name);
            return Err(Refusal::conflict("agent.name_taken", message));
        }
        self.new_agent(request)
    }

    fn new_agent(&mut self, request: EnrolRequest) -> Result<Admission, Refusal> {
        let id: AgentId = self.fresh();
        let Some(token) = self.state.enrolment_tokens.get_mut(&request.token_id) else { return Err(invalid()) };
        token.redeemed = Some(Redeemed { key: request.key, agent: id });
        let token = token.clone();
        let agent = Agent {
            id,
            name: request.name,
            group: token.group,
            identity_key: request.identity_key,
            version: request.version,
            enrolled_ms: self.wall_ms,
            seen_ms: 0,
            generation: 1,
            certificate_ends_ms: 0,
            epoch: None,
            locked: None,
            draining: false,
            secret_names: Vec::new(),
            connectors: Vec::new(),
            invite: token.invite.clone(),
        };
        self.audit(&format!("token {}", token.id), "agent.enrol", &id.to_string(), agent.name.as_str());
        self.define("token", &token.id, &token);
        self.define("agent", &id.to_string(), &agent);
        self.state.directory.learn_agent(id, &agent.name);
        self.state.agents.insert(id, AgentState::new(agent, Presence::enrolled(self.state.settings.lease)));
        self.admission(id)
    }

    /// A second key for a spent token: someone else has the token.
    fn spent_twice(&mut self, request: &EnrolRequest) -> Refusal {
        self.audit("controller", "enrolment-token.reused", &request.token_id, request.name.as_str());
        invalid()
    }

    fn renew_agent(&mut self, agent: AgentId, generation: Option<u64>) -> Result<Admission, Refusal> {
        let refused = || Refusal::new(Kind::Forbidden, "agent.unknown", "this agent is not known: enrol it again");
        let state = self.state.agents.get_mut(&agent).ok_or_else(refused)?;
        if let Some(reason) = &state.agent.locked {
            return Err(Refusal::new(Kind::Forbidden, "agent.locked", format!("this agent is locked: {reason}")));
        }
        let newest = state.agent.generation;
        match generation {
            Some(shown) if shown == newest || shown.checked_add(1) == Some(newest) => (),
            None => (),
            Some(_) => {
                let why = "an old certificate was used to renew: its key was probably copied";
                self.lock(agent, why.to_owned());
                self.audit("controller", "agent.lock", &agent.to_string(), why);
                return Err(Refusal::new(Kind::Forbidden, "agent.locked", format!("this agent is locked: {why}")));
            }
        }
        if generation.is_none_or(|shown| shown == newest) {
            state.agent.generation = newest + 1;
            let record = state.agent.clone();
            self.define("agent", &agent.to_string(), &record);
        }
        self.admission(agent)
    }

    fn admission(&self, agent: AgentId) -> Result<Admission, Refusal> {
        let state = self.state.agents.get(&agent).ok_or_else(invalid)?;
        let group = self.state.groups.get(&state.agent.group).ok_or_else(invalid)?;
        Ok(Admission {
            organisation: self.state.organisation,
            group: group.group.id,
            group_name: group.group.name.clone(),
            agent,
            generation: state.agent.generation,
            identity_key: state.agent.identity_key,
            publishers: self.trusted_publishers(),
            invite: state.agent.invite.clone(),
        })
    }

    /// The invitation as it is kept, if the agents of the group will take it.
    fn invitation(&self, token: &str, group: GroupId, invite: &Invite) -> Result<String, Refusal> {
        let here = invite.organisation() == self.state.organisation && invite.group() == group;
        let refused = |why: &str| Refusal::invalid("invite.refused", format!("the invitation does not hold: {why}"));
        if invite.token() != token || !here {
            return Err(refused("it is for another token or group"));
        }
        invite.check().map_err(|error| refused(&error.to_string()))?;
        String::from_utf8(invite.to_json()).map_err(|_| refused("it is not text"))
    }

    fn forget_old_tokens(&mut self) {
        let wall_ms = self.wall_ms;
        let old = self.state.enrolment_tokens.values().filter(|token| token.expires_ms <= wall_ms);
        for id in old.map(|token| token.id.clone()).collect::<Vec<_>>() {
            self.state.enrolment_tokens.remove(&id);
            self.undefine("token", &id);
        }
    }
}

fn invalid() -> Refusal {
    Refusal::new(Kind::Unauthenticated, "enrolment.token_invalid", TOKEN_INVALID)
}
