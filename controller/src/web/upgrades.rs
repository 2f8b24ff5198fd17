//! Versions of connectors in an environment: how it stands, moving one, and what was moved before.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wherry_domain::{duration, lock::Lock, name::Name, rollout};

use super::{
    Web,
    auth::{Deployer, Reader},
    body::{Body, Named},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::{
    engine::{Changes, LockedView, Move, Plan as Planned, Readiness, Wish},
    model::{LockChange, RolloutRecord, verdict_word},
};

/// Longest word on why, in characters.
const MAX_WHY: usize = 200;

/// What is wanted of a connector.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMove {
    /// `upgrade`, `rollback`, `pin` or `unpin`.
    #[schema(value_type = String)]
    action: Action,
    /// The version to go to. Absent, the newest for an upgrade and the one before for a rollback.
    #[schema(value_type = Option<String>)]
    version: Option<semver::Version>,
    /// Try the new version on a share of the attempts first.
    canary: Option<Canary>,
    /// Capabilities that grow are agreed to.
    #[serde(default)]
    approve_capabilities: bool,
    /// The lock of the plan as an operator signed it, if one has to.
    #[schema(value_type = Option<Object>)]
    envelope: Option<Value>,
    /// For people who look back, at most 200 characters.
    #[serde(default)]
    why: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Upgrade,
    Rollback,
    Pin,
    Unpin,
}

/// How to try a version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Canary {
    /// How many of the attempts, such as `10%`.
    #[schema(value_type = String)]
    share: rollout::Share,
    /// For how long, such as `30m`.
    r#for: String,
    /// The least number of attempts on the new version; 10, if absent.
    attempts: Option<u32>,
}

/// What a move changes.
#[derive(Serialize, ToSchema)]
pub(super) struct Plan {
    environment: String,
    connector: String,
    /// The version that everyone has; absent if the connector is new here.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The version that everyone, or a share of the attempts, gets.
    to: String,
    /// Whether anything changes.
    changed: bool,
    /// Who signed the version.
    publisher: String,
    /// What its publisher says about it.
    notes: String,
    /// What it asks for beyond what was approved.
    capabilities_added: Vec<String>,
    activities_added: Vec<String>,
    activities_removed: Vec<String>,
    /// Activities with other side effects, in words.
    side_effects_changed: Vec<String>,
    /// Differences of schemas in words; absent if one of the versions was published without its descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    schemas_changed: Option<Vec<String>>,
    /// Agents of the environment that cannot run it, in words.
    agents_too_old: Vec<String>,
    /// Connections that use it, as `project/connection`.
    connections: Vec<String>,
    /// Operations that use it, as `project/operation`.
    operations: Vec<String>,
    /// Why an operator has to sign; absent if the controller may.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_needed: Option<Problem>,
    /// The lock as it has to be signed, or as it is in force after the move.
    #[schema(value_type = Object)]
    lock: Lock,
    /// After a move: connected agents of the environment that have the version ready. They get 20 seconds; those that
    /// are slower follow by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents_updated: Option<usize>,
    /// After a move: connected agents of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents_total: Option<usize>,
    /// After a move: enrolled agents of the environment that are not connected. They follow when they come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents_away: Option<usize>,
}

/// A connector of an environment.
#[derive(Serialize, ToSchema)]
pub(super) struct Standing {
    connector: String,
    version: String,
    digest: String,
    /// Whether updates leave it alone.
    pinned: bool,
    /// The newest version that may run here.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    /// Live agents that know locks.
    agents: usize,
    /// Enrolled agents that have no session: nobody knows yet what they have ready.
    agents_away: usize,
    /// Live agents that have this version ready.
    agents_ready: usize,
    /// The version of the lock.
    lock_version: u64,
    /// `automatic` or `held`.
    #[schema(value_type = String)]
    lock_mode: wherry_domain::lock::Mode,
    /// The canary under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryView>,
}

