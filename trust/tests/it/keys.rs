//! Keys and hashes against the published vectors of their standards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wherry_trust::keys::{Hasher, KeyError, PublicKey, SigningKey, equal_in_constant_time, sha256};

#[test]
fn a_private_key_survives_its_text_form() {
    let key = SigningKey::generate().unwrap();
    let text = key.to_pem().unwrap();
    let back = SigningKey::from_pem(&text).unwrap();
    assert_eq!(key.public(), back.public());
    assert!(key.public().verify(b"message", &back.sign(b"message")));
}

#[test]
fn a_private_key_made_by_openssl_is_read() {
    // RFC 8410 section 10.3, with its public key from section 10.1.
    let text = "-----BEGIN PRIVATE KEY-----\n\
                MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                -----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(text).unwrap();
    let expected = STANDARD.decode("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
    assert_eq!(key.public().as_bytes().as_slice(), expected);
    assert_eq!(key.to_pem().unwrap().as_str(), text);
}

#[test]
fn text_that_is_no_private_key_is_refused() {
    let head = "-----BEGIN PRIVATE KEY-----";
    let long = format!("{head}\n{}\n-----END PRIVATE KEY-----", "A".repeat(1024));
    for bad in ["", head, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", &long] {
        assert_eq!(SigningKey::from_pem(bad).err(), Some(KeyError::PrivateMalformed));
    }
}

#[test]
fn a_public_key_reads_back_and_a_changed_text_is_refused() {
    let key = SigningKey::generate().unwrap().public();
    let text = key.to_string();
    assert_eq!(text.parse::<PublicKey>().unwrap(), key);
    assert_eq!(serde_json::from_str::<PublicKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    for bad in ["", "ed25519:", "rsa:AAAA", &text[..text.len() - 1], &format!("{text}A"), &format!("{text}=")] {
        assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::PublicMalformed), "{bad}");
    }
}

#[test]
fn a_key_id_is_the_beginning_of_the_digest_of_the_key() {
    let key = SigningKey::generate().unwrap().public();
    let digest = sha256(key.as_bytes()).to_string();
    assert_eq!(digest.strip_prefix("sha256:").unwrap()[..16], *key.key_id().as_str());
}

#[test]
fn another_key_or_message_or_length_does_not_verify() {
    let key = SigningKey::generate().unwrap();
    let signature = key.sign(b"message");
    assert!(!key.public().verify(b"massage", &signature));
    assert!(!key.public().verify(b"message", &signature[..63]));
    assert!(!SigningKey::generate().unwrap().public().verify(b"message", &signature));
}

#[test]
fn hashing_in_pieces_equals_hashing_at_once() {
    let mut hasher = Hasher::new();
    hasher.update(b"a");
    hasher.update(b"bc");
    let whole = sha256(b"abc");
    assert_eq!(hasher.finish(), whole);
    // FIPS 180-2, appendix B.1.
    assert!(whole.to_string().ends_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

#[test]
fn comparison_agrees_with_equality() {
    assert!(equal_in_constant_time(b"abc", b"abc"));
    assert!(!equal_in_constant_time(b"abc", b"abd"));
    assert!(!equal_in_constant_time(b"abc", b"ab"));
}
