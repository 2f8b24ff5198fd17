//! Sealed files and MACs: bound to their key and their place.

use proptest::prelude::*;
use wherry_trust::seal_local::{LocalKey, MAC_LENGTH, SEAL_OVERHEAD, SealError, mac, verify};

use crate::for_each_changed_byte;

#[test]
fn sealed_content_opens_with_the_same_key_and_place_only() {
    let key = LocalKey::generate().unwrap();
    let sealed = key.seal(b"prod/helix", b"secret").unwrap();
    assert_eq!(sealed.len(), b"secret".len() + SEAL_OVERHEAD);
    let same = LocalKey::from_bytes(key.reveal()).unwrap();
    assert_eq!(same.open(b"prod/helix", &sealed).unwrap().as_slice(), b"secret");
    assert_eq!(key.open(b"prod/other", &sealed), Err(SealError::Unreadable));
    assert_eq!(LocalKey::generate().unwrap().open(b"prod/helix", &sealed), Err(SealError::Unreadable));
}

#[test]
fn every_changed_or_missing_byte_is_unreadable() {
    let key = LocalKey::generate().unwrap();
    let sealed = key.seal(b"place", b"secret").unwrap();
    for_each_changed_byte(&sealed, |index, changed| {
        assert_eq!(key.open(b"place", changed), Err(SealError::Unreadable), "byte {index}");
    });
    for length in 0..sealed.len() {
        assert_eq!(key.open(b"place", &sealed[..length]), Err(SealError::Unreadable), "{length} bytes");
    }
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let key = LocalKey::generate().unwrap();
    assert_ne!(key.seal(b"", b"secret").unwrap(), key.seal(b"", b"secret").unwrap());
}

#[test]
fn too_much_is_refused_before_it_is_copied() {
    let key = LocalKey::generate().unwrap();
    let large = vec![0; 1024 * 1024 + 1];
    assert_eq!(key.seal(b"", &large).unwrap_err().code().as_str(), "sealed.too_large");
    let larger = vec![0; 1024 * 1024 + SEAL_OVERHEAD + 1];
    assert_eq!(key.open(b"", &larger).unwrap_err().code().as_str(), "sealed.too_large");
}

#[test]
fn a_mac_binds_key_parts_and_their_borders() {
    let key = LocalKey::generate().unwrap();
    let tag = mac(&key, &[b"engine-48", b"code"]);
    assert!(verify(&key, &[b"engine-48", b"code"], &tag));
    assert!(!verify(&LocalKey::generate().unwrap(), &[b"engine-48", b"code"], &tag));
    let none: &[&[u8]] = &[];
    for parts in [&[b"engine-4".as_slice(), b"8code"][..], &[b"engine-48code"], &[b"code", b"engine-48"], none] {
        assert!(!verify(&key, parts, &tag));
    }
    assert!(!verify(&key, &[b"engine-48", b"code"], &tag[..MAC_LENGTH - 1]));
    assert!(!verify(&key, &[b"engine-48", b"code"], b""));
}

proptest! {
    #[test]
    fn any_content_opens_again(place: Vec<u8>, content: Vec<u8>) {
        let key = LocalKey::generate().unwrap();
        let sealed = key.seal(&place, &content).unwrap();
        let opened = key.open(&place, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), content.as_slice());
    }
}
