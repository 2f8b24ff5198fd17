//! The `Retry-After` header (RFC 9110, 10.2.3): seconds, or a date.

use std::time::Duration;

use crate::calendar;

/// Longest wait that is passed on; a system that says more is not taken at its word.
const LONGEST: Duration = Duration::from_hours(24);

/// The time to wait, at most a day. `now` is in seconds since 1970.
pub fn parse(value: &str, now: u64) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => date(value.trim())?.saturating_sub(now),
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970. The two obsolete forms are not read.
fn date(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let month = 1 + MONTHS.iter().position(|name| Some(*name) == rest.split(' ').nth(1))?;
    let year: u64 = parts.nth(1)?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    if parts.next() != Some("GMT") {
        return None;
    }
    calendar::seconds((year, month as u64, day), (hour, minute, second))
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(parse("120", 0), Some(Duration::from_secs(120)));
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", 900_000_000), Some(Duration::ZERO), "a time that has passed");
    }

    #[test]
    fn nonsense_is_ignored_and_eternity_is_a_day() {
        assert_eq!(parse("99999999999999999999", 0), None);
        assert_eq!(parse("18446744073709551615", 0), Some(LONGEST));
        for bad in
            ["", "-1", "soon", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT"]
        {
            assert_eq!(parse(bad, 0), None, "{bad:?}");
        }
    }
}
