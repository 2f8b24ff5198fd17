//! What a status other than 2xx means for whoever configured the request.

use crate::error::Kind;

/// Kind, code and words.
pub(super) const fn meaning(status: u16) -> (Kind, &'static str, &'static str) {
    match status {
        300..=399 => {
            (Kind::Config, "http.redirected", "it names another address; use that one in the connection or the path")
        }
        401 => (Kind::Auth, "http.unauthorized", "it does not accept the connection's credentials"),
        403 => (Kind::Forbidden, "http.forbidden", "the connection's user may not do this"),
        407 => (
            Kind::Config,
            "http.proxy_unauthorized",
            "a proxy on the way wants credentials; name it in the agent's configuration",
        ),
        404 => (Kind::NotFound, "http.not_found", "there is nothing at this path; check path and record"),
        429 => (Kind::Throttled, "http.throttled", "too many requests"),
        408 | 425 | 500..=599 => (Kind::Transient, "http.server_error", "it cannot work on this now"),
        _ => (Kind::Data, "http.refused", "it refuses this request; see the details for its reason"),
    }
}
