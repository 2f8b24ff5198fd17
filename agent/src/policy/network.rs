//! Which destinations the owner allows: hosts, suffixes, addresses and networks, each for one port or all.
//!
//! A host that is allowed by its name needs no rule for its addresses. Any other may be allowed by a network: then each of
//! its addresses must be. What is denied is denied by name and by address, whatever is allowed.

use std::net::{IpAddr, Ipv6Addr};

use crate::net::proxy::Bypass;

/// An entry that is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is neither a host name, a suffix such as .example.com, an address nor a network such as 10.0.0.0/8, each perhaps \
     with :port"
)]
pub(super) struct InvalidEntry;

/// The rules of both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkRules {
    pub(super) allowed: Option<Vec<Entry>>,
    pub(super) denied: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    hosts: Bypass,
    /// Whether it speaks of addresses.
    numeric: bool,
    port: Option<u16>,
}

/// What can be said of a destination before its name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is allowed, as long as none of its addresses is denied.
    Named,
    /// It is allowed if all of its addresses are.
    ByAddress,
    /// It is not allowed.
    Refused,
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidEntry> {
        let (host, port) = split(text).ok_or(InvalidEntry)?;
        let hosts = Bypass::new(&[host.to_owned()]).map_err(|_| InvalidEntry)?;
        // Addresses of the one kind in the clothes of the other are judged as what they are: such a network covers nothing.
        let mapped = |ip: Ipv6Addr| ip.to_ipv4_mapped().is_some();
        if bare(host).split_once('/').is_some_and(|(ip, _)| ip.parse().is_ok_and(mapped)) {
            return Err(InvalidEntry);
        }
        let numeric = host.contains('/') || bare(host).parse::<IpAddr>().is_ok();
        Ok(Self { hosts, numeric, port })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        self.is_for(port) && self.hosts.covers(host)
    }

    fn is_for(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl NetworkRules {
    /// Whether `host` (IPv6 in brackets) may be reached, as far as its name says so.
    pub(super) fn reach(&self, host: &str, port: u16) -> Reach {
        if self.denied.iter().any(|entry| entry.covers(host, port)) {
            return Reach::Refused;
        }
        let Some(allowed) = &self.allowed else { return Reach::Named };
        if allowed.iter().any(|entry| entry.covers(host, port)) {
            return Reach::Named;
        }
        let is_name = bare(host).parse::<IpAddr>().is_err();
        let by_address = is_name && allowed.iter().any(|entry| entry.numeric && entry.is_for(port));
        if by_address { Reach::ByAddress } else { Reach::Refused }
    }

    /// The first address behind `host` that may not be reached.
    pub(super) fn refused_address(
        &self,
        host: &str,
        port: u16,
        mut addresses: impl Iterator<Item = IpAddr>,
    ) -> Option<IpAddr> {
        let reach = self.reach(host, port);
        let numeric = |entries: &[Entry], address: IpAddr| {
            entries.iter().any(|entry| entry.numeric && entry.covers(&address.to_string(), port))
        };
        addresses.find(|address| {
            let allowed = match reach {
                Reach::Named => true,
                Reach::ByAddress => numeric(self.allowed.as_deref().unwrap_or_default(), *address),
                Reach::Refused => false,
            };
            !allowed || numeric(&self.denied, *address)
        })
    }
}

/// Host and port; IPv6 with a port stands in brackets.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let read = |port: &str| port.parse().ok().filter(|port| *port != 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((inner, Some(read(port)?))),
            None if rest.is_empty() => Some((inner, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        // More than one colon: an address of IPv6 without a port.
        Some((_, port)) if port.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(read(port)?))),
    }
}

