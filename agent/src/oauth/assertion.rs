//! A client that proves itself with its private key (RFC 7523): a short signed statement in place of a secret.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{SignatureScheme, sign::SigningKey};
use secrecy::SecretString;
use serde_json::json;
use url::Url;
use wherry_daemon::tls;
use wherry_domain::name::Name;
use wherry_trust::keys::sha256;

use super::{settings::Settings, tokens::hex};
use crate::{
    auth::AuthFailure,
    certificates::{self, Certified, FileRules},
    secrets::SecretError,
};

/// How long a statement holds: long enough for clocks that differ, too short to be of use to a thief.
const LIFE_SECONDS: u64 = 300;

/// A statement for the endpoint `audience`.
pub(super) fn make(settings: &Settings, files: &FileRules, audience: &Url) -> Result<SecretString, AuthFailure> {
    let certified = certified(settings, files)?;
    let unusable = |what: &str| settings.invalid(what);
    let key = tls::provider().key_provider.load_private_key(certified.key.clone_key());
    let key = key.map_err(|_| unusable("the private key of its certificate cannot be used"))?;
    let (algorithm, scheme) =
        algorithm(&key).ok_or_else(|| unusable("its private key is neither RSA, P-256 nor Ed25519"))?;
    let client = &settings.oauth().client_id;
    let now = settings.now_ms() / 1_000;
    let id: [u8; 16] = rand::random();
    let claims = json!({
        "iss": client, "sub": client, "aud": audience.as_str(), "jti": hex(&id), "iat": now, "exp": now + LIFE_SECONDS,
    });
    let mut head = json!({ "alg": algorithm, "typ": "JWT" });
    if let (Some(leaf), Some(head)) = (certified.chain.first(), head.as_object_mut()) {
        head.insert("x5t#S256".to_owned(), URL_SAFE_NO_PAD.encode(sha256(leaf).as_bytes()).into());
    }
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let signer = key.choose_scheme(&[scheme]).ok_or_else(|| unusable("its private key cannot sign"))?;
    let signature = signer.sign(signed.as_bytes()).map_err(|_| unusable("its private key cannot sign"))?;
    let signature = match algorithm {
        "ES256" => raw(&signature).ok_or_else(|| unusable("its private key cannot sign"))?,
        _ => signature,
    };
    Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn certified(settings: &Settings, files: &FileRules) -> Result<Certified, AuthFailure> {
    let store = settings.oauth().certificate.as_ref();
    let store = store.ok_or_else(|| settings.invalid("private_key_jwt needs a certificate"))?;
    let mut opened: HashMap<Name, Arc<SecretString>> = HashMap::new();
    for name in store.secrets() {
        opened.insert(name.clone(), settings.open(name)?);
    }
    let environment = &settings.wanted.path.environment;
    let lookup = |name: &Name| {
        let missing = || SecretError::Missing { environment: environment.clone(), name: name.clone() };
        opened.get(name).cloned().ok_or_else(missing)
    };
    certificates::load(store, files, &lookup).map_err(|error| AuthFailure::permanent(error.code(), error.to_string()))
}

fn algorithm(key: &Arc<dyn SigningKey>) -> Option<(&'static str, SignatureScheme)> {
    let known = [
        ("RS256", SignatureScheme::RSA_PKCS1_SHA256),
        ("ES256", SignatureScheme::ECDSA_NISTP256_SHA256),
        ("EdDSA", SignatureScheme::ED25519),
    ];
    known.into_iter().find(|(_, scheme)| key.choose_scheme(&[*scheme]).is_some())
}

/// JWS wants the two numbers of an ECDSA signature side by side, 32 bytes each (RFC 7518, section 3.4).
fn raw(der: &[u8]) -> Option<Vec<u8>> {
    let (numbers, rest) = value(der, 0x30)?;
    let (r, after) = value(numbers, 0x02)?;
    let (s, end) = value(after, 0x02)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(64);
    for number in [r, s] {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let digits = number.get(start..)?;
        out.resize(out.len() + 32_usize.checked_sub(digits.len())?, 0);
        out.extend_from_slice(digits);
    }
    Some(out)
}

/// The content of a DER value with that tag and a short length, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_first_chunk::<2>()?;
    let [found, length] = *head;
    if found != tag || length > 127 { None } else { rest.split_at_checked(usize::from(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ecdsa_signature_becomes_two_numbers_of_32_bytes() {
        let mut der = vec![0x30, 0x26, 0x02, 0x21, 0x00];
        der.extend_from_slice(&[0xff; 32]);
        der.extend_from_slice(&[0x02, 0x01, 0x07]);
        let raw = raw(&der).unwrap();
        assert_eq!((raw.len(), &raw[..32], raw[63]), (64, &[0xff; 32][..], 7));
        assert!(super::raw(&der[1..]).is_none() && super::raw(&[0x30, 0x00]).is_none());
    }
}
