//! Simulated systems for demonstrations and tests: a look-alike of Jira Service Management, a plain service desk to
//! read from, a plain issue tracker to write to, faults on demand, and a ledger of every effect.
//!
//! Everything lives in memory and has a limit. The README describes the behaviour that tests rely on.

mod answer;
mod credentials;
mod desk;
mod fault;
mod jsm;
mod ledger;
mod paging;
mod session;
mod tracker;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;

pub use credentials::{Basic, Bearer, Credentials};
pub use fault::{Fault, Moment, Rule};
pub use jsm::access::{Account, CLOUD_ID};
pub use jsm::flavour::Flavour;
pub use ledger::{Entry, Ledger, Outcome};

/// Largest request body, in bytes.
const BODY_LIMIT: usize = 256 * 1024;
/// Most requests that each desk makes up.
pub const MAX_REQUESTS: usize = 1_000_000;

/// Both systems, their credentials, fault rules and ledger.
#[derive(Debug)]
pub struct Sandbox {
    credentials: Credentials,
    requests: usize,
    faults: fault::Rules,
    sessions: session::Sessions,
    tracker: tracker::Tracker,
    jsm: jsm::Site,
}

/// What a sandbox should be like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many service requests there are from the start, at most [`MAX_REQUESTS`].
    pub requests: usize,
    /// Which Jira the look-alike plays.
    pub flavour: Flavour,
    /// The address in every link, without a slash at its end.
    pub base: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { requests: 250, flavour: Flavour::Cloud, base: "http://sandbox.invalid".to_owned() }
    }
}

impl Sandbox {
    /// Systems with fresh credentials and `requests` service requests, at most [`MAX_REQUESTS`].
    #[must_use]
    pub fn new(requests: usize) -> Arc<Self> {
        Self::with(Settings { requests, ..Settings::default() })
    }

    /// Systems with fresh credentials.
    #[must_use]
    pub fn with(settings: Settings) -> Arc<Self> {
        let Settings { requests, flavour, base } = settings;
        let requests = requests.min(MAX_REQUESTS);
        Arc::new(Self {
            credentials: Credentials::generate(),
            requests,
            faults: fault::Rules::default(),
            sessions: session::Sessions::default(),
            tracker: tracker::Tracker::default(),
            jsm: jsm::Site::new(flavour, base, requests),
        })
    }

    /// The account that works at the desks of the look-alike.
    #[must_use]
    pub fn agent(&self) -> &Account {
        &self.jsm.access.agent
    }

    /// The account of a customer, who may do much less.
    #[must_use]
    pub fn customer(&self) -> &Account {
        &self.jsm.access.customer
    }

    /// What callers must present.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What the tracker accepted so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.tracker.ledger()
    }

    /// The systems as one router; serve it with `axum::serve`.
    pub fn router(self: Arc<Self>) -> Router {
        let systems = Router::new()
            .merge(desk::routes())
            .merge(session::routes())
            .merge(tracker::routes())
            .merge(jsm::routes(&self))
            .route("/json/1k", get(one_kilobyte))
            .layer(from_fn_with_state(self.clone(), fault::intercept));
        Router::new()
            .merge(systems)
            .merge(fault::routes())
            .merge(ledger::routes())
            .merge(jsm::control())
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(self)
    }
}

/// Exactly 1,024 bytes of JSON, without credentials: a constant load for benchmarks.
async fn one_kilobyte() -> impl IntoResponse {
    const FRAME: usize = r#"{"padding":""}"#.len();
    let body = format!(r#"{{"padding":"{}"}}"#, "x".repeat(1024 - FRAME));
    ([(CONTENT_TYPE, "application/json")], body)
}