/// Without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(texts: &[&str]) -> Vec<Entry> {
        texts.iter().map(|text| Entry::parse(text).unwrap()).collect()
    }

    fn rules(allowed: Option<&[&str]>, denied: &[&str]) -> NetworkRules {
        NetworkRules { allowed: allowed.map(entries), denied: entries(denied) }
    }

    fn refused(rules: &NetworkRules, host: &str, port: u16, addresses: &[&str]) -> Option<String> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        rules.refused_address(host, port, addresses).map(|address: IpAddr| address.to_string())
    }

    #[test]
    fn without_a_list_everything_is_allowed_and_with_an_empty_one_nothing() {
        assert_eq!(NetworkRules::default().reach("desk.example", 443), Reach::Named);
        assert_eq!(refused(&NetworkRules::default(), "desk.example", 443, &["10.0.0.1"]), None);
        assert_eq!(rules(Some(&[]), &[]).reach("desk.example", 443), Reach::Refused);
    }

    #[test]
    fn hosts_suffixes_addresses_and_networks_are_allowed_for_their_port_alone() {
        let rules = rules(
            Some(&["Desk.example:443", ".corp.example", "10.20.0.0/16:8080", "[::1]:9", "fd00::/8", "192.0.2.7"]),
            &[],
        );
        for (host, port, expected) in [
            ("desk.example", 443, Reach::Named),
            ("DESK.example", 443, Reach::Named),
            ("a.corp.example", 1, Reach::Named),
            ("10.20.3.4", 8080, Reach::Named),
            ("[::1]", 9, Reach::Named),
            ("[fd12::9]", 5, Reach::Named),
            ("192.0.2.7", 5, Reach::Named),
            ("[::ffff:10.20.3.4]", 8080, Reach::Named),
            // They may lead to one of the networks.
            ("desk.example", 444, Reach::ByAddress),
            ("corp.example", 1, Reach::ByAddress),
            ("10.20.3.4", 8081, Reach::Refused),
            ("10.21.3.4", 8080, Reach::Refused),
            ("[::1]", 10, Reach::Refused),
            ("192.0.2.8", 5, Reach::Refused),
        ] {
            assert_eq!(rules.reach(host, port), expected, "{host}:{port}");
        }
        assert_eq!(self::rules(Some(&["desk.example"]), &[]).reach("evil.example", 443), Reach::Refused);
        assert_eq!(self::rules(Some(&["10.0.0.0/8:80"]), &[]).reach("evil.example", 443), Reach::Refused);
    }

    #[test]
    fn a_name_that_only_a_network_allows_must_lead_into_it_with_every_address() {
        let rules = rules(Some(&["named.example", "10.20.0.0/16:443"]), &["10.20.9.0/24"]);
        assert_eq!(refused(&rules, "desk.example", 443, &["10.20.1.1", "10.20.1.2"]), None);
        assert_eq!(refused(&rules, "desk.example", 443, &["10.20.1.1", "8.8.8.8"]).as_deref(), Some("8.8.8.8"));
        assert_eq!(refused(&rules, "desk.example", 443, &["10.20.9.1"]).as_deref(), Some("10.20.9.1"));
        assert_eq!(refused(&rules, "named.example", 80, &["8.8.8.8"]), None, "its name is enough");
        assert_eq!(refused(&rules, "named.example", 80, &["10.20.9.1"]).as_deref(), Some("10.20.9.1"));
    }

    #[test]
    fn what_is_denied_wins_by_name_and_by_address() {
        let rules = rules(None, &["evil.example", ".bad.example:443", "169.254.0.0/16", "10.0.0.1:22"]);
        for (host, port, expected) in [
            ("evil.example", 1, Reach::Refused),
            ("x.bad.example", 443, Reach::Refused),
            ("x.bad.example", 80, Reach::Named),
            ("169.254.169.254", 80, Reach::Refused),
            ("10.0.0.1", 22, Reach::Refused),
            ("10.0.0.1", 443, Reach::Named),
        ] {
            assert_eq!(rules.reach(host, port), expected, "{host}:{port}");
        }
        assert_eq!(refused(&rules, "x.example", 22, &["10.0.0.1"]).as_deref(), Some("10.0.0.1"));
        assert_eq!(
            refused(&rules, "x.example", 443, &["::ffff:169.254.169.254"]).as_deref(),
            Some("::ffff:169.254.169.254")
        );
    }

    #[test]
    fn entries_that_mean_nothing_are_refused() {
        for bad in [
            "",
            "*",
            "*.x",
            "host:0",
            "host:x",
            "host:99999",
            ":443",
            "http://x",
            "10.0.0.0/33",
            "[::1",
            "[::1]443",
            "a b",
        ] {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
        for good in ["host", "[fd00::/8]:443", "[fd00::1]", "fd00::1", "fd00::/8", ".x.y:1", "10.0.0.0/8:443"] {
            assert!(Entry::parse(good).is_ok(), "{good}");
        }
    }
}
