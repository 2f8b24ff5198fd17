//! `/rest/api`, the platform under the service desk: search, issues and what hangs on them, people, descriptions of
//! fields. Version 3 writes texts as documents, version 2 as they are; Data Center knows version 2 only.

mod attachments;
mod comments;
mod edit;
mod issues;
mod links;
mod meta;
mod properties;
mod search;
mod server;
mod transitions;
mod users;
pub(super) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::routing::MethodRouter;

use super::denial::Denial;
use super::flavour::Flavour;
use crate::Sandbox;
use view::Text;

type Shared = State<Arc<Sandbox>>;

pub(super) fn routes(flavour: Flavour) -> Router<Arc<Sandbox>> {
    let versions: &[&'static str] = match flavour {
        Flavour::Cloud => &["2", "3", "latest"],
        Flavour::DataCenter => &["2", "latest"],
    };
    let all = versions.iter().map(|version| Routes::under(version));
    all.fold(Router::new(), |router, routes| {
        let routes = server::routes(issues::routes(comments::routes(transitions::routes(routes))));
        let routes = properties::routes(links::routes(attachments::routes(routes)));
        router.merge(users::routes(meta::routes(search::routes(routes, flavour))).0)
    })
}

/// Done, and nothing to say. Two operations announce JSON all the same, so that a strict reader of the description
/// looks for a media type.
const DONE: (StatusCode, [(HeaderName, &str); 1]) =
    (StatusCode::NO_CONTENT, [(CONTENT_TYPE, "application/json;charset=UTF-8")]);

/// Routes under one version of the interface.
struct Routes(Router<Arc<Sandbox>>, &'static str);

impl Routes {
    fn under(version: &'static str) -> Self {
        Self(Router::new(), version)
    }

    fn at(self, path: &str, methods: MethodRouter<Arc<Sandbox>>) -> Self {
        let Self(router, version) = self;
        Self(router.route(&format!("/rest/api/{version}{path}"), methods), version)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Text {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        Ok(if parts.uri.path().starts_with("/rest/api/3/") { Self::Document } else { Self::Plain })
    }
}
