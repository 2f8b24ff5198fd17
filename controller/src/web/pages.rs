//! Lists in parts, and times as people and programs read them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

const DEFAULT: usize = 50;
const MOST: usize = 200;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// Items in a part, 1 to 200.
    limit: Option<usize>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
}

/// One part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// Give this as `cursor` to get the next part; null at the end.
    pub(super) next_cursor: Option<String>,
}

impl<T> List<T> {
    pub(super) const fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

/// Limit and cursor, checked.
pub(super) fn read<C: std::str::FromStr>(
    limit: Option<usize>,
    cursor: Option<&str>,
) -> Result<(usize, Option<C>), Problem> {
    let limit = limit.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid("request.query_invalid", format!("limit is 1 to {MOST}")));
    }
    let invalid =
        |_| Problem::invalid("request.cursor_invalid", "the cursor is not one of this list: begin without one");
    Ok((limit, cursor.map(|text| text.parse().map_err(invalid)).transpose()?))
}

impl Paging {
    pub(super) fn read<C: std::str::FromStr>(&self) -> Result<(usize, Option<C>), Problem> {
        read(self.limit, self.cursor.as_deref())
    }
}

/// A moment in RFC 3339, UTC, with milliseconds.
///
/// Source of the calendar arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let (days, in_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds, millis) =
        (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1_000 % 60, in_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn moments_are_written_as_other_programs_write_them() {
        // date -u -d @951782399.999 +%FT%T.%3NZ, and so on
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(4_102_444_800_001), "2100-01-01T00:00:00.001Z");
    }
}
