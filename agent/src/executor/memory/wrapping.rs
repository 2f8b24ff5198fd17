//! How a connection's state is written before it is sealed: the one place where it is wrapped and unwrapped.
//!
//! ```text
//! version (1), then for each key in order: length of key, key, length of value, value
//! ```
//!
//! Lengths are seven bits to a byte, lowest first, as in protobuf. No two keys are the same, so that 16 KiB of keys and
//! values have room for some 8,000 of them: what stands between them takes about 16 KiB more and never
//! [`wherry_proto::MAX_STATE`].

use super::Entries;

/// The form that this build writes; no sealed state begins with it.
const VERSION: u8 = 1;
/// Bytes of a length that any entry of a state can have.
const LENGTH_BYTES: u32 = 4;

/// The state for the controller.
pub(super) fn wrap(entries: &Entries) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for (key, value) in entries {
        for part in [key.as_bytes(), value.as_slice()] {
            put_length(&mut bytes, part.len());
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// The state from the controller; `None` if this build cannot read it.
pub(super) fn unwrap(wrapped: &[u8]) -> Option<Entries> {
    let (version, mut rest) = wrapped.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut entries = Entries::new();
    while !rest.is_empty() {
        let key = take_part(&mut rest)?;
        let value = take_part(&mut rest)?;
        entries.insert(String::from_utf8(key.to_vec()).ok()?, value.to_vec());
    }
    Some(entries)
}

fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push((length & 0x7f) as u8);
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for position in 0..LENGTH_BYTES {
        let (byte, left) = rest.split_first()?;
        *rest = left;
        length |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            let (part, left) = rest.split_at_checked(length)?;
            *rest = left;
            return Some(part);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(entries: &Entries) -> usize {
        let wrapped = wrap(entries);
        assert_eq!(unwrap(&wrapped).as_ref(), Some(entries));
        wrapped.len()
    }

    #[test]
    fn a_state_reads_back_as_it_was_and_an_empty_one_too() {
        read_back(&Entries::new());
        let large = vec![0xff; (16 << 10) - 5];
        read_back(&Entries::from([("since".to_owned(), large)]));
        read_back(&Entries::from([(String::new(), Vec::new()), ("ä/b".to_owned(), vec![0, 10, 13])]));
    }

    #[test]
    fn the_worst_state_that_the_host_admits_fits_the_wire() {
        let short = (0..128_u8).map(|one| vec![one]);
        let pairs = (0..128_u8).flat_map(|one| (0..128_u8).map(move |other| vec![one, other]));
        let (mut entries, mut left) = (Entries::new(), 16 << 10);
        for key in std::iter::once(Vec::new()).chain(short).chain(pairs) {
            if left < key.len() {
                break;
            }
            left -= key.len();
            entries.insert(String::from_utf8(key).unwrap(), Vec::new());
        }
        assert_eq!(left, 0);
        assert!(
            read_back(&entries) + wherry_trust::sealing::left::OVERHEAD <= wherry_proto::MAX_STATE,
            "sealed as well"
        );
    }

    #[test]
    fn what_is_broken_or_of_another_form_is_not_guessed_at() {
        for bad in [&[][..], &[2], &[1, 1], &[1, 5, b'a'], &[1, 1, 0xff, 0], &[1, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(unwrap(bad), None, "{bad:?}");
        }
    }
}
