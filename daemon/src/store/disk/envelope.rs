//! What surrounds every value on disk: `body | crc32 | format | magic`.
//!
//! The CRC covers the key too, so that a value that turns up under a wrong key is noticed. It
//! stands behind the body because appending needs no copy.

use crc32fast::Hasher;

const MAGIC: u8 = 0xB7;
/// The only layout so far.
const FORMAT: u8 = 1;
const TRAILER: usize = 6;

/// Turns a value into what is stored under `key`.
pub(super) fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let crc = checksum(key, &value);
    value.reserve_exact(TRAILER);
    value.extend_from_slice(&crc.to_le_bytes());
    value.extend_from_slice(&[FORMAT, MAGIC]);
    value
}

/// The value inside what was stored under `key`, or why it cannot be trusted.
pub(super) fn open<'a>(key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], &'static str> {
    let (body, trailer) = stored.split_last_chunk::<TRAILER>().ok_or("it is too short")?;
    let [c0, c1, c2, c3, format, magic] = *trailer;
    if magic != MAGIC {
        return Err("it does not end as it should");
    }
    if format != FORMAT {
        return Err("its format is unknown");
    }
    if u32::from_le_bytes([c0, c1, c2, c3]) != checksum(key, body) {
        return Err("its checksum differs");
    }
    Ok(body)
}

/// The checksum that stands in a stored value, whether or not it is right.
pub(super) fn checksum_in(stored: &[u8]) -> Option<u32> {
    let (_, [c0, c1, c2, c3, _, _]) = stored.split_last_chunk::<TRAILER>()?;
    Some(u32::from_le_bytes([*c0, *c1, *c2, *c3]))
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_lost_byte_is_noticed() {
        let sealed = seal(b"key", b"a value".to_vec());
        assert_eq!(open(b"key", &sealed), Ok(b"a value".as_slice()));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(b"key", &flipped).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open(b"key", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_value_under_a_wrong_key_is_noticed_even_if_the_bytes_line_up() {
        let sealed = seal(b"ab", b"c".to_vec());
        assert!(open(b"a", &sealed).is_err());
        assert!(open(b"a", &seal(b"ab", b"c".to_vec())).is_err());
    }
}
