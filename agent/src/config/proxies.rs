//! Proxies as written, checked: how each is spoken to, with which credentials, and what does not go through it.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use wherry_daemon::{config::Faults, tls};
use wherry_domain::name::Name;

use super::raw::RawProxy;
use crate::{
    net::{
        Proxy,
        proxy::{Bypass, Credentials, ProxySettings, Scheme},
    },
    private_file,
};

/// Largest password file.
const MAX_PASSWORD: u64 = 4 << 10;
/// User names and passwords of SOCKS5 have a length of one byte (RFC 1929).
const MAX_SOCKS: usize = 255;

/// The proxy that `raw` describes, which stands at `path` in the configuration.
pub(super) fn proxy(faults: &mut Faults, path: &str, name: Option<&Name>, raw: &RawProxy) -> Option<Proxy> {
    let mut settings = address(faults, path, raw);
    let bypass = faults.check(&format!("{path}.bypass"), Bypass::new(&raw.bypass));
    let mut extra_roots = Vec::new();
    for (at, file) in raw.ca_files.iter().enumerate() {
        let path = format!("{path}.ca_files.{at}");
        extra_roots.extend(faults.check(&path, tls::load_certificates(file)).unwrap_or_default());
    }
    let scheme = settings.as_ref().map(|settings| settings.scheme);
    if scheme.is_some_and(|scheme| scheme != Scheme::Https) && !raw.ca_files.is_empty() {
        faults.push(format!("{path}.ca_files"), "is for https:// proxies only, the others show no certificate");
    }
    let credentials = credentials(faults, path, raw, scheme);
    if let Some(settings) = &mut settings {
        settings.name = name.cloned();
        settings.bypass = bypass?;
        settings.extra_roots = extra_roots;
        settings.credentials = credentials?;
    }
    settings.map(Proxy::with)
}

fn address(faults: &mut Faults, path: &str, raw: &RawProxy) -> Option<ProxySettings> {
    let url = &raw.url;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    let scheme = Scheme::parse(url.scheme()).filter(|_| is_bare);
    let port = url.port().map_or_else(|| scheme.map(Scheme::default_port), Some).filter(|port| *port != 0);
    match (scheme, url.host_str().filter(|host| !host.is_empty()), port) {
        (Some(scheme), Some(host), Some(port)) => Some(ProxySettings::new(scheme, host, port)),
        _ => {
            faults.push(
                format!("{path}.url"),
                "is not http://host:port, https://host:port, socks5://host:port or socks5h://host:port; credentials \
                 go to username and password_file",
            );
            None
        }
    }
}

/// `None` if there is a fault, `Some(None)` if there are no credentials.
fn credentials(faults: &mut Faults, path: &str, raw: &RawProxy, scheme: Option<Scheme>) -> Option<Option<Credentials>> {
    let (username, file) = match (&raw.username, &raw.password_file) {
        (None, None) => return Some(None),
        (Some(username), Some(file)) => (username, file),
        (Some(_), None) | (None, Some(_)) => {
            faults.push(path, "username and password_file belong together");
            return None;
        }
    };
    let socks = scheme.is_some_and(|scheme| !scheme.is_http());
    if !socks && username.contains(':') {
        faults.push(format!("{path}.username"), "contains a colon, which basic authentication cannot express");
        return None;
    }
    let password = faults.check(&format!("{path}.password_file"), password(file))?;
    if socks && ![username.len(), password.expose_secret().len()].iter().all(|len| (1..=MAX_SOCKS).contains(len)) {
        faults.push(path, "user name and password of a SOCKS5 proxy have 1 to 255 bytes each");
        return None;
    }
    Some(Some(Credentials { username: username.clone(), password }))
}

fn password(file: &Path) -> Result<SecretString, private_file::FileError> {
    let text = private_file::read_text(file, MAX_PASSWORD)?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn raw(url: &str) -> RawProxy {
        RawProxy { url: url.parse().unwrap(), username: None, password_file: None, bypass: vec![], ca_files: vec![] }
    }

    fn checked(raw: &RawProxy) -> Result<Proxy, Vec<String>> {
        let mut faults = Faults::new();
        let made = proxy(&mut faults, "proxies.dmz", Some(&"dmz".parse().unwrap()), raw);
        match faults.into_result() {
            Ok(()) => Ok(made.unwrap()),
            Err(error) => Err(error.faults().iter().map(|fault| fault.path.clone()).collect()),
        }
    }

    #[test]
    fn every_scheme_is_read_and_has_its_port() {
        for (url, scheme, address) in [
            ("http://proxy", "http", "proxy:3128"),
            ("http://proxy:80", "http", "proxy:80"),
            ("https://proxy", "https", "proxy:443"),
            ("socks5://proxy", "socks5", "proxy:1080"),
            ("socks5h://proxy:9050", "socks5h", "proxy:9050"),
            ("socks5://[::1]:1081", "socks5", "[::1]:1081"),
        ] {
            let via = checked(&raw(url)).unwrap().via();
            assert_eq!((via.scheme.as_str(), via.address.as_str()), (scheme, address), "{url}");
            assert_eq!(via.name.map(|name| name.to_string()).as_deref(), Some("dmz"));
        }
        for bad in ["ftp://proxy", "socks4://proxy", "http://user@proxy", "socks5://u:p@proxy", "http://proxy/path"] {
            assert_eq!(checked(&raw(bad)).unwrap_err(), ["proxies.dmz.url"], "{bad}");
        }
    }

    #[test]
    fn faults_of_a_proxy_are_found_at_once() {
        let file = Some(PathBuf::from("nowhere"));
        let bad = RawProxy {
            username: Some("a:b".to_owned()),
            password_file: file,
            bypass: vec!["*".to_owned()],
            ca_files: vec!["nowhere.pem".into()],
            ..raw("http://proxy")
        };
        let mut paths = checked(&bad).unwrap_err();
        paths.sort();
        paths.dedup();
        let expected = ["bypass", "ca_files", "ca_files.0", "username"].map(|key| format!("proxies.dmz.{key}"));
        assert_eq!(paths, expected);
        let half = RawProxy { username: Some("me".to_owned()), ..raw("http://proxy") };
        assert_eq!(checked(&half).unwrap_err(), ["proxies.dmz"]);
    }

    #[test]
    fn a_password_that_socks_cannot_express_is_refused_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "x".repeat(256)).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let with = |url| RawProxy { username: Some("a:b".to_owned()), password_file: Some(file.clone()), ..raw(url) };
        assert_eq!(checked(&with("socks5h://proxy")).unwrap_err(), ["proxies.dmz"]);
        std::fs::write(&file, "short\n").unwrap();
        assert!(checked(&with("socks5h://proxy")).is_ok());
        assert_eq!(checked(&with("http://proxy")).unwrap_err(), ["proxies.dmz.username"]);
    }
}
