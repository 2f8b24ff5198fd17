//! A URL as a person wrote it.
//!
//! URL parsers drop a port that is the default of the scheme. Where another port is the default, `https://host` and
//! `https://host:443` mean different things.

use std::{fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// A URL that knows whether it was written with a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebAddress {
    url: Url,
    port: Option<u16>,
}

impl WebAddress {
    /// The port, if one was written, also if it is the default of the scheme.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

impl Deref for WebAddress {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.url
    }
}

impl FromStr for WebAddress {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Url = text.parse()?;
        let default = url.port_or_known_default();
        let port = url.port().or_else(|| default.filter(|port| written_port(text) == Some(*port)));
        Ok(Self { url, port })
    }
}

impl TryFrom<String> for WebAddress {
    type Error = url::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WebAddress> for String {
    fn from(address: WebAddress) -> Self {
        address.to_string()
    }
}

/// As it was written, apart from what the parser tidies up.
impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.url.as_str();
        let dropped = self.port.filter(|_| self.url.port().is_none());
        let before_path = text.get(..text.len() - self.url[url::Position::BeforePath..].len());
        match (dropped, before_path) {
            (Some(port), Some(before)) => write!(f, "{before}:{port}{}", &self.url[url::Position::BeforePath..]),
            (_, _) => f.write_str(text),
        }
    }
}

/// The digits behind the last colon of the authority.
fn written_port(text: &str) -> Option<u16> {
    let (_, rest) = text.trim().split_once("//")?;
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_port_counts_even_if_it_is_the_default_of_the_scheme() {
        for (text, port, shown) in [
            ("https://host", None, "https://host/"),
            ("https://host:443", Some(443), "https://host:443/"),
            ("https://host:8444/", Some(8444), "https://host:8444/"),
            ("http://host:80", Some(80), "http://host:80/"),
            ("http://host:443", Some(443), "http://host:443/"),
            ("https://[::1]", None, "https://[::1]/"),
            ("https://[::443]", None, "https://[::443]/"),
            ("https://[::1]:443/?a=b:1", Some(443), "https://[::1]:443/?a=b:1"),
            ("https://host/x:443", None, "https://host/x:443"),
            (" https://HOST:0443 ", Some(443), "https://host:443/"),
        ] {
            let address: WebAddress = text.parse().unwrap();
            assert_eq!((address.port(), address.to_string().as_str()), (port, shown), "{text}");
            let read: WebAddress = address.to_string().parse().unwrap();
            assert_eq!(read, address, "{text} does not read back");
        }
        assert!("host:443".parse::<WebAddress>().is_ok_and(|address| address.host_str().is_none()));
    }
}
