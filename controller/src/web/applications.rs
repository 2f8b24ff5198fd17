//! App registrations for OAuth.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wherry_domain::{
    name::Name,
    project::{
        SecretRef,
        application::Application,
        auth::{ClientAuthentication, TokenFormat},
    },
};

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::model;

/// An application to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApplication {
    /// Unique within the organisation.
    #[schema(value_type = String)]
    name: Name,
    /// The connector whose connections may use it.
    #[schema(value_type = String)]
    connector: Name,
    /// Client id, as the provider gave it.
    client_id: String,
    /// Name of the secret that holds the client secret; none for a public client. Never the secret itself.
    #[schema(value_type = Option<String>)]
    client_secret: Option<Name>,
    /// `basic`, `post`, `private_key_jwt` or `none`; `basic`, if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    client_authentication: ClientAuthentication,
    /// Form of requests to the token endpoint, `form` or `json`. Absent, it follows from its host.
    #[schema(value_type = Option<String>)]
    token_format: Option<TokenFormat>,
    /// Issuer; must equal `iss` in the answer to an authorisation.
    #[serde(default)]
    issuer: String,
    /// Authorisation endpoint. People are sent to no other origin.
    #[serde(default)]
    authorization_url: String,
    /// Token endpoint.
    #[serde(default)]
    token_url: String,
    /// Endpoint for pushed authorisation requests.
    #[serde(default)]
    par_url: String,
    /// Revocation endpoint.
    #[serde(default)]
    revocation_url: String,
    /// Scopes, separated by spaces.
    #[serde(default)]
    scope: String,
    /// More parameters, such as `audience`.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// The redirect address as the provider knows it; the controller's own, if absent.
    #[serde(default)]
    redirect_uri: String,
}

/// A registered application.
#[derive(Serialize, ToSchema)]
pub(super) struct AppRegistration {
    name: String,
    connector: String,
    client_id: String,
    /// Name of the secret that holds the client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Whether the client has nothing to prove itself with. A lying controller could run a flow of its own for such
    /// a client.
    public_client: bool,
    #[schema(value_type = String)]
    client_authentication: ClientAuthentication,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    token_format: Option<TokenFormat>,
    issuer: String,
    authorization_url: String,
    token_url: String,
    par_url: String,
    revocation_url: String,
    scope: String,
    parameters: BTreeMap<String, String>,
    /// The redirect address to register with the provider.
    redirect_uri: String,
    created_at: String,
    created_by: String,
}

impl NewApplication {
    fn checked(self) -> Application {
        Application {
            name: self.name,
            connector: self.connector,
            client_id: self.client_id,
            client_secret: self.client_secret.map(|secret| SecretRef { secret }),
            client_authentication: self.client_authentication,
            token_format: self.token_format,
            issuer: self.issuer,
            authorization_url: self.authorization_url,
            token_url: self.token_url,
            par_url: self.par_url,
            revocation_url: self.revocation_url,
            scope: self.scope,
            parameters: self.parameters,
            redirect_uri: self.redirect_uri,
        }
    }
}

fn shown(registration: model::AppRegistration, web: &Web) -> AppRegistration {
    let model::AppRegistration { application, created_ms, created_by } = registration;
    let own = application.redirect_uri.is_empty();
    AppRegistration {
        name: application.name.to_string(),
        connector: application.connector.to_string(),
        client_id: application.client_id,
        client_secret: application.client_secret.map(|secret| secret.secret.to_string()),
        public_client: application.client_authentication == ClientAuthentication::None,
        client_authentication: application.client_authentication,
        token_format: application.token_format,
        issuer: application.issuer,
        authorization_url: application.authorization_url,
        token_url: application.token_url,
        par_url: application.par_url,
        revocation_url: application.revocation_url,
        scope: application.scope,
        parameters: application.parameters,
        redirect_uri: if own { web.redirect_uri.to_string() } else { application.redirect_uri },
        created_at: rfc3339(created_ms),
        created_by,
    }
}

/// Registered applications.
#[utoipa::path(get, path = "/v1/app-registrations", responses((status = 200, body = List<AppRegistration>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Reader) -> Result<Json<List<AppRegistration>>, Problem> {
    let all = web.ledger.applications().await?;
    Ok(Json(List::whole(all.into_iter().map(|one| shown(one, &web)).collect())))
}

/// Registers an application. Connections of its connector that name no client take it with their next deployment.
#[utoipa::path(post, path = "/v1/app-registrations", request_body = NewApplication,
    responses((status = 201, body = AppRegistration), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add(
    State(web): State<Web>,
    Admin(caller): Admin,
    Body(new): Body<NewApplication>,
) -> Result<(StatusCode, Json<AppRegistration>), Problem> {
    let registration = web.ledger.add_application(caller.name, new.checked()).await?;
    Ok((StatusCode::CREATED, Json(shown(registration, &web))))
}

/// Removes an application that no deployed connection uses.
#[utoipa::path(delete, path = "/v1/app-registrations/{name}", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(name): Named<Name>,
) -> Result<StatusCode, Problem> {
    web.ledger.remove_application(caller.name, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
