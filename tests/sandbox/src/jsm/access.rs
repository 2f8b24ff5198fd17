//! Who may come in: credentials made up at start, and the check that a request presents them.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::flavour::Flavour;
use super::people::{AGENT, CUSTOMER};

/// The cloud id of the site; with it, `/ex/jira/{cloudId}` leads here for bearer tokens.
pub const CLOUD_ID: &str = "5f1c7e0a-4c4c-4b0e-9f5b-2d1c0a7b9e11";

/// An account of the site. Worth nothing outside one sandbox, so it may be printed.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// The address on Cloud, the name on Data Center.
    pub user: String,
    /// The API token on Cloud; the password and the personal access token on Data Center.
    pub token: String,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Position among the people.
    pub(crate) person: usize,
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "person {}", self.person)
    }
}

impl Caller {
    /// Whether the caller works at the desks; everybody else only asks them for something.
    pub(crate) fn is_agent(self) -> bool {
        self.person == AGENT
    }
}

/// The accounts.
#[derive(Debug)]
pub(crate) struct Access {
    flavour: Flavour,
    pub(crate) agent: Account,
    pub(crate) customer: Account,
}

impl Access {
    pub(crate) fn generate(flavour: Flavour) -> Self {
        let account = |name: &str| Account {
            user: match flavour {
                Flavour::Cloud => format!("{name}@example.com"),
                Flavour::DataCenter => name.to_owned(),
            },
            token: uuid::Uuid::new_v4().simple().to_string(),
        };
        Self { flavour, agent: account("ada"), customer: account("amina") }
    }

    /// Who presents these headers. `through_gateway`: under `/ex/jira/{cloudId}`, where Cloud takes bearer tokens; at
    /// the site's own address it does not.
    pub(crate) fn caller(&self, headers: &HeaderMap, through_gateway: bool) -> Option<Caller> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, value) = header.split_once(' ')?;
        let bearer = through_gateway || self.flavour == Flavour::DataCenter;
        let presents = |account: &Account| {
            let basic = || STANDARD.encode(format!("{}:{}", account.user, account.token));
            (scheme.eq_ignore_ascii_case("basic") && value == basic())
                || (bearer && scheme.eq_ignore_ascii_case("bearer") && value == account.token)
        };
        if presents(&self.agent) {
            return Some(Caller { person: AGENT });
        }
        presents(&self.customer).then_some(Caller { person: CUSTOMER })
    }
}
