//! Which addresses a connection may lead to.
//!
//! Link-local, metadata, unspecified and multicast addresses are never reached unless the agent owner lists that very
//! host and port. A loopback address is reached only by a connection that says so itself (`localhost`, `127.0.0.1`,
//! `[::1]`), so that a stranger's DNS cannot point a name at the agent's own machine; `localhost` in turn never leads to
//! another machine. Private networks are what agents exist for.
//!
//! All this is about the agent's own machine, where it connects itself. Through a proxy that `bypass` does not spare,
//! `localhost` is the proxy's machine and a system like any other there: the proxy's operator decides who gets to it, and
//! without TLS it counts as plain traffic over a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wherry_host::EgressError;

use super::destination::Destination;

/// Metadata services outside the link-local range: AWS over IPv6, Alibaba, Azure's wire server, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// An entry of `egress.allow` that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not host:port, for example 169.254.169.254:80")]
pub struct InvalidAllowance(String);

/// Exceptions that the agent owner made.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    allowed: Vec<(String, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Ordinary,
    Loopback,
    Denied,
}

impl AddressRules {
    /// Reads `host:port` entries.
    ///
    /// # Errors
    /// With the first entry that is something else.
    pub fn new(entries: &[String]) -> Result<Self, InvalidAllowance> {
        let allowed = entries.iter().map(|entry| {
            let (host, port) = entry.rsplit_once(':').ok_or_else(|| InvalidAllowance(entry.clone()))?;
            let port = port.parse().ok().filter(|port| *port != 0);
            let port = port.filter(|_| !bare(host).is_empty()).ok_or_else(|| InvalidAllowance(entry.clone()))?;
            Ok((bare(host).to_ascii_lowercase(), port))
        });
        Ok(Self { allowed: allowed.collect::<Result<_, _>>()? })
    }

    /// Whether the connection may use every one of the addresses behind its host.
    ///
    /// # Errors
    /// [`EgressError::AddressDenied`] with the first that it may not.
    pub fn check(&self, destination: &Destination, addresses: &[SocketAddr]) -> Result<(), EgressError> {
        if self.lists(destination.host(), destination.port()) {
            return Ok(());
        }
        let denied = |address: &&SocketAddr| match class(address.ip()) {
            Class::Ordinary => destination.is_localhost(),
            Class::Loopback => !names_this_machine(destination),
            Class::Denied => true,
        };
        match addresses.iter().filter(denied).find(|address| !self.lists(&address.ip().to_string(), address.port())) {
            None => Ok(()),
            Some(address) => Err(EgressError::AddressDenied {
                host: destination.host().to_owned(),
                address: address.ip().to_string(),
            }),
        }
    }

    fn lists(&self, host: &str, port: u16) -> bool {
        self.allowed.iter().any(|(allowed, its)| *its == port && allowed == bare(host))
    }
}

/// Without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// An address that the connection itself names was judged by its class alone.
fn names_this_machine(destination: &Destination) -> bool {
    destination.is_literal() || destination.is_localhost()
}

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => match (class_v6(address), embedded_v4(address).map(class_v4)) {
            (class, None | Some(Class::Ordinary)) => class,
            // Nobody writes this machine's address in such a way without wanting to hide it.
            (_, Some(Class::Loopback | Class::Denied)) => Class::Denied,
        },
    }
}

fn class_v4(address: Ipv4Addr) -> Class {
    // 0.0.0.0/8 reaches this machine on Linux; 240.0.0.0/4 is reserved and ends with the broadcast address.
    let [first, ..] = address.octets();
    if first == 0 || first >= 240 || address.is_link_local() || address.is_multicast() || METADATA_V4.contains(&address)
    {
        return Class::Denied;
    }
    if address.is_loopback() { Class::Loopback } else { Class::Ordinary }
}

