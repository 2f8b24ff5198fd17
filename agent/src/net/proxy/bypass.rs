//! Which destinations do not go through a proxy.

use std::{fmt, net::IpAddr};

/// Destinations that go direct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bypass(Vec<Entry>);

/// An entry that is none of host, suffix, address or network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name, a suffix such as .example.com, an address nor a network such as 10.0.0.0/8")]
pub struct InvalidBypass(String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// This host.
    Host(String),
    /// Every host below this domain; begins with a dot.
    Suffix(String),
    /// Every address whose first bits are those of this one.
    Network(IpAddr, u8),
}

impl Bypass {
    /// Reads entries.
    ///
    /// # Errors
    /// With the first one that means nothing.
    pub fn new(entries: &[String]) -> Result<Self, InvalidBypass> {
        let read = |text: &String| entry(&text.to_ascii_lowercase()).ok_or_else(|| InvalidBypass(text.clone()));
        entries.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `host` goes direct. Networks hold for hosts written as addresses only: looking up a name just to
    /// choose the way would tell the resolver about every destination, and would fail where only the proxy has one.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let address = bare(&host).parse().ok().map(|address: IpAddr| address.to_canonical());
        self.0.iter().any(|entry| match (entry, address) {
            (Entry::Network(network, bits), Some(address)) => begins_alike(*network, address, *bits),
            (Entry::Host(name), None) => *name == host,
            (Entry::Suffix(suffix), None) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            (Entry::Network(..), None) | (Entry::Host(_) | Entry::Suffix(_), Some(_)) => false,
        })
    }
}

fn entry(text: &str) -> Option<Entry> {
    if let Some((network, bits)) = text.split_once('/') {
        let network: IpAddr = bare(network).parse().ok()?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        return bits.parse().ok().filter(|bits| *bits <= width).map(|bits| Entry::Network(network, bits));
    }
    if let Ok(address) = bare(text).parse::<IpAddr>() {
        let address = address.to_canonical();
        return Some(Entry::Network(address, if address.is_ipv4() { 32 } else { 128 }));
    }
    let labels = text.strip_prefix('.').unwrap_or(text);
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    if labels.len() > 253 || !labels.split('.').all(is_label) {
        return None;
    }
    Some(if text.starts_with('.') { Entry::Suffix(text.to_owned()) } else { Entry::Host(text.to_owned()) })
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn begins_alike(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differing = u32::from(network) ^ u32::from(address);
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differing = u128::from(network) ^ u128::from(address);
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} destinations", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[&str]) -> Result<Bypass, InvalidBypass> {
        Bypass::new(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn hosts_suffixes_addresses_and_networks_go_direct_and_nothing_else() {
        let bypass = of(&["Desk.Internal", ".corp.example", "10.0.0.0/8", "[::1]", "fd00::/8", "192.168.1.7"]).unwrap();
        for direct in [
            "desk.internal",
            "DESK.internal",
            "a.corp.example",
            "a.b.CORP.example",
            "10.255.0.1",
            "[::1]",
            "[fd12::9]",
            "192.168.1.7",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(bypass.covers(direct), "{direct}");
        }
        for proxied in [
            "internal",
            "x.desk.internal",
            "corp.example",
            "evilcorp.example",
            "a.corp.example.evil",
            "11.0.0.1",
            "192.168.1.8",
            "[::2]",
            "[fe00::1]",
            "10.0.0.1.example",
        ] {
            assert!(!bypass.covers(proxied), "{proxied}");
        }
        assert!(of(&["0.0.0.0/0"]).unwrap().covers("8.8.8.8") && !of(&["0.0.0.0/0"]).unwrap().covers("[::1]"));
    }

    #[test]
    fn entries_that_mean_nothing_are_refused() {
        for bad in ["", ".", "*", "*.example", "host:80", "10.0.0.0/33", "::/129", "a b", "http://x", "a..b", "10.0/8"]
        {
            assert!(of(&[bad]).is_err(), "{bad}");
        }
    }
}
