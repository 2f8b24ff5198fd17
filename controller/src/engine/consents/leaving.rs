//! Tokens are given back.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::oneshot;
use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::Failure,
    id::{AgentId, GroupId},
    name::Name,
    time::Timestamp,
};
use wherry_proto::frame::OAuthAsked;

use super::MAX_FLOWS;
use crate::engine::{Kind, Ledger, Refusal, Turn, owners::OwnerKey};

/// How long an agent has to give tokens back.
const DISCONNECT: Duration = Duration::from_secs(40);
/// How long its answer counts, also if whoever asked has gone meanwhile.
const LATE: Duration = Duration::from_secs(600);

/// Somebody waits for an agent to give tokens back.
pub(super) struct Leaving {
    agent: AgentId,
    who: String,
    path: ConnectionPath,
    key: OwnerKey,
    /// When the answer counts no more.
    pub(super) until: Timestamp,
    answer: oneshot::Sender<Result<bool, Failure>>,
}

/// Documents of deployments that are not in force any more, by whose settings agents were asked to give tokens back, and
/// until when their groups may have them.
#[derive(Default)]
pub(super) struct Parting(BTreeMap<(GroupId, Digest), Timestamp>);

impl Ledger {
    /// Gives the tokens of a connection back; whether the provider revoked them. With `force` also if the agent that
    /// has them is away: they stay valid then until they expire.
    ///
    /// # Errors
    /// If the connection is not known or not connected, or its agent is away or cannot do it.
    pub async fn disconnect(
        &self,
        who: String,
        place: (Name, Option<Name>, Name),
        force: bool,
    ) -> Result<bool, Refusal> {
        let waiting = self.act(move |turn| turn.disconnect(who, place, force)).await?;
        let Some(answer) = waiting else { return Ok(false) };
        let revoked = match tokio::time::timeout(DISCONNECT, answer).await {
            Ok(Ok(Ok(revoked))) => revoked,
            Ok(Ok(Err(failure))) => {
                let (kind, faults) = (Kind::Conflict, Vec::new());
                return Err(Refusal { kind, code: failure.code, message: failure.message, faults, retry_after: None });
            }
            Ok(Err(_)) | Err(_) => {
                let message = "the agent did not answer: try again, or with --force";
                return Err(Refusal::new(Kind::Busy, "oauth.agent_silent", message));
            }
        };
        // A turn later it is durable.
        self.act(|_| Ok(())).await?;
        Ok(revoked)
    }
}

impl Turn<'_> {
    fn disconnect(
        &mut self,
        who: String,
        (environment, project, connection): (Name, Option<Name>, Name),
        force: bool,
    ) -> Result<Option<oneshot::Receiver<Result<bool, Failure>>>, Refusal> {
        let found = self.find_connection(&environment, project.as_ref(), &connection)?;
        let (id, project) = (found.deployment.environment, found.deployment.project.clone());
        let deployment = found.deployment.digest;
        let path = ConnectionPath { environment, project: project.clone(), connection: connection.clone() };
        let key = (id, project, connection);
        let not_connected = || Refusal::not_found("oauth.not_connected", format!("{path} has no tokens to give back"));
        let owner = self.state.owners.get(&key).and_then(|kept| kept.owner.agent()).ok_or_else(not_connected)?;
        self.replace_flow(&key);
        if !self.knows_oauth(owner) {
            if !force {
                let message = format!(
                    "{owner}, which has the tokens of {path}, is not connected: wait for it, or add --force and revoke them at the provider"
                );
                return Err(Refusal::new(Kind::Busy, "oauth.owner_away", message));
            }
            self.give_back(&who, &path, &key, "without the agent");
            return Ok(None);
        }
        self.state.flows.next += 1;
        let request = self.state.flows.next;
        let (answer, receiver) = oneshot::channel();
        let until = self.now.plus(LATE);
        if self.state.flows.leaving.len() >= MAX_FLOWS {
            return Err(Refusal::busy());
        }
        self.state.flows.leaving.insert(request, Leaving { agent: owner, who, path: path.clone(), key, until, answer });
        self.oauth_order(owner, path, request, OAuthAsked::Disconnect { deployment: Some(deployment) });
        Ok(Some(receiver))
    }

    /// An agent gave tokens back, or could not.
    pub(in crate::engine) fn disconnected(
        &mut self,
        agent: AgentId,
        key: &OwnerKey,
        request: u64,
        result: Result<bool, Failure>,
    ) {
        let leaving = self.state.flows.leaving.get(&request);
        if !leaving.is_some_and(|leaving| leaving.agent == agent && leaving.key == *key) {
            return;
        }
        let Some(leaving) = self.state.flows.leaving.remove(&request) else { return };
        // Another agent may own it by now, or nobody if it was asked twice.
        let owns = self.state.owners.get(key).is_some_and(|kept| kept.owner.agent() == Some(agent));
        if let Ok(revoked) = &result
            && owns
        {
            let how = if *revoked { "revoked" } else { "not revoked by the provider" };
            self.give_back(&leaving.who, &leaving.path, &leaving.key, how);
        }
        // The caller may have given up.
        let _ = leaving.answer.send(result);
    }

    /// An agent of the group was asked to give tokens back by the settings of this deployment, which is about to go.
    pub(in crate::engine) fn part_with(&mut self, group: GroupId, deployment: Digest) {
        let (now, parting) = (self.now, &mut self.state.flows.parting.0);
        parting.retain(|_, until| *until > now);
        if parting.len() >= MAX_FLOWS
            && let Some(soonest) = parting.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
        {
            parting.remove(&soonest);
        }
        parting.insert((group, deployment), now.plus(LATE));
    }

    /// Whether an agent of the group may still need the document of a deployment to give tokens back.
    pub(in crate::engine) fn parts_with(&self, group: GroupId, deployment: Digest) -> bool {
        self.state.flows.parting.0.get(&(group, deployment)).is_some_and(|until| *until > self.now)
    }

    fn give_back(&mut self, who: &str, path: &ConnectionPath, key: &OwnerKey, how: &str) {
        let Some(kept) = self.state.owners.get_mut(key) else { return };
        kept.owner.released();
        (kept.account, kept.trouble) = (None, None);
        kept.copied(None);
        self.audit(who, "oauth.disconnect", &path.to_string(), how);
        self.store_owner(key);
        self.store_copy(key);
    }
}
