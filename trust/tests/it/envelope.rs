//! Envelopes: exact bytes in, exact bytes out, and nothing in between may change.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use wherry_trust::dsse::{DsseError, Envelope, Limits, sign};
use wherry_trust::keys::{PublicKey, SigningKey};

use crate::for_each_changed_byte;

const KIND: &str = "application/vnd.wherry.test+json";

#[test]
fn an_envelope_gives_back_the_exact_bytes_and_their_signer() {
    let key = SigningKey::generate().unwrap();
    let json = sign(KIND, b"{ \"a\":1 }\n", &key).to_json();
    let verified = open(&json, &[key.public()]).unwrap();
    assert_eq!(verified.payload, b"{ \"a\":1 }\n");
    assert_eq!(verified.signers, [key.public()]);
    assert_eq!(verified.key_ids().collect::<Vec<_>>(), [key.public().key_id()]);
}

#[test]
fn what_is_signed_is_the_encoding_of_the_specification() {
    // The example of the DSSE protocol document.
    let key = SigningKey::generate().unwrap();
    let envelope = sign("http://example.com/HelloWorld", b"hello world", &key);
    let signature = STANDARD.decode(&envelope.signatures[0].sig).unwrap();
    assert!(key.public().verify(b"DSSEv1 29 http://example.com/HelloWorld 11 hello world", &signature));
    assert_eq!(envelope.payload, "aGVsbG8gd29ybGQ=");
}

#[test]
fn every_changed_byte_is_refused() {
    let key = SigningKey::generate().unwrap();
    let json = sign(KIND, b"{\"wasm\":\"sha256:00\"}", &key).to_json();
    for_each_changed_byte(&json, |index, changed| {
        assert!(open(changed, &[key.public()]).is_err(), "byte {index}: {}", String::from_utf8_lossy(changed));
    });
}

#[test]
fn every_shortened_envelope_is_refused() {
    let key = SigningKey::generate().unwrap();
    let json = sign(KIND, b"payload", &key).to_json();
    for length in 0..json.len() {
        assert!(open(&json[..length], &[key.public()]).is_err(), "{length} bytes");
    }
}

#[test]
fn an_envelope_for_one_purpose_does_not_serve_another() {
    let key = SigningKey::generate().unwrap();
    let mut envelope = sign("application/other", b"payload", &key);
    let refused = envelope.verify(KIND, &[key.public()], &Limits::default());
    assert_eq!(refused, Err(DsseError::TypeUnexpected { expected: KIND }));
    envelope.payload_type = KIND.to_owned();
    let refused = envelope.verify(KIND, &[key.public()], &Limits::default()).unwrap_err();
    assert_eq!(refused.code().as_str(), "envelope.signature_invalid");
}

#[test]
fn a_stranger_and_a_thief_of_a_key_id_are_refused() {
    let (trusted, stranger) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let mut envelope = sign(KIND, b"payload", &stranger);
    let refused = envelope.verify(KIND, &[trusted.public()], &Limits::default());
    assert_eq!(refused, Err(DsseError::TooFewSigners { found: 0, needed: 1 }));
    let refused = envelope.verify(KIND, &[], &Limits::default());
    assert_eq!(refused, Err(DsseError::TooFewSigners { found: 0, needed: 1 }));
    envelope.signatures[0].keyid = trusted.public().key_id().to_string();
    let refused = envelope.verify(KIND, &[trusted.public()], &Limits::default()).unwrap_err();
    assert_eq!(refused.code().as_str(), "envelope.signature_invalid");
}

#[test]
fn two_signatures_of_one_key_count_once() {
    let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let keys = [first.public(), second.public()];
    let two = Limits { threshold: 2, ..Limits::default() };
    let mut envelope = sign(KIND, b"payload", &first);
    envelope.add_signature(&first).unwrap();
    assert_eq!(envelope.verify(KIND, &keys, &two), Err(DsseError::TooFewSigners { found: 1, needed: 2 }));
    // The same key listed twice by the receiver is still one key.
    let twice = [first.public(), first.public()];
    assert_eq!(envelope.verify(KIND, &twice, &two), Err(DsseError::TooFewSigners { found: 1, needed: 2 }));
    envelope.add_signature(&second).unwrap();
    assert_eq!(envelope.verify(KIND, &keys, &two).unwrap().signers, keys);
}

#[test]
fn no_signature_at_all_is_refused_even_with_a_threshold_of_zero() {
    let key = SigningKey::generate().unwrap();
    let mut envelope = sign(KIND, b"payload", &key);
    envelope.signatures.clear();
    let none = Limits { threshold: 0, ..Limits::default() };
    assert_eq!(envelope.verify(KIND, &[key.public()], &none), Err(DsseError::TooFewSigners { found: 0, needed: 1 }));
}

#[test]
fn limits_hold_at_their_edges() {
    let key = SigningKey::generate().unwrap();
    let keys = [key.public()];
    let limits = Limits { payload: 100, signatures: 2, threshold: 1 };
    assert!(sign(KIND, &[b'x'; 100], &key).verify(KIND, &keys, &limits).is_ok());
    let large = sign(KIND, &[b'x'; 101], &key);
    assert_eq!(large.verify(KIND, &keys, &limits), Err(DsseError::TooLarge { what: "bytes of payload", limit: 100 }));
    let mut many = sign(KIND, b"x", &key);
    many.add_signature(&key).unwrap();
    assert!(many.verify(KIND, &keys, &limits).is_ok());
    many.add_signature(&key).unwrap();
    assert_eq!(many.verify(KIND, &keys, &limits), Err(DsseError::TooLarge { what: "signatures", limit: 2 }));
    let refused = Envelope::from_json(&vec![b' '; 1024 * 1024], &Limits::default()).unwrap_err();
    assert_eq!(refused.code().as_str(), "envelope.too_large");
    let largest = sign(KIND, &vec![b'x'; Limits::default().payload], &key).to_json();
    assert!(open(&largest, &keys).is_ok());
}

#[test]
fn unknown_and_repeated_fields_are_refused() {
    let key = SigningKey::generate().unwrap();
    let json = String::from_utf8(sign(KIND, b"payload", &key).to_json()).unwrap();
    for changed in [
        json.replacen('{', "{\"extra\":1,", 1),
        json.replacen('{', "{\"payload\":\"AAAA\",", 1),
        json.replace("\"keyid\"", "\"cert\":\"\",\"keyid\""),
    ] {
        assert_eq!(open(changed.as_bytes(), &[key.public()]).unwrap_err().code().as_str(), "envelope.malformed");
    }
}

proptest! {
    #[test]
    fn any_payload_survives_a_round_trip(payload in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let key = SigningKey::generate().unwrap();
        let verified = open(&sign(KIND, &payload, &key).to_json(), &[key.public()]).unwrap();
        prop_assert_eq!(verified.payload, payload);
    }

    #[test]
    fn random_bytes_are_no_envelope(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let key = SigningKey::generate().unwrap();
        prop_assert!(open(&bytes, &[key.public()]).is_err());
    }
}

fn open(json: &[u8], keys: &[PublicKey]) -> Result<wherry_trust::dsse::Verified, DsseError> {
    Envelope::from_json(json, &Limits::default())?.verify(KIND, keys, &Limits::default())
}
