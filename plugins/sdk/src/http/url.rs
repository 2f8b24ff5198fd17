//! Addresses: the connection's base, paths below it, and links that answers contain.

use crate::error::{Error, Result};

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether TLS is used.
    pub https: bool,
    /// Host and port, as written, in lower case.
    pub authority: String,
}

/// The connection's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    origin: Origin,
    path: String,
}

/// One address to send a request to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub origin: Origin,
    /// Path and query, beginning with `/`.
    pub path_and_query: String,
}

impl Origin {
    fn parse(url: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let proper = !authority.is_empty() && authority.chars().all(|c| c.is_ascii_graphic() && c != '@' && c != '\\');
        proper.then(|| (Self { https, authority: authority.to_ascii_lowercase() }, path))
    }

    fn is_same(&self, other: &Self) -> bool {
        fn trimmed(origin: &Origin) -> &str {
            let default = if origin.https { ":443" } else { ":80" };
            origin.authority.strip_suffix(default).unwrap_or(&origin.authority)
        }
        self.https == other.https && trimmed(self) == trimmed(other)
    }
}

impl Base {
    /// Reads the connection's URL: `http` or `https`, a host, perhaps a path; no user name, query or fragment.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = || {
            let message = "the connection's url must be like https://host/path, without user name, query or fragment";
            Error::config("connector.connection_invalid", message)
        };
        let (origin, path) = Origin::parse(url).ok_or_else(wrong)?;
        if path.contains(['?', '#']) {
            return Err(wrong());
        }
        check_path(path)?;
        Ok(Self { origin, path: escape(path.trim_end_matches('/')) })
    }

    /// The address of a path below the base, with query parameters.
    pub fn target<'q>(&self, path: &str, query: impl IntoIterator<Item = (&'q str, &'q str)>) -> Result<Target> {
        check_path(path)?;
        let separator = if path.is_empty() || path.starts_with(['/', '?']) { "" } else { "/" };
        let mut path_and_query = format!("{}{separator}{}", self.path, escape(path));
        if !path_and_query.starts_with('/') {
            path_and_query.insert(0, '/');
        }
        for (name, value) in query {
            path_and_query.push(if path_and_query.contains('?') { '&' } else { '?' });
            path_and_query.push_str(&encode(name));
            path_and_query.push('=');
            path_and_query.push_str(&encode(value));
        }
        Ok(Target { origin: self.origin.clone(), path_and_query })
    }
}

impl Target {
    /// The address that a link in the answer to this request means. Links to other places are refused: the
    /// credentials of the connection would go there too.
    pub fn resolve(&self, link: &str) -> Result<Self> {
        let link = link.trim().split('#').next().unwrap_or_default();
        let foreign = || {
            let message = "the answer's link to the next page leads away from the connection's host; \
                           use another kind of paging, or correct the connection's url";
            Error::data("http.next_url_foreign", message)
        };
        let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_absolute = link.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
        if link.starts_with("//") || is_absolute {
            let scheme = if self.origin.https { "https:" } else { "http:" };
            let whole = if link.starts_with("//") { format!("{scheme}{link}") } else { link.to_owned() };
            let (origin, path) = Origin::parse(&whole).ok_or_else(foreign)?;
            if !origin.is_same(&self.origin) {
                return Err(foreign());
            }
            return Ok(self.at(path));
        }
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        Ok(match link.chars().next() {
            None => self.clone(),
            Some('/') => self.at(link),
            Some('?') => self.at(&format!("{path}{link}")),
            Some(_) => {
                let folder = path.rfind('/').and_then(|end| path.get(..=end)).unwrap_or("/");
                self.at(&format!("{folder}{link}"))
            }
        })
    }

