//! Which attempts try the new version.

use alloc::{format, string::String};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::RunId;

/// How many attempts of a hundred try the new version, 1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

/// A text that is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is 1% to 99%, such as 10%")]
pub struct InvalidShare;

impl Share {
    /// So many of a hundred.
    ///
    /// # Errors
    /// If it is none of 1 to 99.
    pub const fn of_hundred(percent: u8) -> Result<Self, InvalidShare> {
        match percent {
            1..=99 => Ok(Self(percent)),
            _ => Err(InvalidShare),
        }
    }

    /// Whether this attempt is one of them. It depends on nothing else, so that whoever asks again is answered the same,
    /// and the next attempt of a run that failed may try the other version.
    pub fn takes(self, run: RunId, attempt: u32) -> bool {
        let id = run.as_u128();
        let (high, low) = ((id >> 64) as u64, id as u64);
        let mixed = mix(low ^ mix(high ^ u64::from(attempt)));
        mixed % 100 < u64::from(self.0)
    }
}

/// Spreads neighbouring numbers over all others: the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable
/// Pseudorandom Number Generators, 2014).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%", self.0)
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let number = text.trim().trim_end_matches('%').trim_end();
        number.parse().map_err(|_| InvalidShare).and_then(Self::of_hundred)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{self}"))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_met_within_a_few_of_a_thousand_attempts() {
        for percent in [1u8, 10, 50, 90] {
            let share = Share::of_hundred(percent).unwrap();
            let taken = (0..10_000u128).filter(|run| share.takes(RunId::from_u128(run << 16), 1)).count();
            let wanted = usize::from(percent) * 100;
            assert!(taken.abs_diff(wanted) < 200, "{taken} of 10,000 at {share}");
        }
    }

    #[test]
    fn the_attempts_of_one_run_are_drawn_anew_each_time() {
        let share = Share::of_hundred(50).unwrap();
        let run = RunId::from_u128(7);
        let drawn = (1..65).filter(|attempt| share.takes(run, *attempt)).count();
        assert!((16..48).contains(&drawn), "{drawn} of 64");
        assert_eq!(share.takes(run, 3), share.takes(run, 3));
    }

    #[test]
    fn shares_are_read_as_they_are_written() {
        assert_eq!("10%".parse::<Share>().map(|share| format!("{share}")), Ok(String::from("10%")));
        assert_eq!("10".parse::<Share>(), Share::of_hundred(10));
        for text in ["0%", "100%", "", "%", "-1%", "ten"] {
            assert_eq!(text.parse::<Share>(), Err(InvalidShare), "{text}");
        }
    }
}
