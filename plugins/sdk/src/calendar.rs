//! Dates and times in UTC, as systems write them, in seconds since 1970.

/// A date (year, month, day) and a time (hour, minute, second, which may be 60) in seconds since 1970; `None` if there
/// is no such moment. Days beyond the end of a short month count into the next one.
#[must_use]
pub fn seconds((year, month, day): (u64, u64, u64), (hour, minute, second): (u64, u64, u64)) -> Option<u64> {
    let is_date = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((days(year, month, day)? * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_and_what_is_none_is_refused() {
        assert_eq!(seconds((1970, 1, 1), (0, 0, 0)), Some(0));
        assert_eq!(seconds((2024, 2, 29), (12, 0, 0)), Some(1_709_208_000));
        for (date, time) in [((1969, 1, 1), (0, 0, 0)), ((2024, 13, 1), (0, 0, 0)), ((2024, 1, 0), (0, 0, 0))] {
            assert_eq!(seconds(date, time), None);
        }
        assert_eq!(seconds((2024, 1, 1), (24, 0, 0)), None);
    }
}