/// A canary.
#[derive(Serialize, ToSchema)]
pub(super) struct CanaryView {
    from: String,
    to: String,
    share: String,
    r#for: String,
    started_at: String,
    started_by: String,
    attempts: u32,
    failed: u32,
    median_ms: u64,
    old_attempts: u32,
    old_failed: u32,
    old_median_ms: u64,
    /// `under_way`, `everyone` or `back`.
    state: &'static str,
    /// How it ended, as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    reason: Option<rollout::Reason>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

/// One version of a lock, as far as it concerns a connector.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    lock_version: u64,
    at: String,
    who: String,
    why: String,
    /// `operator` or `controller`.
    #[schema(value_type = String)]
    signed_by: wherry_trust::chain::Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The version that a share of the attempts tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<String>,
    pinned: bool,
}

impl NewMove {
    fn asked(self, environment: Name, connector: Name) -> Result<Move, Problem> {
        let canary = self.canary.map(Canary::terms).transpose()?;
        if canary.is_some() && !matches!(self.action, Action::Upgrade) {
            return Err(Problem::invalid("request.invalid", "only an upgrade has a canary"));
        }
        let wish = match self.action {
            Action::Upgrade => Wish::Upgrade { version: self.version, canary },
            Action::Rollback => Wish::Rollback { version: self.version },
            Action::Pin => Wish::Pin,
            Action::Unpin => Wish::Unpin,
        };
        let envelope = self.envelope.map(|envelope| envelope.to_string().into_bytes());
        let why = self.why.chars().filter(|c| !c.is_control()).take(MAX_WHY).collect();
        Ok(Move { environment, connector, wish, approved: self.approve_capabilities, envelope, why })
    }
}

impl Canary {
    fn terms(self) -> Result<rollout::Terms, Problem> {
        let time = duration::parse(&self.r#for);
        let time = time.map_err(|error| Problem::invalid("request.invalid", format!("canary.for: {error}")))?;
        let attempts = self.attempts.unwrap_or(rollout::ATTEMPTS);
        let terms = rollout::Terms { share: self.share, time, attempts }.check();
        terms.map_err(|error| Problem::invalid("request.invalid", error.to_string()))
    }
}

fn plan(environment: &Name, connector: &Name, planned: Planned) -> Plan {
    let Planned { from, to, changed, lock, signature, changes } = planned;
    let Changes {
        publisher,
        notes,
        capabilities,
        activities_added,
        activities_removed,
        side_effects,
        schemas,
        agents_too_old,
        connections,
        operations,
    } = changes;
    Plan {
        environment: environment.to_string(),
        connector: connector.to_string(),
        from: from.map(|from| from.to_string()),
        to: to.to_string(),
        changed,
        publisher,
        notes,
        capabilities_added: capabilities,
        activities_added,
        activities_removed,
        side_effects_changed: side_effects,
        schemas_changed: schemas,
        agents_too_old,
        connections,
        operations,
        signature_needed: signature.map(Problem::from),
        lock,
        agents_updated: None,
        agents_total: None,
        agents_away: None,
    }
}

fn canary(record: RolloutRecord) -> CanaryView {
    let RolloutRecord { from, to, started_by, started_ms, settled_ms, stored, .. } = record;
    let (verdict, reason) = stored.settled.unzip();
    CanaryView {
        from: from.to_string(),
        to: to.to_string(),
        share: stored.terms.share.to_string(),
        r#for: duration::format(stored.terms.time),
        started_at: rfc3339(started_ms),
        started_by,
        attempts: stored.new.attempts,
        failed: stored.new.failed,
        median_ms: stored.new.took.median_ms(),
        old_attempts: stored.old.attempts,
        old_failed: stored.old.failed,
        old_median_ms: stored.old.took.median_ms(),
        state: verdict.map_or("under_way", verdict_word),
        why: reason.as_ref().map(ToString::to_string),
        reason,
        ended_at: settled_ms.map(rfc3339),
    }
}

/// The connectors of an environment, as its lock names them.
#[utoipa::path(get, path = "/v1/environments/{environment}/connectors", params(("environment" = String, Path)),
    responses((status = 200, body = List<Standing>), (status = 404, body = Problem)))]
