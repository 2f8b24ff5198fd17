//! Access tokens: the hash is stored, the token is shown once.

use wherry_trust::access::{AccessToken, MalformedAccessToken};

use crate::for_each_changed_byte;

#[test]
fn a_token_reads_back_and_matches_its_stored_hash_only() {
    let token = AccessToken::generate().unwrap();
    let back = AccessToken::parse(&token.reveal()).unwrap();
    assert_eq!(back.id(), token.id());
    assert!(back.matches(&token.hash()));
    assert!(!AccessToken::generate().unwrap().matches(&token.hash()));
}

#[test]
fn every_changed_or_missing_byte_is_refused() {
    let text = AccessToken::generate().unwrap().reveal();
    for_each_changed_byte(text.as_bytes(), |index, changed| {
        if let Ok(changed) = std::str::from_utf8(changed) {
            assert_eq!(AccessToken::parse(changed).err(), Some(MalformedAccessToken), "byte {index}");
        }
    });
    for length in 0..text.len() {
        assert!(AccessToken::parse(&text[..length]).is_err());
    }
    for bad in [format!("{}x", text.as_str()), format!(" {}", text.as_str()), text.replacen("whp", "wht", 1)] {
        assert!(AccessToken::parse(&bad).is_err());
    }
}

#[test]
fn debug_shows_the_public_identifier_only() {
    let token = AccessToken::generate().unwrap();
    assert_eq!(format!("{token:?}"), format!("AccessToken({})", token.id()));
}
