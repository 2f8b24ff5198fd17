//! TLS of one connection beyond what the agent does anyway: further authorities, the agent's own certificate, a pin, and
//! the two switches that weaken it.
//!
//! The words of [`StoreType`] and the two switches are those that people know from other integration products, so that
//! settings can be carried over. None of these texts takes variables: they decide whom an agent trusts.

use alloc::{string::String, vec::Vec};
use core::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::SecretRef;
use crate::name::Name;

/// Longest `server_certificate`, in bytes: a chain of certificates as PEM takes some 10 KiB.
pub const MAX_SERVER_CERTIFICATE: usize = 64 << 10;
/// Longest path on an agent, in bytes: that of Linux.
pub const MAX_PATH: usize = 4_096;
/// Longest subject, in bytes: names in certificates have at most some hundred.
pub const MAX_SUBJECT: usize = 1_024;

const SHA256: &str = "sha256:";
const PEM: &str = "-----BEGIN CERTIFICATE-----";

/// The `tls` of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A secret with authorities (PEM) that this connection trusts beside the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretRef>,
    /// The same as a file on the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// What the agent shows of itself, for mutual TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<CertificateStore>,
    /// Which certificate the system must show; see [`Pin`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_certificate: Option<String>,
    /// Whether a certificate may be expired, for another host or from nobody known. A pin still holds.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_invalid_certificates: bool,
    /// Whether requests may cross a network without TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub use_non_tls_connections: bool,
}

/// Where a private key and its certificate lie, and which of them is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateStore {
    /// Its format, and whether it is a secret or a file.
    #[serde(rename = "type")]
    pub kind: StoreType,
    /// The store itself.
    pub store: StorePlace,
    /// What opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// Which certificate of several: parts of its subject such as `CN=wherry, O=Example`. `*` or nothing means the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// A secret of the agent or a file beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum StorePlace {
    /// The name of a secret: PEM text, or the base64 of a binary store.
    Secret(Name),
    /// An absolute path on the agent.
    File(String),
}

/// Formats of certificate stores. Those that no agent reads are known all the same, so that people learn how to convert
/// them.
#[expect(missing_docs, reason = "the words are all there is to know; `Self::conversion` explains the others")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreType {
    #[serde(rename = "PEMKEY_FILE")]
    PemkeyFile,
    #[serde(rename = "PEMKEY_BLOB")]
    PemkeyBlob,
    #[serde(rename = "PFXFILE")]
    PfxFile,
    #[serde(rename = "PFXBLOB")]
    PfxBlob,
    #[serde(rename = "JKSFILE")]
    JksFile,
    #[serde(rename = "JKSBLOB")]
    JksBlob,
    #[serde(rename = "USER")]
    User,
    #[serde(rename = "MACHINE")]
    Machine,
    #[serde(rename = "PUBLIC_KEY_FILE")]
    PublicKeyFile,
    #[serde(rename = "PUBLIC_KEY_BLOB")]
    PublicKeyBlob,
    #[serde(rename = "SSHPUBLIC_KEY_FILE")]
    SshPublicKeyFile,
    #[serde(rename = "SSHPUBLIC_KEY_BLOB")]
    SshPublicKeyBlob,
    #[serde(rename = "P7BFILE")]
    P7bFile,
    #[serde(rename = "P10BFILE")]
    P10bFile,
    #[serde(rename = "PPKFILE")]
    PpkFile,
    #[serde(rename = "XMLFILE")]
    XmlFile,
    #[serde(rename = "XMLBLOB")]
    XmlBlob,
}

/// A format that an agent reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFormat {
    /// PEM: a private key and certificates.
    Pem,
    /// PKCS#12.
    Pkcs12,
    /// A Java key store.
    Java,
}

/// Why a type of store is not read, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}: {instead}")]
pub struct Unread {
    /// What it is.
    pub why: &'static str,
    /// The command or setting that helps.
    pub instead: &'static str,
}

