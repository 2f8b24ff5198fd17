//! Durations as people write them in project files: `500ms`, `30s`, `5m`, `2h`, `1d`.

use alloc::string::{String, ToString};
use core::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a whole number and a unit, one of ms, s, m, h, d: for example 30s or 5m")]
pub struct InvalidDuration;

/// Reads a duration such as `30s`.
///
/// # Errors
/// If it is not a whole number followed by `ms`, `s`, `m`, `h` or `d`.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidDuration)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(InvalidDuration),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or(InvalidDuration)
}

/// Writes a duration in the largest unit that divides it.
pub fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size)).unwrap_or((1, "ms"));
    let mut text = (millis / size).to_string();
    text.push_str(unit);
    text
}

/// For `#[serde(with = "duration::text")]`.
pub mod text {
    use super::{Duration, String, format, parse};
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*duration))
    }

    /// Reads the duration from text.
    ///
    /// # Errors
    /// If the text is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_what_they_wrote() {
        for text in ["0ms", "1ms", "1500ms", "30s", "5m", "2h", "1d"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "5", "m", "-1s", "1.5s", "5 m", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse(text), Err(InvalidDuration), "{text}");
        }
    }
}
