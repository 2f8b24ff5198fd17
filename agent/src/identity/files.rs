//! An identity on disk: `key.pem`, `cert.pem`, `roots.pem`, `identity-key` and `controller.json`.

use std::{path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use wherry_daemon::tls;
use wherry_domain::{digest::Digest, id::AgentId, name::Name};
use wherry_proto::{frame::Publisher, wire};
use wherry_trust::{
    keys::{SigningKey, sha256},
    names::AgentIdentity,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use super::{error::IdentityError, key::CertificateKey};
use crate::{net::WebAddress, paths::DataDir, private_file};

/// Largest file of an identity.
const MAX_FILE: u64 = 256 << 10;
/// Longest chain, and most roots, that an answer may carry.
const MAX_CERTIFICATES: usize = 8;

/// `controller.json`: where the controller is, and what is known of the certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The controller's address for agents.
    pub url: WebAddress,
    /// This agent.
    pub agent_id: AgentId,
    /// What it calls itself.
    pub name: Name,
    /// Its group, for people.
    pub group: String,
    /// The newest certificate, and the one it replaces while both may be on disk.
    certificates: Vec<CertificateNote>,
    /// Publishers that the organisation trusted at enrolment.
    pub publishers: Vec<Publisher>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CertificateNote {
    /// SHA-256 of the leaf.
    sha256: Digest,
    generation: u64,
    received_at_ms: u64,
    renew_after_ms: u64,
}

/// An identity, read and checked.
pub struct Identity {
    dir: PathBuf,
    note: Note,
    key: CertificateKey,
    pending: Option<CertificateKey>,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    current: CertificateNote,
}

impl Identity {
    /// Reads the identity in a data folder.
    ///
    /// # Errors
    /// [`IdentityError::Missing`] if there is none.
    pub fn load(data: &DataDir) -> Result<Self, IdentityError> {
        let dir = data.identity();
        let note = read_note(&dir)?.ok_or(IdentityError::Missing)?;
        let chain = certificates(&dir, "cert.pem")?;
        let roots = certificates(&dir, "roots.pem")?;
        let leaf = chain.first().ok_or(IdentityError::Damaged("cert.pem"))?;
        // A key after the certified one waits to be certified; one before it has served its time.
        let mut keys = load_keys(&dir)?.into_iter().skip_while(|key| !key.fits(leaf));
        let key = keys.next().ok_or(IdentityError::Damaged("key.pem"))?;
        let pending = keys.next();
        let digest = sha256(leaf);
        let current = note.certificates.iter().find(|certificate| certificate.sha256 == digest).copied();
        let current = current.ok_or(IdentityError::Damaged("controller.json"))?;
        Ok(Self { pending, dir, note, key, chain, roots, current })
    }

    /// Writes a first identity; it counts once this returns.
    pub(super) fn create(
        data: &DataDir,
        key: CertificateKey,
        mut note: Note,
        certificate: wire::Certificate,
        now_ms: u64,
    ) -> Result<Self, IdentityError> {
        let received = Received::check(certificate, &key, note.agent_id, now_ms)?;
        let dir = data.identity();
        private_file::write(&dir.join("roots.pem"), pem(&received.roots).as_bytes())?;
        private_file::write(&dir.join("cert.pem"), pem(&received.chain).as_bytes())?;
        note.certificates = vec![received.note];
        write_note(&dir, &note)?;
        let Received { chain, roots, note: current } = received;
        Ok(Self { dir, note, key, pending: None, chain, roots, current })
    }

    /// The key for the next certificate, on disk before anyone hears of it: a repeated request carries the same one.
    pub(super) fn next_key(&mut self) -> Result<&CertificateKey, IdentityError> {
        if self.pending.is_none() {
            let next = CertificateKey::generate()?;
            save_keys(&self.dir, &[&self.key, &next])?;
            self.pending = Some(next);
        }
        self.pending.as_ref().ok_or(IdentityError::Damaged("key.pem"))
    }

    /// Replaces the certificate by one for [`Identity::next_key`].
    pub(super) fn replace(mut self, certificate: wire::Certificate, now_ms: u64) -> Result<Self, IdentityError> {
        let next = self.pending.take().ok_or(IdentityError::Answer("nobody asked for it"))?;
        let received = Received::check(certificate, &next, self.note.agent_id, now_ms)?;
        self.note.certificates = vec![received.note, self.current];
        write_note(&self.dir, &self.note)?;
        private_file::write(&self.dir.join("cert.pem"), pem(&received.chain).as_bytes())?;
        private_file::write(&self.dir.join("roots.pem"), pem(&received.roots).as_bytes())?;
        save_keys(&self.dir, &[&next])?;
        (self.key, self.chain, self.roots, self.current) = (next, received.chain, received.roots, received.note);
        Ok(self)
    }

    /// What `controller.json` says.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Leaf and intermediate certificates.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The only authorities that the controller's certificate may come from.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// The private key of the leaf.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.to_private_key()
    }

    /// Generation of the certificate.
    pub fn generation(&self) -> u64 {
        self.current.generation
    }

    /// How long after its receipt to renew the certificate.
    pub fn renew_after(&self) -> Duration {
        Duration::from_millis(self.current.renew_after_ms)
    }

    /// How long after 1970 to renew the certificate.
    pub fn renew_at(&self) -> Duration {
        Duration::from_millis(self.current.received_at_ms.saturating_add(self.current.renew_after_ms))
    }

    /// Whether the certificate has run out at `unix_ms`.
    pub fn has_expired(&self, unix_ms: u64) -> bool {
        let ends = self.chain.first().and_then(|leaf| not_after(leaf));
        ends.is_none_or(|ends| i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX) >= ends)
    }

    /// Who this agent is, as its certificate says.
    ///
    /// # Errors
    /// If the certificate does not name an agent.
    pub fn name(&self) -> Result<AgentIdentity, IdentityError> {
        let leaf = self.chain.first().and_then(|leaf| agent_named_in(leaf));
        leaf.ok_or(IdentityError::Damaged("cert.pem"))
    }

    /// The key that proves who recovers, and signs what this agent says of its group's keys.
    pub(crate) fn identity_key(&self) -> Result<SigningKey, IdentityError> {
        read_identity_key(&self.dir)?.ok_or(IdentityError::Damaged("identity-key"))
    }
}