impl StoreType {
    /// The format, and whether it is a file, for types that an agent reads.
    ///
    /// # Errors
    /// With what to do instead, for the others.
    pub const fn read(self) -> Result<(StoreFormat, bool), Unread> {
        match self {
            Self::PemkeyFile => Ok((StoreFormat::Pem, true)),
            Self::PemkeyBlob => Ok((StoreFormat::Pem, false)),
            Self::PfxFile => Ok((StoreFormat::Pkcs12, true)),
            Self::PfxBlob => Ok((StoreFormat::Pkcs12, false)),
            Self::JksFile => Ok((StoreFormat::Java, true)),
            Self::JksBlob => Ok((StoreFormat::Java, false)),
            Self::User | Self::Machine => Err(WINDOWS),
            Self::PublicKeyFile | Self::PublicKeyBlob => Err(PUBLIC_KEY),
            Self::SshPublicKeyFile | Self::SshPublicKeyBlob => Err(SSH_KEY),
            Self::P7bFile => Err(P7B),
            Self::P10bFile => Err(P10B),
            Self::PpkFile => Err(PPK),
            Self::XmlFile | Self::XmlBlob => Err(XML),
        }
    }
}

const WINDOWS: Unread = Unread {
    why: "an agent has no Windows certificate store",
    instead: "export certificate and private key from it as a .pfx file (certmgr.msc, or `certutil -exportPFX`), then use \
              PFXFILE or PFXBLOB",
};
const PUBLIC_KEY: Unread = Unread {
    why: "a public key alone proves nothing, its private key is needed",
    instead: "`openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -out client.p12`, then use PFXFILE or PFXBLOB",
};
const SSH_KEY: Unread = Unread {
    why: "an SSH key is no certificate",
    instead: "`ssh-keygen -p -m PKCS8 -N '' -f KEY` turns the private key into PEM; put it and its certificate into one \
              file, then use PEMKEY_FILE or PEMKEY_BLOB",
};
const P7B: Unread = Unread {
    why: "a PKCS#7 file holds certificates and no private key",
    instead: "`openssl pkcs7 -inform DER -print_certs -in FILE.p7b -out chain.pem`, put the private key (PEM) before them, \
              then use PEMKEY_FILE or PEMKEY_BLOB",
};
const P10B: Unread = Unread {
    why: "a PKCS#10 file is a request for a certificate",
    instead: "have it signed, then `openssl pkcs12 -export -inkey KEY.pem -in CERTIFICATE.pem -out client.p12` and use \
              PFXFILE or PFXBLOB",
};
const PPK: Unread = Unread {
    why: "a PuTTY key is no certificate",
    instead: "`puttygen KEY.ppk -O private-openssh -o KEY` and `ssh-keygen -p -m PKCS8 -N '' -f KEY` turn it into PEM; put \
              it and its certificate into one file, then use PEMKEY_FILE or PEMKEY_BLOB",
};
const XML: Unread = Unread {
    why: "an XML key is not read",
    instead: "export certificate and private key as PEM or PKCS#12 where the XML was made, then use PEMKEY_FILE or PFXFILE",
};

/// What the certificate of a system must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin<'a> {
    /// The SHA-256 of the certificate, or of the public key in it (its `SubjectPublicKeyInfo`).
    Sha256([u8; 32]),
    /// PEM: the certificate itself, or the only authorities that may have issued it.
    Pem(&'a str),
}

/// A text that is no [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "server_certificate is sha256: and 64 hexadecimal digits (`openssl x509 -in FILE -noout -fingerprint -sha256` prints \
     them), or a certificate as PEM"
)]
pub struct InvalidPin;

impl<'a> Pin<'a> {
    /// Reads a `server_certificate`.
    ///
    /// # Errors
    /// If it is too long or neither form; whether PEM holds a certificate is seen by the agent.
    pub fn parse(text: &'a str) -> Result<Self, InvalidPin> {
        if text.len() > MAX_SERVER_CERTIFICATE {
            return Err(InvalidPin);
        }
        match text.strip_prefix(SHA256) {
            Some(digits) => sha256(digits).map(Self::Sha256).ok_or(InvalidPin),
            None if text.contains(PEM) => Ok(Self::Pem(text)),
            None => Err(InvalidPin),
        }
    }
}

