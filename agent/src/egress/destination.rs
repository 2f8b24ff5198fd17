//! Where a connection leads: scheme, host and port, in one spelling.

use std::fmt;

use http::Uri;
use url::{Host, Url};
use wherry_domain::failure::Code;

/// The one place that a connection may talk to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    secure: bool,
    /// Lower case; IPv6 in brackets.
    host: String,
    port: u16,
    literal: bool,
}

/// A connection's URL that leads nowhere we go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection's url is not usable: {0}, write it as https://host or http://host:port")]
pub struct InvalidUrl(&'static str);

impl InvalidUrl {
    /// The stable code.
    pub const fn code(&self) -> Code {
        Code::new("connection.url_invalid")
    }
}

impl Destination {
    /// Reads the URL of a connection, after its variables were filled in.
    ///
    /// # Errors
    /// If it is not an `http` or `https` URL with a host and without credentials.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        // The URL standard silently drops tabs and line breaks and turns backslashes round; we would rather not.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(InvalidUrl("it contains white space, control characters or a backslash"));
        }
        let url = Url::parse(text).map_err(|_| InvalidUrl("it is not a URL"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidUrl("its scheme is neither https nor http")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl("it carries a user name or password, which belong under auth"));
        }
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(InvalidUrl("its port is 0"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(InvalidUrl("it names no host"))?;
        if host.ends_with('.') {
            // Another spelling of the same host, under which exact rules and certificates do not match.
            return Err(InvalidUrl("its host ends with a dot"));
        }
        let literal = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
        Ok(Self { secure, host: host.to_owned(), port, literal })
    }

    /// Whether a request goes exactly there. Any other spelling of the host counts as another host.
    pub fn covers(&self, uri: &Uri) -> bool {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return false,
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain
            && secure == self.secure
            && port == self.port
            && uri.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host))
    }

    /// The URL with its host in our spelling, which is the one that requests must use.
    pub fn base(&self, text: &str) -> String {
        let Ok(url) = Url::parse(text) else { return text.to_owned() };
        let normal = url.to_string();
        match normal.strip_suffix('/') {
            // Parsing gives an empty path a slash; whoever joins paths would see two.
            Some(bare) if !text.ends_with('/') => bare.to_owned(),
            Some(_) | None => normal,
        }
    }

    /// Whether TLS is spoken.
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Lower case; IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is the name of this machine (RFC 6761, section 6.3).
    pub fn is_localhost(&self) -> bool {
        self.host == "localhost" || self.host.ends_with(".localhost")
    }

    /// Whether the host is an address and not a name.
    pub const fn is_literal(&self) -> bool {
        self.literal
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_urls_are_read_with_their_default_ports() {
        for (url, shown) in [
            ("https://Example.com/base?x", "example.com:443"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(Destination::parse(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn urls_that_hide_where_they_lead_are_refused() {
        for bad in [
            "file:///etc/passwd",
            "gopher://host",
            "unix:/run/x.sock",
            "https://allowed@evil",
            "https://user:pw@host",
            "https://ho\tst",
            "https://host\n",
            "https:\\\\host",
            "http://host:0",
            "http://localhost.",
            "https://example.com./a",
            "https://example.com\u{3002}/a",
            "https://%0aexample.com",
            "https://exa%00mple.com",
            "https://exa mple.com",
            "https://example.com:65536",
            "https://",
            "host",
            "",
        ] {
            assert!(Destination::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_base_keeps_its_path_and_spells_its_host_as_requests_must() {
        for (text, base) in [
            ("https://Example.com", "https://example.com"),
            ("https://example.com/a/", "https://example.com/a/"),
            ("https://b\u{fc}cher.example/a", "https://xn--bcher-kva.example/a"),
            ("http://[::ffff:10.0.0.1]:80/", "http://[::ffff:a00:1]/"),
        ] {
            let destination = Destination::parse(text).unwrap();
            assert_eq!(destination.base(text), base);
            assert!(destination.covers(&base.parse().unwrap()), "{base}");
        }
    }

    #[test]
    fn only_the_exact_destination_is_covered() {
        let own = Destination::parse("https://api.example.com").unwrap();
        let covered = |uri: &str| own.covers(&uri.parse().unwrap());
        assert!(covered("https://api.example.com/a/b?c") && covered("https://API.example.com:443/"));
        for bad in [
            "http://api.example.com/",
            "https://api.example.com:444/",
            "https://api.example.com./",
            "https://evil.example.com/",
            "https://api.example.com.evil/",
            "https://api.example.com@evil/",
            "https://evil@api.example.com/",
            "/relative",
        ] {
            assert!(!covered(bad), "{bad}");
        }
    }
}
