//! Deployments and the operations in them.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{
    id::DeploymentId,
    name::Name,
    project::{Mapping, Project, Snapshot, Step},
};

use wherry_trust::deployment::MAX_ENVELOPE;

use super::{
    Web,
    auth::{Deployer, Reader},
    body::{Body, Named, Query},
    pages::{self, List, rfc3339},
    problem::Problem,
};
use crate::{
    engine::{Asked, Page, Signature, signers},
    model,
};

/// A project to deploy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDeployment {
    #[schema(value_type = Object)]
    project: Project,
    /// Only check it and say what would change.
    #[serde(default)]
    dry_run: bool,
    /// Aliases and variables of this environment; they count before those that are set there.
    #[serde(default)]
    #[schema(value_type = Object)]
    mapping: Mapping,
    /// The operator with this key id is going to sign it: a dry run gives the document.
    #[serde(default)]
    sign: Option<String>,
    /// The DSSE envelope in which an operator signed the document of a dry run.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    envelope: Option<Box<RawValue>>,
}

impl NewDeployment {
    fn asked(self) -> Result<Asked, Problem> {
        let signature = match (self.envelope, self.sign) {
            (Some(envelope), _) if envelope.get().len() > MAX_ENVELOPE => {
                let message = format!("the envelope of a deployment has at most {MAX_ENVELOPE} bytes");
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "envelope.too_large", message));
            }
            (Some(envelope), _) => Signature::Given(envelope.get().to_owned()),
            (None, Some(signer)) => Signature::Wanted(signer),
            (None, None) => Signature::None,
        };
        // Nothing is deployed that somebody is still to sign.
        let trial = self.dry_run || matches!(signature, Signature::Wanted(_));
        Ok(Asked { project: self.project, mapping: self.mapping, signature, trial })
    }
}

/// A deployment.
#[derive(Serialize, ToSchema)]
pub(super) struct Deployment {
    id: String,
    environment: String,
    project: String,
    number: u64,
    digest: String,
    created_at: String,
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    connectors: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    snapshot: Option<Box<RawValue>>,
    /// When the project was taken out of the environment, on its last deployment there.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    /// Ids of the keys that are named as its signers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signed_by: Vec<String>,
    /// What an operator signs by its SHA-256, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// The environment takes it under an operator's signature alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_needed: Option<bool>,
}

impl Deployment {
    fn new(deployment: model::Deployment, environment: &Name) -> Self {
        Self {
            id: deployment.id.to_string(),
            environment: environment.to_string(),
            project: deployment.project.to_string(),
            number: deployment.number,
            digest: deployment.digest.to_string(),
            created_at: rfc3339(deployment.created_ms),
            created_by: deployment.created_by,
            operations: None,
            connectors: None,
            snapshot: None,
            withdrawn_at: deployment.withdrawn_ms.map(rfc3339),
            unchanged: None,
            dry_run: None,
            signed_by: deployment.signature.as_deref().map(signers).unwrap_or_default(),
            document: None,
            signature_needed: None,
        }
    }

    fn with(self, snapshot: &Snapshot) -> Self {
        Self {
            operations: Some(snapshot.project.operations.keys().map(ToString::to_string).collect()),
            connectors: serde_json::to_value(&snapshot.connectors).ok(),
            ..self
        }
    }
}

/// An operation that can be run.
#[derive(Serialize, ToSchema)]
pub(super) struct Operation {
    name: String,
    description: String,
    project: String,
    deployment_number: u64,
    side_effects: &'static str,
    source: Activity,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Activity>,
}

/// One activity of a connection.
#[derive(Serialize, ToSchema)]
pub(super) struct Activity {
    connection: String,
    activity: String,
}

impl From<&Step> for Activity {
    fn from(step: &Step) -> Self {
        Self { connection: step.connection.to_string(), activity: step.activity.clone() }
    }
}

/// Which deployments.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only of this project.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// Items in a part, 1 to 200.
    limit: Option<usize>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
}

/// Deployments, newest first.
#[utoipa::path(get, path = "/v1/environments/{environment}/deployments", params(("environment" = String, Path), Which),
    responses((status = 200, body = List<Deployment>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
    Query(which): Query<Which>,
) -> Result<Json<List<Deployment>>, Problem> {
    let (limit, before) = pages::read(which.limit, which.cursor.as_deref())?;
    let Page { items, next } = web.ledger.list_deployments(environment.clone(), which.project, before, limit).await?;
    let items = items.into_iter().map(|one| Deployment::new(one, &environment)).collect();
    Ok(Json(List { items, next_cursor: next.map(|id: DeploymentId| id.to_string()) }))
}

/// Deploys a project.
#[utoipa::path(post, path = "/v1/environments/{environment}/deployments", params(("environment" = String, Path)),
    request_body = NewDeployment, responses((status = 201, body = Deployment),
        (status = 200, description = "nothing changed, or a dry run", body = Deployment), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named(environment): Named<Name>,
    Body(new): Body<NewDeployment>,
) -> Result<(StatusCode, Json<Deployment>), Problem> {
    let asked = new.asked()?;
    let trial = asked.trial;
    let deployed = web.ledger.deploy_as(caller.name, environment.clone(), asked).await?;
    let view = Deployment::new(deployed.deployment, &environment).with(&deployed.snapshot);
    let view = Deployment {
        unchanged: (!deployed.changed).then_some(true),
        dry_run: trial.then_some(true),
        document: deployed.to_sign.and_then(|document| String::from_utf8(document).ok()),
        signature_needed: deployed.signature_needed.then_some(true),
        ..view
    };
    let status = if deployed.changed && !trial { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view)))
}

/// Takes a project out of an environment. Its deployments stay on record.
#[utoipa::path(delete, path = "/v1/environments/{environment}/projects/{project}",
    params(("environment" = String, Path), ("project" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn undeploy(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, project)): Named<(Name, Name)>,
) -> Result<StatusCode, Problem> {
    web.ledger.undeploy(caller.name, environment, project).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A deployment with its snapshot.
#[utoipa::path(get, path = "/v1/deployments/{id}", params(("id" = String, Path)), responses((status = 200, body = Deployment)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named(id): Named<DeploymentId>,
) -> Result<Json<Deployment>, Problem> {
    let (deployment, document) = web.ledger.deployment(id).await?;
    let broken = |error: serde_json::Error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store.unreadable", error.to_string())
    };
    let snapshot: Snapshot = serde_json::from_slice(&document).map_err(broken)?;
    let raw = serde_json::from_slice::<Box<RawValue>>(&document).map_err(broken)?;
    let view = Deployment::new(deployment, &snapshot.environment).with(&snapshot);
    Ok(Json(Deployment { snapshot: Some(raw), ..view }))
}

/// Operations that can be run.
#[utoipa::path(get, path = "/v1/environments/{environment}/operations", params(("environment" = String, Path)),
    responses((status = 200, body = List<Operation>)))]
pub(super) async fn operations(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
) -> Result<Json<List<Operation>>, Problem> {
    let mut items = Vec::new();
    for (deployment, snapshot) in web.ledger.operations(environment).await? {
        for (name, operation) in &snapshot.project.operations {
            items.push(Operation {
                name: name.to_string(),
                description: operation.description.clone(),
                project: deployment.project.to_string(),
                deployment_number: deployment.number,
                side_effects: snapshot.side_effects.get(name).map_or("unsafe", |class| class.as_str()),
                source: Activity::from(&operation.source),
                target: operation.target.as_ref().map(Activity::from),
            });
        }
    }
    Ok(Json(List::whole(items)))
}