/// 32 bytes in hexadecimal digits of either case, with or without colons between them.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let digits: Vec<&str> = match text.contains(':') {
        true => text.split(':').collect(),
        false => (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).unwrap_or_default()).collect(),
    };
    let byte = |pair: &&str| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !digits.iter().all(byte) {
        return None;
    }
    let bytes: Option<Vec<u8>> = digits.iter().map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// How requests of a connection travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With TLS.
    Secure,
    /// Without TLS, to the agent's own machine and not through a proxy: no network is crossed.
    Local,
    /// Without TLS, across a network.
    Plain,
}

/// Why a connection's URL, authentication and `tls` do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Plain HTTP that nobody asked for.
    #[error(
        "the url begins with http:// and leads across a network: write https://, or accept that everybody on the way can \
         read and change the traffic with `tls: {{ use_non_tls_connections: true }}`"
    )]
    Required,
    /// A switch that the URL contradicts.
    #[error("use_non_tls_connections is on and the url begins with https://: remove one of them")]
    Contradiction,
    /// Settings that nothing would keep.
    #[error("the url begins with http://, so that nothing under tls holds: write https://, or remove those settings")]
    Idle,
    /// OAuth without TLS.
    #[error("use_non_tls_connections cannot be used with OAuth: whoever reads the traffic has the tokens")]
    OauthPlain,
    /// OAuth with whoever answers.
    #[error(
        "allow_invalid_certificates cannot be used with OAuth: name the authority under ca, or pin the certificate with \
         server_certificate"
    )]
    OauthAnybody,
}

impl Tls {
    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The secrets it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Name> {
        let ca = self.ca.as_ref().map(|ca| &ca.secret);
        ca.into_iter().chain(self.client_certificate.iter().flat_map(CertificateStore::secrets))
    }

    /// The first thing that does not go together, if there is one.
    pub fn conflict(&self, way: Way, oauth: bool) -> Option<Conflict> {
        let plain = self.use_non_tls_connections;
        let others = !Self { use_non_tls_connections: false, ..self.clone() }.is_default();
        match way {
            _ if oauth && plain => Some(Conflict::OauthPlain),
            _ if oauth && self.allow_invalid_certificates => Some(Conflict::OauthAnybody),
            Way::Secure if plain => Some(Conflict::Contradiction),
            Way::Plain if !plain => Some(Conflict::Required),
            Way::Plain | Way::Local if others => Some(Conflict::Idle),
            Way::Secure | Way::Local | Way::Plain => None,
        }
    }
}

impl CertificateStore {
    /// The secrets it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Name> {
        let store = match &self.store {
            StorePlace::Secret(name) => Some(name),
            StorePlace::File(_) => None,
        };
        store.into_iter().chain(self.password.as_ref().map(|password| &password.secret))
    }

    /// The parts of the wanted subject, if any certificate is not good enough.
    pub fn wanted(&self) -> Option<&str> {
        self.subject.as_deref().map(str::trim).filter(|subject| !subject.is_empty() && *subject != "*")
    }
}