pub(super) async fn stand(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
) -> Result<Json<List<Standing>>, Problem> {
    let stand = web.ledger.stand(environment).await?;
    let (lock_version, lock_mode) = (stand.lock.version, stand.lock.mode);
    let view = |view: LockedView| Standing {
        connector: view.connector.to_string(),
        version: view.version.to_string(),
        digest: view.digest.to_string(),
        pinned: view.pinned,
        newest: view.newest.map(|newest| newest.to_string()),
        agents: view.agents,
        agents_away: view.away,
        agents_ready: view.ready,
        lock_version,
        lock_mode,
        canary: view.rollout.map(canary),
    };
    Ok(Json(List::whole(stand.connectors.into_iter().map(view).collect())))
}

/// What a move would change. The lock in the answer is what an operator has to sign, if one has to.
#[utoipa::path(post, path = "/v1/environments/{environment}/connectors/{connector}/plan", request_body = NewMove,
    params(("environment" = String, Path), ("connector" = String, Path)),
    responses((status = 200, body = Plan), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn consider(
    State(web): State<Web>,
    _caller: Reader,
    Named((environment, connector)): Named<(Name, Name)>,
    Body(new): Body<NewMove>,
) -> Result<Json<Plan>, Problem> {
    let planned = web.ledger.plan_move(new.asked(environment.clone(), connector.clone())?).await?;
    Ok(Json(plan(&environment, &connector, planned)))
}

/// Moves a connector to another version, or pins it, and waits up to 20 seconds until agents are ready. Attempts that run
/// go on with what they began with.
#[utoipa::path(post, path = "/v1/environments/{environment}/connectors/{connector}/move", request_body = NewMove,
    params(("environment" = String, Path), ("connector" = String, Path)),
    responses((status = 200, body = Plan), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn perform(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, connector)): Named<(Name, Name)>,
    Body(new): Body<NewMove>,
) -> Result<Json<Plan>, Problem> {
    let asked = new.asked(environment.clone(), connector.clone())?;
    let moved = web.ledger.move_connector(caller.name, asked).await?;
    let readiness = match moved.component(&connector) {
        // It is moved, whatever becomes of the look.
        Some(wasm) => web.ledger.made_ready(&environment, &connector, wasm).await.ok(),
        None => None,
    };
    let planned = Planned { lock: moved.lock.as_ref().clone(), signature: None, ..moved.plan };
    let plan = plan(&environment, &connector, planned);
    let Some(Readiness { ready, agents, away, .. }) = readiness else { return Ok(Json(plan)) };
    let (agents_updated, agents_total, agents_away) = (Some(ready), Some(agents), Some(away));
    Ok(Json(Plan { agents_updated, agents_total, agents_away, ..plan }))
}

/// What became of a connector in an environment, newest first.
#[utoipa::path(get, path = "/v1/environments/{environment}/connectors/{connector}/history",
    params(("environment" = String, Path), ("connector" = String, Path)),
    responses((status = 200, body = List<History>), (status = 404, body = Problem)))]
pub(super) async fn history(
    State(web): State<Web>,
    _caller: Reader,
    Named((environment, connector)): Named<(Name, Name)>,
) -> Result<Json<List<History>>, Problem> {
    let all = web.ledger.lock_history(environment, Some(connector.clone())).await?;
    let of = |change: LockChange| {
        let moved = change.changes.into_iter().find(|moved| moved.connector == connector)?;
        let shown = |version: Option<semver::Version>| version.map(|version| version.to_string());
        Some(History {
            lock_version: change.version,
            at: rfc3339(change.at_ms),
            who: change.who,
            why: change.why,
            signed_by: change.level,
            from: shown(moved.from),
            to: shown(moved.to),
            trial: shown(moved.trial),
            pinned: moved.pinned,
        })
    };
    Ok(Json(List::whole(all.into_iter().filter_map(of).collect())))
}
