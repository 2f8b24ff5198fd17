//! Questions to agents about connections: asked on a session, answered on it, and forgotten with it.
//!
//! Nothing of them is stored. Whoever waits holds the receiving end; the sending end lives in the session, so that a
//! session that ends, however it ends, tells everyone who waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};
use wherry_domain::{
    id::{AgentId, AskId, GroupId},
    name::Name,
    project::check::nearest,
};
use wherry_proto::{
    MAX_ACTIVITY, MAX_QUESTION,
    frame::{Answer, Ask, FromController, Question},
};

use super::{
    Kind, Ledger, Refusal, Turn,
    state::{AgentState, Current},
};
use crate::model::Deployment;

/// Questions that may be open at once.
const MAX_OPEN: usize = 64;
/// Questions that one agent may have open.
const MAX_PER_AGENT: usize = 4;
/// How much longer than the agent the caller waits.
const SLACK: Duration = Duration::from_secs(5);

/// A question about a connection.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Where.
    pub environment: Name,
    /// Of which project, if the connection's name alone does not tell.
    pub project: Option<Name>,
    /// Which connection.
    pub connection: Name,
    /// Id or name of the agent to ask; otherwise one is chosen.
    pub agent: Option<String>,
    /// What is asked.
    pub question: Question,
    /// Within this time the agent answers; at most [`wherry_proto::MAX_ASK`].
    pub limit: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Of which deployment the connection is.
    pub deployment: Deployment,
    /// Name of the agent that answered.
    pub agent: Name,
    /// Its answer.
    pub answer: Answer,
}

/// The open questions of a session.
pub(super) struct Asks {
    able: bool,
    open: BTreeMap<AskId, oneshot::Sender<Answer>>,
}

/// A question that is on its way.
struct Asked {
    deployment: Deployment,
    agent: Name,
    answer: oneshot::Receiver<Answer>,
}

/// Room for open questions.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_OPEN))
}

impl Asks {
    /// Of a new session; `able` if its agent answers questions.
    pub(super) const fn new(able: bool) -> Self {
        Self { able, open: BTreeMap::new() }
    }

    /// How many wait for an answer; those whose callers gave up are gone.
    fn waiting(&mut self) -> usize {
        self.open.retain(|_, caller| !caller.is_closed());
        self.open.len()
    }
}

impl Ledger {
    /// Asks an agent of the environment's group about a connection, and waits for the answer.
    ///
    /// # Errors
    /// If the connection is not known, no agent can answer, too many questions are open, or no answer comes.
    pub async fn ask(&self, inquiry: Inquiry) -> Result<Answered, Refusal> {
        inquiry.check()?;
        let busy = || Refusal { message: format!("{MAX_OPEN} connections are being asked about"), ..Refusal::busy() };
        let _place = self.asking.try_acquire().map_err(|_| busy())?;
        let limit = inquiry.limit;
        let Asked { deployment, agent, answer } = self.act(move |turn| turn.ask(&inquiry)).await?;
        match tokio::time::timeout(limit + SLACK, answer).await {
            Ok(Ok(answer)) => Ok(Answered { deployment, agent, answer }),
            Ok(Err(_)) => Err(left(&agent)),
            Err(_) => Err(silent(&agent, limit)),
        }
    }
}

impl Inquiry {
    fn check(&self) -> Result<(), Refusal> {
        let Question::Discover { activity, question } = &self.question else { return Ok(()) };
        let faulty = match (activity.len() > MAX_ACTIVITY, question.len() > MAX_QUESTION) {
            (true, _) => format!("an activity has at most {MAX_ACTIVITY} bytes"),
            (false, true) => format!("a question has at most {MAX_QUESTION} bytes"),
            (false, false) => return Ok(()),
        };
        Err(Refusal::invalid("request.too_large", faulty))
    }
}

