//! Enrolment tokens: two halves, a pin, and a checksum that catches a bad paste before anything is sent.

use proptest::prelude::*;
use wherry_trust::token::{AuthPart, EnrolmentToken, MalformedToken, SpkiPin};

use crate::for_each_changed_byte;

#[test]
fn a_token_reads_back_with_the_same_halves_and_pin() {
    let token = token();
    let text = token.reveal();
    assert_eq!(text.len(), 88);
    let back = EnrolmentToken::parse(&format!("  {}\n", text.as_str())).unwrap();
    assert_eq!(back.id(), token.id());
    assert_eq!(back.pin(), token.pin());
    assert_eq!(back.auth_part().as_bytes(), token.auth_part().as_bytes());
    assert_eq!(back.roster_part().as_bytes(), token.roster_part().as_bytes());
    assert_eq!(back.reveal(), text);
}

#[test]
fn every_changed_or_missing_byte_of_a_token_is_refused() {
    let text = token().reveal();
    for_each_changed_byte(text.as_bytes(), |index, changed| {
        if let Ok(changed) = std::str::from_utf8(changed) {
            assert_eq!(EnrolmentToken::parse(changed).err(), Some(MalformedToken), "byte {index}");
        }
    });
    for length in 0..text.len() {
        assert_eq!(EnrolmentToken::parse(&text[..length]).err(), Some(MalformedToken), "{length} characters");
    }
}

#[test]
fn no_error_or_debug_text_shows_a_part_of_the_secret() {
    let token = token();
    let text = token.reveal();
    let secret = &text[15..58];
    let shown = format!("{token:?} {} {:?}", MalformedToken, EnrolmentToken::parse(&text[1..]));
    for start in 0..secret.len() - 8 {
        assert!(!shown.contains(&secret[start..start + 8]));
    }
}

#[test]
fn the_controllers_half_and_hash_tell_nothing_of_the_other_half() {
    let token = token();
    assert_ne!(token.auth_part().as_bytes(), token.roster_part().as_bytes());
    assert_ne!(token.auth_hash().as_bytes(), token.roster_part().as_bytes());
    assert_ne!(token.auth_hash().as_bytes(), token.auth_part().as_bytes());
}

#[test]
fn only_the_right_half_matches_the_stored_hash() {
    let (token, other) = (token(), self::token());
    let sent = AuthPart::from_slice(token.auth_part().as_bytes()).unwrap();
    assert!(sent.matches(&token.auth_hash()));
    assert!(!sent.matches(&other.auth_hash()));
    assert!(!AuthPart::from_slice(token.roster_part().as_bytes()).unwrap().matches(&token.auth_hash()));
    for length in [0, 31, 33] {
        assert!(AuthPart::from_slice(&vec![0; length]).is_err());
    }
}

#[test]
fn two_tokens_share_neither_id_nor_secret() {
    let (one, two) = (token(), token());
    assert_ne!(one.id(), two.id());
    assert_ne!(one.auth_hash(), two.auth_hash());
}

#[test]
fn a_pin_matches_its_own_key_only() {
    let pin = SpkiPin::of_spki(b"a public key");
    assert!(pin.matches(b"a public key"));
    assert!(!pin.matches(b"another public key"));
    assert_eq!(pin.to_string().parse::<SpkiPin>(), Ok(pin));
    for bad in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA="] {
        assert!(bad.parse::<SpkiPin>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_in_another_way(text in ".{0,300}") {
        prop_assert!(EnrolmentToken::parse(&text).is_err());
        let prefixed = format!("wht_{text}");
        prop_assert!(EnrolmentToken::parse(&prefixed).is_err());
    }

    #[test]
    fn exchanged_characters_are_noticed(first in 4usize..81, second in 4usize..81) {
        let text = token().reveal();
        let mut bytes = text.as_bytes().to_vec();
        bytes.swap(first, second);
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(EnrolmentToken::parse(&changed).is_ok(), changed == *text);
    }
}

fn token() -> EnrolmentToken {
    EnrolmentToken::generate(SpkiPin::of_spki(b"a public key")).unwrap()
}
