//! What people see of a flow, and of a connection's tokens.

use wherry_domain::{connection::ConnectionPath, consent::State, failure::Failure, id::FlowId, name::Name};

use super::Flow;
use crate::{
    engine::{Ledger, Refusal},
    model::Account,
};

/// A flow as its caller sees it.
#[derive(Clone, Debug)]
pub struct FlowView {
    /// Its id.
    pub flow: FlowId,
    /// Of which connection.
    pub path: ConnectionPath,
    /// Name of the agent that does it.
    pub agent: String,
    /// `starting`, `waiting`, `redeeming`, `asking`, `confirming`, `done` or `failed`.
    pub state: &'static str,
    /// Where the person consents, while that is waited for.
    pub url: Option<String>,
    /// Where the person is sent back to.
    pub redirect_uri: String,
    /// The client has nothing to prove itself with.
    pub public_client: bool,
    /// The account, in the provider's words.
    pub label: Option<String>,
    /// Why nothing came of it.
    pub failure: Option<Failure>,
}

impl FlowView {
    pub(super) fn empty(flow: FlowId, path: ConnectionPath) -> Self {
        Self {
            flow,
            path,
            agent: String::new(),
            state: "starting",
            url: None,
            redirect_uri: String::new(),
            public_client: false,
            label: None,
            failure: None,
        }
    }

    /// Whether the next step is a person's, or there is none.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.state, "waiting" | "asking" | "done" | "failed")
    }
}

pub(super) fn of(id: FlowId, flow: &Flow, agent: String) -> FlowView {
    let (state, label, failure) = match flow.machine.state() {
        State::Starting => ("starting", None, None),
        State::Waiting { .. } => ("waiting", None, None),
        State::Redeeming => ("redeeming", None, None),
        State::Asking { label } => ("asking", Some(label), None),
        State::Confirming { label } => ("confirming", Some(label), None),
        State::Done { label } => ("done", Some(label), None),
        State::Failed(failure) => ("failed", None, Some(failure)),
    };
    FlowView {
        flow: id,
        path: flow.path.clone(),
        agent,
        state,
        url: flow.url.clone().filter(|_| state == "waiting"),
        redirect_uri: flow.redirect_uri.clone(),
        public_client: flow.public_client,
        label: label.cloned(),
        failure: failure.cloned(),
    }
}

/// What is known of the tokens of a connection.
#[derive(Clone, Debug)]
pub struct Connectedness {
    /// The connection.
    pub path: ConnectionPath,
    /// Name of the agent that refreshes them.
    pub owner: Option<String>,
    /// Their number; 0 for none yet.
    pub generation: u64,
    /// Whether the other agents of the group can use them.
    pub shared: bool,
    /// Whose account it is.
    pub account: Option<Account>,
    /// What is wrong.
    pub trouble: Option<Failure>,
}

impl Ledger {
    /// What is known of the tokens of a connection.
    ///
    /// # Errors
    /// If there is no such connection, or it has no OAuth.
    pub async fn connectedness(
        &self,
        environment: Name,
        project: Option<Name>,
        connection: Name,
    ) -> Result<Connectedness, Refusal> {
        self.act(move |turn| {
            let current = turn.find_connection(&environment, project.as_ref(), &connection)?;
            let project = current.deployment.project.clone();
            let found = current.snapshot.project.connections.get(&connection);
            if found.and_then(|found| super::oauth_of(&found.auth)).is_none() {
                let message = format!("{connection} does not sign in with oauth2");
                return Err(Refusal::conflict("oauth.not_oauth", message));
            }
            let key = (current.deployment.environment, project.clone(), connection.clone());
            let path = ConnectionPath { environment, project, connection };
            let kept = turn.state.owners.get(&key);
            let owner = kept.and_then(|kept| kept.owner.agent()).and_then(|owner| turn.state.agents.get(&owner));
            Ok(Connectedness {
                path,
                owner: owner.map(|state| state.agent.name.to_string()),
                generation: kept.map_or(0, |kept| kept.owner.stored().generation),
                shared: kept.is_some_and(|kept| kept.owner.stored().copied),
                account: kept.and_then(|kept| kept.account.clone()),
                trouble: kept.and_then(|kept| kept.trouble.clone()),
            })
        })
        .await
    }
}