/// Whether a host as it stands in a URL, in brackets for IPv6, is this machine: `localhost`, `127.0.0.0/8`, `::1`.
pub fn is_local_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{borrow::ToOwned, format};

    #[test]
    fn fingerprints_are_read_with_and_without_colons_and_nothing_else_is() {
        let plain = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        for good in [format!("sha256:{plain}"), format!("sha256:{colons}"), format!("sha256: {colons}\n")] {
            assert_eq!(Pin::parse(&good), Ok(Pin::Sha256([0xab; 32])), "{good}");
        }
        let short = "ab".repeat(31);
        for bad in [
            String::new(),
            plain.clone(),
            format!("sha256:{short}"),
            format!("sha256:{plain}ab"),
            format!("sha256:+{}", &plain[1..]),
            format!("sha256:{}a:b", &colons[..colons.len() - 2]),
            format!("sha256:{}\u{e9}", &plain[..62]),
            format!("sha1:{plain}"),
            "-----BEGIN PRIVATE KEY-----".to_owned(),
            format!("{PEM}{}", " ".repeat(MAX_SERVER_CERTIFICATE)),
        ] {
            assert_eq!(Pin::parse(&bad), Err(InvalidPin), "{bad}");
        }
        assert!(matches!(Pin::parse(PEM), Ok(Pin::Pem(_))));
    }

    #[test]
    fn only_this_machine_is_local() {
        for local in ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "[::1]"] {
            assert!(is_local_host(local), "{local}");
        }
        for other in
            ["", "localhost.", "a.localhost", "127.1", "128.0.0.1", "0.0.0.0", "[::]", "::1", "[::ffff:7f00:1]"]
        {
            assert!(!is_local_host(other), "{other}");
        }
    }

    #[test]
    fn plain_http_needs_its_switch_and_oauth_takes_neither_switch() {
        let none = Tls::default();
        let plain = Tls { use_non_tls_connections: true, ..Tls::default() };
        let invalid = Tls { allow_invalid_certificates: true, ..Tls::default() };
        let pinned = Tls { server_certificate: Some(PEM.to_owned()), ..Tls::default() };
        for (tls, way, oauth, conflict) in [
            (&none, Way::Secure, true, None),
            (&none, Way::Local, true, None),
            (&none, Way::Plain, false, Some(Conflict::Required)),
            (&plain, Way::Plain, false, None),
            (&plain, Way::Local, false, None),
            (&plain, Way::Secure, false, Some(Conflict::Contradiction)),
            (&plain, Way::Plain, true, Some(Conflict::OauthPlain)),
            (&plain, Way::Local, true, Some(Conflict::OauthPlain)),
            (&invalid, Way::Secure, false, None),
            (&invalid, Way::Secure, true, Some(Conflict::OauthAnybody)),
            (&invalid, Way::Local, false, Some(Conflict::Idle)),
            (&pinned, Way::Secure, true, None),
            (&pinned, Way::Plain, false, Some(Conflict::Required)),
            (&pinned, Way::Local, false, Some(Conflict::Idle)),
        ] {
            assert_eq!(tls.conflict(way, oauth), conflict, "{tls:?} {way:?} {oauth}");
        }
    }

    #[test]
    fn types_that_are_not_read_say_what_to_do_and_none_is_forgotten() {
        let words = [
            ("PEMKEY_FILE", Some((StoreFormat::Pem, true))),
            ("PEMKEY_BLOB", Some((StoreFormat::Pem, false))),
            ("PFXFILE", Some((StoreFormat::Pkcs12, true))),
            ("PFXBLOB", Some((StoreFormat::Pkcs12, false))),
            ("JKSFILE", Some((StoreFormat::Java, true))),
            ("JKSBLOB", Some((StoreFormat::Java, false))),
            ("USER", None),
            ("MACHINE", None),
            ("PUBLIC_KEY_FILE", None),
            ("PUBLIC_KEY_BLOB", None),
            ("SSHPUBLIC_KEY_FILE", None),
            ("SSHPUBLIC_KEY_BLOB", None),
            ("P7BFILE", None),
            ("P10BFILE", None),
            ("PPKFILE", None),
            ("XMLFILE", None),
            ("XMLBLOB", None),
        ];
        for (word, read) in words {
            let kind: StoreType = serde_json::from_value(word.into()).unwrap();
            assert_eq!(kind.read().ok(), read, "{word}");
            assert!(kind.read().err().is_none_or(|unread| unread.instead.len() > 20), "{word}");
        }
        assert!(serde_json::from_value::<StoreType>("PEM".into()).is_err());
    }
}
