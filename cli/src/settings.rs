//! Where the controller is and who is asking: flags and environment before the file that `wherry login` writes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;

/// A token has about 65 characters; a file much longer is another kind of file.
const TOKEN_LIMIT: u64 = 4 * 1024;
const FILE_LIMIT: u64 = 64 * 1024;

/// A controller and a token for it.
pub(crate) struct Access {
    pub(crate) url: Url,
    pub(crate) token: SecretString,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    url: String,
    token: String,
}

/// Finds the controller and the token for it.
///
/// A token from the file goes to the address in the file and to no other: `--url` does not take it elsewhere.
pub(crate) fn access(url: Option<&str>) -> Outcome<Access> {
    let given = url.map(parse_url).transpose()?;
    if let Some(token) = std::env::var("WHERRY_TOKEN").ok().filter(|token| !token.is_empty()) {
        let url = match given {
            Some(url) => url,
            None => stored()?.map(|stored| parse_url(&stored.url)).transpose()?.ok_or_else(not_signed_in)?,
        };
        return Ok(Access { url, token: token.into() });
    }
    let stored = stored()?.ok_or_else(not_signed_in)?;
    let known = parse_url(&stored.url)?;
    match given {
        Some(url) if url != known => Err(not_signed_in().at(url.to_string())),
        Some(_) | None => Ok(Access { url: known, token: stored.token.into() }),
    }
}

/// Like [`access`], but `None` where nobody signed in.
pub(crate) fn access_if_any(url: Option<&str>) -> Outcome<Option<Access>> {
    match access(url) {
        Ok(access) => Ok(Some(access)),
        Err(error) if error.code == codes::NOT_SIGNED_IN => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the file, readable by its owner alone.
pub(crate) fn remember(access: &Access) -> Outcome<PathBuf> {
    let path = path()?;
    let stored = Stored { url: access.url.to_string(), token: access.token.expose_secret().to_owned() };
    let text = toml::to_string(&stored).map(Zeroizing::new).map_err(|error| unwritable(&path, error))?;
    write_private(&path, text.as_bytes())?;
    Ok(path)
}

/// Removes the file; `false` if there was none.
pub(crate) fn forget() -> Outcome<bool> {
    let path = path()?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unwritable(&path, error)),
    }
}

/// Reads a token from a file, or from stdin if the file is `-`.
pub(crate) fn read_token(file: &Path) -> Outcome<SecretString> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(TOKEN_LIMIT).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(TOKEN_LIMIT).read_to_string(&mut text))
    };
    read.map_err(|error| unreadable(file, error))?;
    Ok(SecretString::from(text.trim()))
}

/// Writes a file of mode 0600 through a temporary one, so that it is never half there or readable by others.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Outcome {
    let written = (|| {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|error: std::io::Error| unwritable(path, error))
}

/// The address of a controller. Plain HTTP is for this machine only: a token must not cross a network in the clear.
pub(crate) fn parse_url(text: &str) -> Outcome<Url> {
    let invalid = |why: &str| CliError::new(Exit::Invalid, codes::URL_INVALID, format!("{text:?} {why}"));
    let url = Url::parse(text).map_err(|_| invalid("is not an address such as https://wherry.example:8443"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CliError::new(Exit::Invalid, codes::URL_INVALID, "an address holds no user or password"));
    }
    if url.host().is_none() {
        return Err(invalid("names no host"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_this_machine(&url) => Ok(url),
        "http" => {
            Err(CliError::new(Exit::Invalid, codes::PLAIN_HTTP, "plain http would show the token to the network")
                .at(url.to_string())
                .fix("use https://, or open a tunnel to the controller's own loopback address"))
        }
        _ => Err(invalid("begins with neither https:// nor http://")),
    }
}

/// Whether the address leads to no network.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn stored() -> Outcome<Option<Stored>> {
    let path = path()?;
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&path, error)),
    };
    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        return Err(CliError::new(Exit::Denied, codes::SETTINGS_EXPOSED, "others may read the token in this file")
            .at(path.display().to_string())
            .fix(format!("chmod 600 {}, and sign in again if the machine is shared", path.display())));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_LIMIT).read_to_string(&mut text).map_err(|error| unreadable(&path, error))?;
    // Without the parser's own words: they quote the line, which may hold the token.
    let stored = toml::from_str(&text).map_err(|_| unreadable(&path, "it is not what `wherry login` writes"))?;
    Ok(Some(stored))
}

/// The folder of the file with the sign-in, for what is kept beside it.
pub(crate) fn folder() -> Outcome<PathBuf> {
    let path = path()?;
    Ok(path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf))
}

fn path() -> Outcome<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let default = || {
        let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
        Some(folder.join("wherry").join("config.toml"))
    };
    set("WHERRY_CONFIG").or_else(default).ok_or_else(|| {
        CliError::new(Exit::Invalid, codes::NO_HOME, "there is no home folder: set HOME or WHERRY_CONFIG")
    })
}

fn not_signed_in() -> CliError {
    CliError::new(Exit::Denied, codes::NOT_SIGNED_IN, "no controller is known, or no token for it")
        .fix("wherry login URL --token-file FILE, or set WHERRY_URL and WHERRY_TOKEN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_crosses_a_network_in_the_clear() {
        for good in ["https://wherry.example:8443", "http://127.0.0.1:8443", "http://[::1]:1", "http://localhost:8443/"]
        {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for (bad, code) in [
            ("http://wherry.example:8443", "client.plain_http"),
            ("http://localhost.example", "client.plain_http"),
            ("ftp://wherry.example", "client.url_invalid"),
            ("wherry.example", "client.url_invalid"),
            ("https://me:secret@wherry.example", "client.url_invalid"),
        ] {
            let error = parse_url(bad).unwrap_err();
            assert_eq!(error.code.as_str(), code, "{bad}");
            assert!(!error.shown().contains("secret"));
        }
    }
}