impl Turn<'_> {
    fn ask(&mut self, inquiry: &Inquiry) -> Result<Asked, Refusal> {
        let Inquiry { environment, project, connection, question, limit, .. } = inquiry;
        let current = self.find_connection(environment, project.as_ref(), connection)?;
        let (deployment, tied) = (current.deployment.clone(), self.asked_of(current, connection));
        let group = self.environment(environment)?.group;
        let tied = tied.map(|agent| agent.to_string());
        let agent = self.choose(group, environment, inquiry.agent.as_deref().or(tied.as_deref()))?;
        let id: AskId = self.fresh();
        let (caller, answer) = oneshot::channel();
        let state = self.state.agents.get_mut(&agent);
        let Some((record, session)) = state.and_then(|state| Some((&state.agent, state.session.as_mut()?))) else {
            return Err(nobody(environment));
        };
        let name = record.name.clone();
        session.asks.open.insert(id, caller);
        let ask = Ask {
            id,
            deployment: deployment.digest,
            connection: connection.clone(),
            question: question.clone(),
            limit: *limit,
        };
        tracing::info!(%id, %environment, %connection, agent = %name, "asked about a connection");
        self.frame(agent, FromController::Ask(ask));
        Ok(Asked { deployment, agent: name, answer })
    }

    /// An answer came; nobody may be left who waits for it.
    pub(super) fn answered(&mut self, agent: AgentId, answer: Answer) {
        let session = self.state.agents.get_mut(&agent).and_then(|state| state.session.as_mut());
        if let Some(caller) = session.and_then(|session| session.asks.open.remove(&answer.id)) {
            // The caller may have given up.
            let _ = caller.send(answer);
        }
    }

    /// The agent with the least to do that can answer, of those that serve the environment; one that waits for keys
    /// only if there is no other.
    pub(super) fn choose(
        &mut self,
        group: GroupId,
        environment: &Name,
        named: Option<&str>,
    ) -> Result<AgentId, Refusal> {
        let mut found = Found::Nobody;
        let bare: BTreeSet<AgentId> =
            self.state.agents.keys().copied().filter(|agent| self.waits_for_keys(*agent)).collect();
        for (id, state) in &mut self.state.agents {
            if state.agent.group != group || !is_called(state, named) {
                continue;
            }
            found = found.max(look_at(*id, state, !bare.contains(id)));
        }
        match (found, named) {
            (Found::Able { agent, .. }, _) => Ok(agent),
            (Found::Nobody, Some(named)) => Err(not_here(named, environment)),
            (Found::Nobody | Found::Away, _) => Err(nobody(environment)),
            (Found::Old, _) => Err(Refusal::new(
                Kind::Incompatible,
                "connection.agent_too_old",
                format!("no connected agent of {environment} answers questions about connections: upgrade one"),
            )),
            (Found::Busy, _) => Err(Refusal::new(
                Kind::Busy,
                "agent.busy",
                format!("the agents of {environment} are being asked about other connections: try again in a moment"),
            )),
        }
    }

    pub(super) fn find_connection(
        &self,
        environment: &Name,
        project: Option<&Name>,
        name: &Name,
    ) -> Result<&Current, Refusal> {
        let id = self.environment(environment)?.id;
        let here = self.state.current.range((id, Name::lowest())..).take_while(|((of, _), _)| *of == id);
        let here = here.map(|(_, current)| current);
        let wanted: Vec<&Current> =
            here.filter(|current| project.is_none_or(|name| *name == current.deployment.project)).collect();
        let mut having = wanted.iter().filter(|current| current.snapshot.project.connections.contains_key(name));
        match (having.next(), having.next()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => Err(Refusal::conflict(
                "connection.ambiguous",
                format!(
                    "projects {} and {} of {environment} both have a connection {name}: name the project",
                    one.deployment.project, other.deployment.project
                ),
            )),
            (None, _) => {
                let known = wanted.iter().flat_map(|current| current.snapshot.project.connections.keys());
                let near = nearest(name.as_str(), known.map(Name::as_str));
                let hint = near
                    .map_or_else(|| "see wherry connection list".to_owned(), |near| format!("did you mean {near}?"));
                let message = format!("no deployed connection of {environment} is called {name}: {hint}");
                Err(Refusal::not_found("connection.not_found", message))
            }
        }
    }
}

/// How far the search for an agent came; what is greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nobody,
    Away,
    Old,
    Busy,
    Able { keyed: bool, load: std::cmp::Reverse<(usize, usize)>, agent: AgentId },
}

/// `keyed` is whether the agent does not wait for its group's keys: it can open the secrets of connections.
fn look_at(agent: AgentId, state: &mut AgentState, keyed: bool) -> Found {
    let takes_work = state.presence.may_take_work();
    match state.session.as_mut().filter(|_| takes_work) {
        None => Found::Away,
        Some(session) if !session.asks.able => Found::Old,
        Some(session) => match session.asks.waiting() {
            MAX_PER_AGENT.. => Found::Busy,
            open => Found::Able { keyed, load: std::cmp::Reverse((open, state.leased.len())), agent },
        },
    }
}

fn is_called(state: &AgentState, named: Option<&str>) -> bool {
    named.is_none_or(|named| state.agent.name.as_str() == named || state.agent.id.to_string() == named)
}

fn not_here(named: &str, environment: &Name) -> Refusal {
    let shown: String = named.chars().take(64).filter(|c| !c.is_control()).collect();
    Refusal::not_found("agent.not_found", format!("no agent {shown} serves {environment}: see wherry agent list"))
}

fn nobody(environment: &Name) -> Refusal {
    let message = format!("no agent that serves {environment} is connected and takes work: see wherry agent list");
    Refusal::new(Kind::Busy, "connection.no_agent", message)
}

fn left(agent: &Name) -> Refusal {
    let message = format!("agent {agent} was lost before it answered: try again");
    Refusal::new(Kind::Busy, "connection.agent_left", message)
}

fn silent(agent: &Name, limit: Duration) -> Refusal {
    let message = format!("agent {agent} did not answer within {}s: try again, or another agent", limit.as_secs());
    Refusal::new(Kind::Busy, "connection.no_answer", message)
}
