//! The rules for the `tls` of a connection.

use alloc::{borrow::ToOwned, format, string::ToString};

use super::{Check, is_web_url};
use crate::{
    failure::Code,
    project::{
        Connection,
        tls::{CertificateStore, Conflict, MAX_PATH, MAX_SUBJECT, Pin, StorePlace, Way, is_local_host},
    },
};

/// Something under `tls` cannot be, or contradicts the rest of the connection.
pub const TLS_INVALID: Code = Code::new("project.tls_invalid");
/// Plain HTTP across a network that nobody asked for.
pub const TLS_REQUIRED: Code = Code::new("project.tls_required");

impl Check<'_> {
    /// Faults of `connections.NAME.tls`, and those between it, the URL and the authentication.
    pub(super) fn tls(&mut self, name: &str, connection: &Connection) {
        let tls = &connection.tls;
        let at = |key| ["connections", name, "tls", key];
        for (key, text) in [("ca_file", &tls.ca_file), ("server_certificate", &tls.server_certificate)] {
            if text.as_ref().is_some_and(|text| text.contains("{{")) {
                let message = format!("{key} takes no variables, because it decides whom the agent trusts");
                self.fault(&at(key), TLS_INVALID, message);
            }
        }
        if tls.ca.is_some() && tls.ca_file.is_some() {
            let message = "ca and ca_file mean the same: keep one, and put all authorities into it";
            self.fault(&at("ca_file"), TLS_INVALID, message.to_owned());
        }
        if tls.ca_file.as_ref().is_some_and(|path| !is_path(path)) {
            self.fault(&at("ca_file"), TLS_INVALID, PATH.to_owned());
        }
        if let Some(Err(invalid)) = tls.server_certificate.as_deref().map(Pin::parse) {
            self.fault(&at("server_certificate"), TLS_INVALID, invalid.to_string());
        }
        if let Some(store) = &tls.client_certificate {
            self.store(&at("client_certificate"), store);
        }
        if let Some(conflict) = way(connection).and_then(|way| tls.conflict(way, connection.auth.is_oauth())) {
            let (key, code) = match conflict {
                Conflict::Required => ("url", TLS_REQUIRED),
                Conflict::Contradiction | Conflict::Idle | Conflict::OauthPlain | Conflict::OauthAnybody => {
                    ("tls", TLS_INVALID)
                }
            };
            self.fault(&["connections", name, key], code, conflict.to_string());
        }
    }

    /// Faults of a certificate store, wherever it stands.
    pub(super) fn store(&mut self, path: &[&str], store: &CertificateStore) {
        let at = |key| [path, &[key]].concat();
        match (store.kind.read(), &store.store) {
            (Err(unread), _) => self.fault(&at("type"), TLS_INVALID, unread.to_string()),
            (Ok((_, true)), StorePlace::Secret(_)) => {
                let message = "this type is a file on the agent, { file: /path }; with a secret it ends in BLOB";
                self.fault(&at("store"), TLS_INVALID, message.to_owned());
            }
            (Ok((_, false)), StorePlace::File(_)) => {
                let message = "this type is a secret, { secret: NAME }; with a file on the agent it ends in FILE";
                self.fault(&at("store"), TLS_INVALID, message.to_owned());
            }
            (Ok((_, true)), StorePlace::File(path)) if !is_path(path) => {
                self.fault(&at("store"), TLS_INVALID, PATH.to_owned());
            }
            (Ok(_), StorePlace::File(_) | StorePlace::Secret(_)) => {}
        }
        let subject = store.subject.as_deref().unwrap_or_default();
        if subject.len() > MAX_SUBJECT || subject.contains("{{") {
            let message = format!("a subject has at most {MAX_SUBJECT} bytes and takes no variables");
            self.fault(&at("subject"), TLS_INVALID, message);
        }
    }
}

const PATH: &str = "a file on the agent is named by its whole path, without `..` and without variables";

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= MAX_PATH
        && !path.contains("{{")
        && !path.contains(char::is_control)
        && !path.split('/').any(|part| part == "..")
}

/// How the connection travels, if that can be told without its variables.
fn way(connection: &Connection) -> Option<Way> {
    let url = connection.url.as_str();
    if url.contains("{{") {
        // Said of the text before the first variable, an https:// holds whatever follows.
        return url.starts_with("https://").then_some(Way::Secure);
    }
    if !is_web_url(url) {
        return None;
    }
    if url.starts_with("https://") {
        return Some(Way::Secure);
    }
    let rest = url.strip_prefix("http://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        Some(_) | None => authority,
    };
    let local = is_local_host(host) && !connection.through_proxy();
    Some(if local { Way::Local } else { Way::Plain })
}
