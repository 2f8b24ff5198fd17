//! The caller of a request: from its bearer token and nowhere else.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};

use super::{Web, problem::Problem};
use crate::{engine::Caller, model::Scope};

macro_rules! caller {
    ($(#[$doc:meta])* $name:ident, $scope:expr) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) Caller);

        impl FromRequestParts<Web> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
                authorize(parts, web, $scope).map(Self)
            }
        }
    };
}

caller!(
    /// May call actions.
    Application, Scope::Call
);
caller!(
    /// May look.
    Reader, Scope::Read
);
caller!(
    /// May start runs.
    Runner, Scope::Run
);
caller!(
    /// May deploy.
    Deployer, Scope::Deploy
);
caller!(
    /// May do everything.
    Admin, Scope::Admin
);

fn authorize(parts: &Parts, web: &Web, scope: Scope) -> Result<Caller, Problem> {
    let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer =
        given.and_then(|value| value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")));
    let (_, token) = bearer.ok_or_else(|| {
        let message = "send an access token: Authorization: Bearer whp_...";
        Problem::new(StatusCode::UNAUTHORIZED, "auth.token_missing", message)
    })?;
    let caller = web.ledger.authenticate(token, web.clock.wall_unix_millis())?;
    if caller.may(scope) {
        Ok(caller)
    } else {
        let message = format!("this needs the scope {scope:?}: ask an administrator for another token").to_lowercase();
        Err(Problem::new(StatusCode::FORBIDDEN, "auth.scope_missing", message))
    }
}
