//! Which key of a store is meant, and the certificates that belong to it.

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use wherry_daemon::tls;
use x509_parser::{
    certificate::X509Certificate,
    objects::{oid_registry, oid2abbrev},
    prelude::FromDer,
    x509::X509Name,
};

use super::{CertificateError, Certified, Content};

/// Longest chain that is sent; servers refuse longer ones as well.
const MAX_CHAIN: usize = 10;

/// The first key whose certificate has the wanted subject; without a wish the first that has a certificate.
pub(super) fn choose(mut content: Content, wanted: Option<&str>) -> Result<Certified, CertificateError> {
    let certificates = std::mem::take(&mut content.certificates);
    let parsed: Result<Vec<_>, _> = certificates.iter().map(|der| X509Certificate::from_der(der)).collect();
    let parsed = parsed.map_err(|_| CertificateError::Malformed("one of its certificates is broken"))?;
    let parsed: Vec<_> = parsed.into_iter().map(|(_, certificate)| certificate).collect();
    let (mut usable, mut owned) = (false, false);
    for key in &content.keys {
        let Some(spki) = public_key(key) else { continue };
        usable = true;
        let Some(leaf) = parsed.iter().position(|certificate| certificate.public_key().raw == spki) else { continue };
        owned = true;
        if wanted.is_none_or(|wanted| parsed.get(leaf).is_some_and(|leaf| has_subject(leaf.subject(), wanted))) {
            return Ok(Certified { chain: chain(leaf, &parsed, &certificates), key: key.clone_key() });
        }
    }
    match content.keys.first() {
        // A key alone is enough for a signature.
        Some(key) if usable && certificates.is_empty() && wanted.is_none() => {
            Ok(Certified { chain: Vec::new(), key: key.clone_key() })
        }
        Some(_) | None if !usable => Err(CertificateError::Malformed(
            "its private key is of a kind that is not used here: RSA, ECDSA and Ed25519 are",
        )),
        Some(_) | None if !owned => {
            Err(CertificateError::NotFound("none of its certificates belongs to its private key"))
        }
        Some(_) | None => {
            Err(CertificateError::NotFound("look at `subject`, and list the store with openssl or keytool"))
        }
    }
}

/// The public half, as it stands in a certificate.
fn public_key(key: &PrivateKeyDer<'static>) -> Option<Vec<u8>> {
    let key = tls::provider().key_provider.load_private_key(key.clone_key()).ok()?;
    Some(key.public_key()?.as_ref().to_vec())
}

/// The certificate at `leaf`, its issuer, and so on; no root, which the other side has or does not trust.
fn chain(leaf: usize, parsed: &[X509Certificate<'_>], all: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    let mut places = vec![leaf];
    while let Some(last) = places.last().and_then(|place| parsed.get(*place))
        && places.len() < MAX_CHAIN
    {
        let next = parsed.iter().enumerate().position(|(place, issuer)| {
            !places.contains(&place)
                && issuer.subject().as_raw() == last.issuer().as_raw()
                && issuer.subject().as_raw() != issuer.issuer().as_raw()
        });
        match next {
            Some(next) => places.push(next),
            None => break,
        }
    }
    places.into_iter().filter_map(|place| all.get(place).cloned()).collect()
}

/// Whether each part of `wanted` (`CN=wherry`, or only a value) is in the name, in any order, letters of either case.
fn has_subject(name: &X509Name<'_>, wanted: &str) -> bool {
    let attributes: Vec<(&str, &str)> = name
        .iter_attributes()
        .filter_map(|attribute| {
            Some((oid2abbrev(attribute.attr_type(), oid_registry()).unwrap_or_default(), attribute.as_str().ok()?))
        })
        .collect();
    parts(wanted).iter().all(|part| {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => (Some(known_as(key.trim())), value.trim()),
            None => (None, part.trim()),
        };
        attributes.iter().any(|(its, is)| {
            key.is_none_or(|key| its.eq_ignore_ascii_case(key)) && is.trim().eq_ignore_ascii_case(value)
        })
    })
}

/// Other tools' names for what is called otherwise here.
fn known_as(key: &str) -> &str {
    match key {
        "E" | "e" | "emailAddress" | "EMAILADDRESS" => "Email",
        "S" | "s" => "ST",
        other => other,
    }
}

/// Split at commas, but not at `\,`.
fn parts(wanted: &str) -> Vec<String> {
    let (mut parts, mut current, mut escaped) = (Vec::new(), String::new(), false);
    for letter in wanted.chars() {
        match letter {
            '\\' if !escaped => escaped = true,
            ',' if !escaped => parts.push(std::mem::take(&mut current)),
            other => {
                current.push(other);
                escaped = false;
            }
        }
    }
    parts.push(current);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_divide_a_subject_unless_they_are_escaped() {
        assert_eq!(parts("CN=a, O=b"), ["CN=a", " O=b"]);
        assert_eq!(parts("O=Example\\, Inc., CN=a"), ["O=Example, Inc.", " CN=a"]);
        assert_eq!(parts(" , "), Vec::<String>::new());
    }
}