fn class_v6(address: Ipv6Addr) -> Class {
    if address.is_loopback() {
        return Class::Loopback;
    }
    let denied =
        address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() || address == METADATA_V6;
    if denied { Class::Denied } else { Class::Ordinary }
}

/// An address, and the one of IPv4 that it stands for, if it is one of those.
pub(super) fn with_embedded(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => embedded_v4(address).map(IpAddr::V4),
    };
    [Some(address), inner].into_iter().flatten()
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), compatible (`::/96`), translated (`::ffff:0:0:0/96`), NAT64
/// (`64:ff9b::/96`, `64:ff9b:1::/48`), 6to4 (`2002::/16`), Teredo (`2001::/32`) or ISATAP address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // `::` and `::1` are IPv6 addresses in their own right.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => inner(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        // Every bit of the client's address is turned over (RFC 4380).
        [0x2001, 0, .., high, low] => inner(!high, !low),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => inner(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &AddressRules, url: &str, address: &str) -> bool {
        let destination = Destination::parse(url).unwrap();
        rules.check(&destination, &[SocketAddr::new(address.parse().unwrap(), destination.port())]).is_ok()
    }

    #[test]
    fn private_networks_are_reached_and_special_addresses_are_not() {
        let rules = AddressRules::default();
        for good in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "8.8.8.8", "fd12::1", "2001:db8::1"] {
            assert!(check(&rules, "https://host", good), "{good}");
        }
        for bad in [
            "169.254.169.254",
            "169.254.1.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "2001:0:1:2:3:4:5601:5601",
            "2001:db8::5efe:a9fe:a9fe",
            "fe80::5efe:10.0.0.1",
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!check(&rules, "https://host", bad), "{bad}");
        }
    }

    #[test]
    fn loopback_is_reached_only_by_a_connection_that_names_it() {
        let rules = AddressRules::default();
        assert!(check(&rules, "http://127.0.0.1:8080", "127.0.0.1"));
        assert!(check(&rules, "http://localhost:8080", "::1"));
        assert!(!check(&rules, "http://localhost.evil.example", "127.0.0.1"));
        assert!(!check(&rules, "http://localhost:80", "169.254.169.254"));
        assert!(!check(&rules, "http://[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1"));
        assert!(!check(&rules, "http://[64:ff9b::7f00:1]:80", "64:ff9b::7f00:1"));
    }

    #[test]
    fn localhost_leads_to_this_machine_or_nowhere() {
        let rules = AddressRules::default();
        for elsewhere in ["8.8.8.8", "10.0.0.1", "2001:db8::1", "::ffff:127.0.0.1"] {
            assert!(!check(&rules, "http://localhost:80", elsewhere), "{elsewhere}");
            assert!(!check(&rules, "https://app.localhost", elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn one_bad_address_among_good_ones_is_enough() {
        let destination = Destination::parse("https://host").unwrap();
        let addresses = ["8.8.8.8:443".parse().unwrap(), "169.254.169.254:443".parse().unwrap()];
        let refused = AddressRules::default().check(&destination, &addresses).unwrap_err();
        assert!(matches!(refused, EgressError::AddressDenied { address, .. } if address == "169.254.169.254"));
    }

    #[test]
    fn the_owner_can_list_an_exact_host_and_port() {
        let rules = AddressRules::new(&["169.254.169.254:80".to_owned(), "Intranet:443".to_owned()]).unwrap();
        assert!(check(&rules, "http://169.254.169.254", "169.254.169.254"));
        assert!(!check(&rules, "http://169.254.169.254:81", "169.254.169.254"));
        assert!(check(&rules, "https://intranet", "127.0.1.1"));
        let six = AddressRules::new(&["[FD00:ec2::254]:80".to_owned()]).unwrap();
        assert!(check(&six, "http://[fd00:ec2::254]", "fd00:ec2::254") && check(&six, "http://host", "fd00:ec2::254"));
        for bad in ["host", "host:0", ":80", "host:x", "[]:80"] {
            assert!(AddressRules::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
