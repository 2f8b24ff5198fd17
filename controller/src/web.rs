//! The port for people: REST under `/v1`, server-sent events, and the OpenAPI document.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{any, get},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use wherry_daemon::{audits::Audits, clock::Clock};
use wherry_trust::token::SpkiPin;

use self::problem::Problem;
use crate::engine::Ledger;

mod access;
mod actions;
mod agents;
mod aliases;
mod applications;
mod audit;
mod auth;
mod body;
mod callback;
mod catalogue;
mod connections;
mod connectors;
mod defect;
mod deployments;
mod described;
mod environments;
mod events;
mod listener;
mod oauth;
mod pages;
mod path;
mod patience;
mod policies;
mod problem;
mod publishers;
mod roster;
mod run_view;
mod runs;
mod secrets;
mod status;
mod upgrades;

pub use listener::{WebPort, serve};
pub use patience::Patience;

/// Path to which providers send browsers back.
pub const CALLBACK: &str = "/oauth/callback";
/// Largest JSON body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// What the handlers share.
#[derive(Clone)]
pub struct Web {
    /// The ledger.
    pub ledger: Ledger,
    /// The clock.
    pub clock: Clock,
    /// Pin of the authority's root key.
    pub pin: Arc<SpkiPin>,
    /// How agents reach their port.
    pub agent_endpoint: Arc<str>,
    /// Where providers send browsers back to.
    pub redirect_uri: Arc<str>,
    /// When the store was last looked through.
    pub audits: Audits,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wherry controller",
        description = "Environments, agents, connectors, projects and runs. Authorize with a bearer token."
    ),
    modifiers(&Token),
    security(("token" = []))
)]
struct Document;

/// Every path needs an access token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_with(Components::new).add_security_scheme("token", scheme);
    }
}

fn api() -> OpenApiRouter<Web> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status::whoami))
        .routes(routes!(status::status))
        .routes(routes!(access::list, access::create))
        .routes(routes!(access::revoke))
        .routes(routes!(environments::list, environments::create))
        .routes(routes!(environments::show, environments::remove))
        .routes(routes!(environments::groups))
        .routes(routes!(policies::list))
        .routes(routes!(policies::set, policies::unset))
        .routes(routes!(policies::list_here))
        .routes(routes!(policies::tighten, policies::relax))
        .routes(routes!(upgrades::stand))
        .routes(routes!(upgrades::consider))
        .routes(routes!(upgrades::perform))
        .routes(routes!(upgrades::history))
        .routes(routes!(agents::enrolment_token))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show, agents::remove))
        .routes(routes!(agents::drain))
        .routes(routes!(agents::resume))
        .routes(routes!(agents::lock))
        .routes(routes!(agents::unlock))
        .routes(routes!(publishers::list, publishers::trust))
        .routes(routes!(publishers::distrust))
        .routes(routes!(applications::list, applications::add))
        .routes(routes!(applications::remove))
        .routes(routes!(connectors::list))
        .routes(routes!(connectors::versions))
        .routes(routes!(catalogue::show, catalogue::replace))
        .routes(routes!(catalogue::revoke_publisher))
        .routes(routes!(catalogue::revoke_release))
        .merge(projects())
        .merge(sealed())
        .routes(routes!(runs::submit))
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::logs))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(events::follow))
        .routes(routes!(audit::list))
        .routes(routes!(status::backup))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(connectors::publish))
                .layer(DefaultBodyLimit::max(connectors::MAX_PACKAGE)),
        )
}

/// What is deployed.
fn projects() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(deployments::list, deployments::create))
        .routes(routes!(deployments::show))
        .routes(routes!(deployments::undeploy))
        .routes(routes!(deployments::operations))
        .routes(routes!(actions::call))
        .routes(routes!(aliases::list))
        .routes(routes!(aliases::show, aliases::replace))
        .routes(routes!(aliases::set, aliases::remove))
        .routes(routes!(connections::list))
        .routes(routes!(connections::test))
        .routes(routes!(connections::describe))
        .routes(routes!(oauth::begin, oauth::show, oauth::disconnect))
        .routes(routes!(oauth::confirm))
}

/// Secrets that this side cannot read, and the logs that say who can.
fn sealed() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::show, secrets::set, secrets::remove))
        .routes(routes!(roster::show, roster::append, roster::reset))
        .routes(routes!(roster::wraps))
        .routes(routes!(roster::joins))
}

/// The OpenAPI document of the API.
pub fn document() -> utoipa::openapi::OpenApi {
    described::with_problems(api().into_openapi())
}

/// The whole service.
pub fn router(web: Web) -> Router {
    let (router, document) = api().split_for_parts();
    let served = serde_json::to_string(&described::with_problems(document)).unwrap_or_default();
    router
        .route("/healthz", get(|| async { "ok" }))
        .route(CALLBACK, any(callback::callback))
        .route("/openapi.json", get(move || async move { ([("content-type", "application/json")], served) }))
        .fallback(|| async {
            let message = "there is nothing at this path: see /openapi.json";
            Problem::new(StatusCode::NOT_FOUND, "request.path_unknown", message)
        })
        .method_not_allowed_fallback(|| async {
            let message = "this path does not know the method: see /openapi.json";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "request.method_unknown", message)
        })
        .layer(middleware::from_fn(defect::answer))
        .with_state(web)
}