/// A certificate that was checked before anything is written.
struct Received {
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    note: CertificateNote,
}

impl Received {
    fn check(
        certificate: wire::Certificate,
        key: &CertificateKey,
        agent: AgentId,
        now_ms: u64,
    ) -> Result<Self, IdentityError> {
        let wire::Certificate { chain, roots, renew_after_ms, generation } = certificate;
        if chain.len() > MAX_CERTIFICATES || !(1..=MAX_CERTIFICATES).contains(&roots.len()) {
            return Err(IdentityError::Answer("it has too many certificates or no root"));
        }
        let leaf = chain.first().ok_or(IdentityError::Answer("it is empty"))?;
        if !key.fits(leaf) {
            return Err(IdentityError::Answer("it is for another key"));
        }
        if agent_named_in(leaf).map(|identity| identity.agent()) != Some(agent) {
            return Err(IdentityError::Answer("it names another agent"));
        }
        let note = CertificateNote { sha256: sha256(leaf), generation, received_at_ms: now_ms, renew_after_ms };
        let owned = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect();
        Ok(Self { chain: owned(chain), roots: owned(roots), note })
    }
}

impl Note {
    /// A note without certificates yet.
    pub(super) fn new(
        url: WebAddress,
        agent_id: AgentId,
        name: Name,
        group: String,
        publishers: Vec<Publisher>,
    ) -> Self {
        Self { url, agent_id, name, group, certificates: Vec::new(), publishers }
    }

    /// The note in a data folder, if an agent was enrolled there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(data: &DataDir) -> Result<Option<Self>, IdentityError> {
        read_note(&data.identity())
    }
}

/// The key pair to enrol with; the one of an interrupted attempt, if there was one.
pub(super) fn first_keys(data: &DataDir) -> Result<(CertificateKey, SigningKey), IdentityError> {
    let dir = data.identity();
    private_file::create_folder(&dir)?;
    let key = match load_keys(&dir) {
        Ok(mut keys) if !keys.is_empty() => keys.swap_remove(0),
        Ok(_) | Err(_) => {
            let key = CertificateKey::generate()?;
            save_keys(&dir, &[&key])?;
            key
        }
    };
    if let Ok(Some(identity)) = read_identity_key(&dir) {
        return Ok((key, identity));
    }
    let identity = SigningKey::generate()?;
    private_file::write(&dir.join("identity-key"), identity.to_pem()?.as_bytes())?;
    Ok((key, identity))
}

fn read_note(dir: &std::path::Path) -> Result<Option<Note>, IdentityError> {
    let content = match private_file::read(&dir.join("controller.json"), MAX_FILE) {
        Ok(content) => content,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&content).map(Some).map_err(|_| IdentityError::Damaged("controller.json"))
}

fn write_note(dir: &std::path::Path, note: &Note) -> Result<(), IdentityError> {
    let json = serde_json::to_vec_pretty(note).map_err(|_| IdentityError::Damaged("controller.json"))?;
    Ok(private_file::write(&dir.join("controller.json"), &json)?)
}

fn load_keys(dir: &std::path::Path) -> Result<Vec<CertificateKey>, IdentityError> {
    CertificateKey::all_from_pem(&private_file::read_text(&dir.join("key.pem"), MAX_FILE)?)
}

fn save_keys(dir: &std::path::Path, keys: &[&CertificateKey]) -> Result<(), IdentityError> {
    let mut text = Zeroizing::new(String::with_capacity(1 << 10));
    keys.iter().for_each(|key| text.push_str(&key.to_pem()));
    Ok(private_file::write(&dir.join("key.pem"), text.as_bytes())?)
}

fn read_identity_key(dir: &std::path::Path) -> Result<Option<SigningKey>, IdentityError> {
    let text = match private_file::read_text(&dir.join("identity-key"), MAX_FILE) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    SigningKey::from_pem(&text).map(Some).map_err(|_| IdentityError::Damaged("identity-key"))
}

fn certificates(dir: &std::path::Path, file: &'static str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let content = private_file::read(&dir.join(file), MAX_FILE)?;
    tls::certificates_from_pem(&content).map_err(|_| IdentityError::Damaged(file))
}

fn pem(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let body = STANDARD.encode(certificate);
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

pub(super) fn agent_named_in(leaf: &[u8]) -> Option<AgentIdentity> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(uri) } else { None });
    uris.into_iter().find_map(|uri| AgentIdentity::from_uri(uri).ok())
}

/// Seconds since 1970.
fn not_after(leaf: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
