//! Who an agent is: the SPIFFE name in its certificate.
//!
//! `spiffe://<domain>/org/<organisation>/group/<group>/agent/<agent>`. Every authorisation of an agent reads only
//! this name. A name has exactly one spelling: no percent-encoding, no query, no port, no trailing slash.

use std::fmt;
use std::str::FromStr;

use wherry_domain::failure::Code;
use wherry_domain::id::{AgentId, GroupId, OrganisationId};

const SCHEME: &str = "spiffe://";
/// The SPIFFE-ID specification, section 2.3, allows 2048 bytes; ours have at most 255 for the domain and about 130
/// for the path.
const URI_LIMIT: usize = 512;
/// The SPIFFE-ID specification, section 2.1.
const DOMAIN_LIMIT: usize = 255;

/// The text is not the name of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate does not name a wherry agent, enrol the agent again with a new token")]
pub struct MalformedName;

impl MalformedName {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::new("identity.name_malformed")
    }
}

/// An agent's identity as its certificate states it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentIdentity {
    domain: String,
    organisation: OrganisationId,
    group: GroupId,
    agent: AgentId,
}

impl AgentIdentity {
    /// Puts a name together; `domain` has lower-case letters, digits, dots, hyphens and underscores only.
    pub fn new(
        domain: &str,
        organisation: OrganisationId,
        group: GroupId,
        agent: AgentId,
    ) -> Result<Self, MalformedName> {
        if !is_trust_domain(domain) {
            return Err(MalformedName);
        }
        Ok(Self { domain: domain.to_owned(), organisation, group, agent })
    }

    /// Reads the URI of a certificate's subject alternative name.
    pub fn from_uri(uri: &str) -> Result<Self, MalformedName> {
        if uri.len() > URI_LIMIT {
            return Err(MalformedName);
        }
        let mut segments = uri.strip_prefix(SCHEME).ok_or(MalformedName)?.split('/');
        let domain = segments.next().ok_or(MalformedName)?;
        let organisation = labelled(&mut segments, "org")?;
        let group = labelled(&mut segments, "group")?;
        let agent = labelled(&mut segments, "agent")?;
        let identity = Self::new(domain, organisation, group, agent)?;
        // Catches anything after the last segment, and ids that parse but are spelt differently.
        if identity.to_uri() == uri { Ok(identity) } else { Err(MalformedName) }
    }

    /// The one spelling of the name.
    #[must_use]
    pub fn to_uri(&self) -> String {
        let Self { domain, organisation, group, agent } = self;
        format!("{SCHEME}{domain}/org/{organisation}/group/{group}/agent/{agent}")
    }

    /// The trust domain: the controller that issued the certificate.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The organisation the agent belongs to.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        self.organisation
    }

    /// The agent group the agent belongs to.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The agent itself.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }
}

impl fmt::Display for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_uri())
    }
}

impl FromStr for AgentIdentity {
    type Err = MalformedName;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        Self::from_uri(uri)
    }
}

fn labelled<'a, T: FromStr>(segments: &mut impl Iterator<Item = &'a str>, label: &str) -> Result<T, MalformedName> {
    if segments.next() != Some(label) {
        return Err(MalformedName);
    }
    segments.next().ok_or(MalformedName)?.parse().map_err(|_| MalformedName)
}

fn is_trust_domain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !text.is_empty() && text.len() <= DOMAIN_LIMIT && text.bytes().all(allowed)
}
