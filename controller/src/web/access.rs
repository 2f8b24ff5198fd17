//! Access tokens.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Web,
    auth::Admin,
    body::{Body, Named},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::model::{AccessToken, Scope};

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// For people, 1 to 100 characters.
    name: String,
    /// What it may do.
    scopes: Vec<Scope>,
    /// Its life; for ever, if absent.
    #[serde(default)]
    expires_in_s: Option<u64>,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    created_at: String,
    expires_at: Option<String>,
    /// The token itself; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<AccessToken> for Token {
    fn from(token: AccessToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            created_at: rfc3339(token.created_ms),
            expires_at: token.expires_ms.map(rfc3339),
            token: None,
        }
    }
}

/// Access tokens.
#[utoipa::path(get, path = "/v1/tokens", responses((status = 200, body = List<Token>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Admin) -> Result<Json<List<Token>>, Problem> {
    let tokens = web.ledger.access_tokens();
    Ok(Json(List::whole(tokens.into_iter().map(Token::from).collect())))
}

/// Makes an access token; its secret is shown this once.
#[utoipa::path(post, path = "/v1/tokens", request_body = NewToken, responses((status = 201, body = Token)))]
pub(super) async fn create(
    State(web): State<Web>,
    Admin(caller): Admin,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<Token>), Problem> {
    let visible = !new.name.is_empty() && new.name.chars().count() <= 100 && !new.name.chars().any(char::is_control);
    if !visible || new.scopes.is_empty() {
        let message = "a token has a name of 1 to 100 visible characters and at least one scope";
        return Err(Problem::invalid("request.invalid", message));
    }
    let (token, secret) = web.ledger.create_access_token(caller.name, new.name, new.scopes, new.expires_in_s).await?;
    let token = Token { token: Some(secret.reveal().to_string()), ..Token::from(token) };
    Ok((StatusCode::CREATED, Json(token)))
}

/// Ends an access token.
#[utoipa::path(delete, path = "/v1/tokens/{id}", params(("id" = String, Path)), responses((status = 204)))]
pub(super) async fn revoke(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    web.ledger.revoke_access_token(caller.name, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
