//! What a connector may use: what its release asks for, as far as the agent's owner grants it.
//!
//! ```text
//! asked (signed release, connection's hosts) ∩ granted (owner's policy) = what is allowed
//! ```
//!
//! Whatever neither side named is denied, so an empty list denies everything. There are no
//! wildcards: a list that must be read to be understood has to say what it means.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
};
use core::{fmt, net::Ipv6Addr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Most hosts on one list.
pub const MAX_HOSTS: usize = 256;
/// Longest DNS name, in bytes.
const MAX_HOST: usize = 253;

/// A part of the host that a connector may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Requests to the hosts on the list.
    Http,
    /// Files that stream beside the records.
    Blobs,
    /// State kept from run to run.
    State,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Blobs => "blobs",
            Self::State => "state",
        })
    }
}

/// A host and port, written `host:port` or `[address]:port`; the host in lower case and without a
/// final dot, so that equal hosts compare equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// The text is not a host and port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host and port: write for example jira.example.com:443 or [2001:db8::1]:443, without wildcards")]
pub struct InvalidHostPort(String);

impl HostPort {
    /// The host; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A host as it stands in a URL, with the URL's port or the default port of its scheme.
    ///
    /// # Errors
    /// If the host has characters that no host has, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidHostPort> {
        let invalid = || InvalidHostPort(format!("{host}:{port}").chars().take(MAX_HOST).collect());
        if port == 0 {
            return Err(invalid());
        }
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = address.parse().map_err(|_| invalid())?;
            return Ok(Self { host: address.to_string(), port });
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        if name.len() > MAX_HOST || name.split('.').any(|label| label.is_empty() || !label.bytes().all(allowed)) {
            return Err(invalid());
        }
        Ok(Self { host: name.to_ascii_lowercase(), port })
    }
}

impl FromStr for HostPort {
    type Err = InvalidHostPort;

    fn from_str(text: &str) -> Result<Self, InvalidHostPort> {
        let invalid = || InvalidHostPort(text.chars().take(MAX_HOST).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        if !port.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(invalid());
        }
        Self::new(host, port.parse().map_err(|_| invalid())?).map_err(|_| invalid())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|e: InvalidHostPort| de::Error::custom(e.to_string()))
    }
}

/// One side's list: what a release asks for, or what an owner grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Parts of the host.
    #[serde(default)]
    pub uses: BTreeSet<Capability>,
    /// Hosts that requests may go to, at most [`MAX_HOSTS`].
    #[serde(default)]
    pub hosts: BTreeSet<HostPort>,
}

/// What is allowed: only what was both asked and granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted(Capabilities);

/// What a connector wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// A request to this host.
    Http(&'a HostPort),
    /// A blob.
    Blobs,
    /// State.
    State,
}

impl Granted {
    /// What both sides named. Lists beyond [`MAX_HOSTS`] are cut, which denies.
    pub fn new(asked: &Capabilities, granted: &Capabilities) -> Self {
        Self(Capabilities {
            uses: asked.uses.intersection(&granted.uses).copied().collect(),
            hosts: asked.hosts.intersection(&granted.hosts).take(MAX_HOSTS).cloned().collect(),
        })
    }

    /// Whether it may.
    pub fn allows(&self, need: Need<'_>) -> bool {
        let uses = |capability| self.0.uses.contains(&capability);
        match need {
            Need::Http(host) => uses(Capability::Http) && self.0.hosts.contains(host),
            Need::Blobs => uses(Capability::Blobs),
            Need::State => uses(Capability::State),
        }
    }

    /// The parts of the host that were asked for and not granted.
    pub fn missing(&self, asked: &Capabilities) -> BTreeSet<Capability> {
        asked.uses.difference(&self.0.uses).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn empty_lists_deny_and_both_sides_must_name_what_is_allowed() {
        let jira = "jira.example.com:443".parse().unwrap();
        let all = list(&[Capability::Http, Capability::Blobs, Capability::State], &["jira.example.com:443"]);
        let none = Capabilities::default();
        let no_hosts = list(&[Capability::Http], &[]);
        for (asked, granted) in [(&all, &none), (&none, &all), (&none, &none), (&all, &no_hosts), (&no_hosts, &all)] {
            let granted = Granted::new(asked, granted);
            for need in [Need::Http(&jira), Need::Blobs, Need::State] {
                assert!(!granted.allows(need), "{granted:?} {need:?}");
            }
        }
        let granted = Granted::new(&all, &list(&[Capability::Http], &["jira.example.com:443", "other:1"]));
        assert!(granted.allows(Need::Http(&jira)) && !granted.allows(Need::Blobs));
        assert!(!granted.allows(Need::Http(&"jira.example.com:8443".parse().unwrap())));
        assert!(!granted.allows(Need::Http(&"other:1".parse().unwrap())));
        assert_eq!(granted.missing(&all), BTreeSet::from([Capability::Blobs, Capability::State]));
    }

    #[test]
    fn equal_hosts_compare_equal_however_they_are_written() {
        let read = |text: &str| text.parse::<HostPort>().map(|host| host.to_string());
        assert_eq!(read("Jira.Example.COM.:443").as_deref(), Ok("jira.example.com:443"));
        assert_eq!(read("[2001:DB8:0::0001]:443").as_deref(), Ok("[2001:db8::1]:443"));
        assert_eq!(HostPort::new("[::1]", 80).map(|host| host.host() == "::1"), Ok(true));
    }

    #[test]
    fn what_is_not_a_host_and_port_is_refused() {
        for bad in [
            "",
            ":",
            "a",
            "a:",
            ":443",
            "a:0",
            "a:+1",
            "a:65536",
            "*:443",
            "*.a:443",
            "a b:1",
            "a/b:1",
            "u@a:1",
            "::1:80",
            "[a]:1",
            "[]:1",
            "a..b:1",
            ".:1",
            "a%2eb:1",
            "ä.example:1",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Capabilities>(r#"{"uses":["files"]}"#).is_err());
        assert!(serde_json::from_str::<Capabilities>(r#"{"host":["a:1"]}"#).is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_allowed_that_one_side_did_not_name(asked in capabilities(), granted in capabilities()) {
            let both = Granted::new(&asked, &granted);
            for host in asked.hosts.union(&granted.hosts) {
                let named = |side: &Capabilities| side.uses.contains(&Capability::Http) && side.hosts.contains(host);
                prop_assert_eq!(both.allows(Need::Http(host)), named(&asked) && named(&granted));
            }
            prop_assert_eq!(both, Granted::new(&granted, &asked));
        }
    }

    fn capabilities() -> impl Strategy<Value = Capabilities> {
        let uses =
            prop::sample::subsequence(Vec::from([Capability::Http, Capability::Blobs, Capability::State]), 0..=3);
        let hosts = prop::sample::subsequence(Vec::from(["a:1", "a:2", "b:1", "[::1]:1"]), 0..=4);
        (uses, hosts).prop_map(|(uses, hosts)| list(&uses, &hosts))
    }

    fn list(uses: &[Capability], hosts: &[&str]) -> Capabilities {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Capabilities { uses: uses.iter().copied().collect(), hosts }
    }
}