    fn at(&self, path_and_query: &str) -> Self {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let mut clean = without_dots(path);
        if let Some(query) = query {
            clean.push('?');
            clean.push_str(query);
        }
        Self { origin: self.origin.clone(), path_and_query: escape(&clean) }
    }
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Refuses paths that mean another place than they seem to.
fn check_path(path: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::config("http.path_invalid", format!("the path {why}")));
    if path.chars().any(|c| c.is_control() || c == '\\' || c == '#') {
        return wrong("contains a control character, a backslash or a fragment");
    }
    let path = path.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.starts_with("//") || path.split('/').any(is_dots) {
        return wrong("leads away from the connection's url");
    }
    Ok(())
}

/// Encodes what may not stand in a URL at all, and leaves the rest as it was written.
fn escape(text: &str) -> String {
    let keep =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}');
    encode_except(text, keep)
}

/// Encodes everything but the unreserved characters of RFC 3986: for one segment of a path, or one value.
pub fn encode(text: &str) -> String {
    encode_except(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

fn encode_except(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if keep(byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 });
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> String {
        Base::parse("https://Host:8443/base/").unwrap().target(path, []).unwrap().path_and_query
    }

    fn resolved(link: &str) -> Result<String, String> {
        let here = Base::parse("https://h/a").unwrap().target("/b/c?x=1", []).unwrap();
        here.resolve(link).map(|target| target.path_and_query).map_err(|error| error.code.into_owned())
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        assert_eq!((target("/x").as_str(), target("x").as_str(), target("").as_str()), ("/base/x", "/base/x", "/base"));
        assert_eq!(Base::parse("http://h").unwrap().target("", []).unwrap().path_and_query, "/");
    }

    #[test]
    fn query_parameters_are_encoded_and_join_those_of_the_path() {
        let base = Base::parse("https://h").unwrap();
        let query = [("a b", "ä&=")];
        assert_eq!(base.target("/x", query).unwrap().path_and_query, "/x?a%20b=%C3%A4%26%3D");
        assert_eq!(base.target("/x?y=1", query).unwrap().path_and_query, "/x?y=1&a%20b=%C3%A4%26%3D");
        assert_eq!(base.target("/a b", []).unwrap().path_and_query, "/a%20b");
    }

    #[test]
    fn paths_cannot_lead_away() {
        for bad in ["/../x", "/a/%2E%2e/b", "//evil/x", "/a\\b", "/a\r\nb", "/a#b", "/./a", ".."] {
            let error = Base::parse("https://h/base").unwrap().target(bad, []).unwrap_err();
            assert_eq!(error.code, "http.path_invalid", "{bad:?}");
        }
    }

    #[test]
    fn only_plain_addresses_are_accepted_for_a_connection() {
        for bad in
            ["", "host/path", "ftp://h", "https://", "https://u:p@h/", "https://h/?q", "https://h/#f", "https://h h"]
        {
            assert!(Base::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Base::parse("HTTPS://HOST/Path").unwrap().origin.authority, "host");
    }

    #[test]
    fn links_of_every_form_are_resolved() {
        assert_eq!(resolved("https://h/n?p=2"), Ok("/n?p=2".into()));
        assert_eq!(resolved("https://H:443/n"), Ok("/n".into()));
        assert_eq!(resolved("//h/n"), Ok("/n".into()));
        assert_eq!(resolved("/n?u=https://x/"), Ok("/n?u=https://x/".into()));
        assert_eq!(resolved("?p=2"), Ok("/a/b/c?p=2".into()));
        assert_eq!(resolved("d?p=2#f"), Ok("/a/b/d?p=2".into()));
        assert_eq!(resolved("d?u=https://x/"), Ok("/a/b/d?u=https://x/".into()));
        assert_eq!(resolved("../d"), Ok("/a/d".into()));
        assert_eq!(resolved("/../../d/."), Ok("/d/".into()));
    }

    #[test]
    fn links_to_other_places_are_refused() {
        for bad in ["https://evil/n", "http://h/n", "https://h:444/n", "//evil/n", "https://h@evil/n", "ftp://h/n"] {
            assert_eq!(resolved(bad), Err("http.next_url_foreign".into()), "{bad}");
        }
    }
}
