//! What queries compare with.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::field::Field;
use crate::jsm::catalogue::DESKS;
use crate::jsm::date::{Millis, now};

/// A value in a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Text(String),
    Moment(Millis),
    CurrentUser,
    Empty,
}

impl Operand {
    /// A word without quotes.
    pub(super) fn word(field: &Field, word: &str) -> Result<Self, String> {
        if word.eq_ignore_ascii_case("empty") || word.eq_ignore_ascii_case("null") {
            return Ok(Self::Empty);
        }
        Self::text(field, word)
    }

    pub(super) fn text(field: &Field, text: &str) -> Result<Self, String> {
        if field.is_date() {
            return moment(text).map(Self::Moment).ok_or_else(|| {
                format!(
                    "Date value '{text}' for field '{field:?}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', \
                     'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
                )
            });
        }
        let known = |desk: &super::super::catalogue::Desk| {
            [desk.key, desk.project, desk.name].iter().any(|name| name.eq_ignore_ascii_case(text))
        };
        if *field == Field::Project && !DESKS.iter().any(known) {
            return Err(format!("The value '{text}' does not exist for the field 'project'."));
        }
        Ok(Self::Text(text.to_owned()))
    }

    pub(super) fn function(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let day = 86_400_000;
        let start = now() / day * day;
        let shift = argument.map_or(Some(0), period).ok_or_else(|| format!("'{argument:?}' is no period"))?;
        match name.to_lowercase().as_str() {
            "currentuser" => Ok(Self::CurrentUser),
            "now" => Ok(Self::Moment(now() + shift)),
            "startofday" => Ok(Self::Moment(start + shift)),
            "endofday" => Ok(Self::Moment(start + day - 1 + shift)),
            _ => Err(format!("Unable to find JQL function '{name}'.")),
        }
    }
}

/// A date with or without a time, or a period from now.
fn moment(text: &str) -> Option<Millis> {
    if let Some(period) = period(text) {
        return Some(now() + period);
    }
    let text = text.replace('/', "-");
    let at = match text.split_once(' ') {
        Some((date, time)) => format!("{date}T{time}:00").parse::<DateTime>().ok()?,
        None => text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
    };
    Some(TimeZone::UTC.to_timestamp(at).ok()?.as_millisecond())
}

/// Such as `-5d` or `4w 2d`.
fn period(text: &str) -> Option<Millis> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut sum: Millis = 0;
    for part in text.split_whitespace() {
        let unit = part.chars().next_back()?;
        let number: Millis = part.strip_suffix(unit)?.parse().ok()?;
        let minutes = match unit {
            'm' => 1,
            'h' => 60,
            'd' => 1_440,
            'w' => 10_080,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(minutes * 60_000)?)?;
    }
    (!text.is_empty()).then_some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_spelling_and_nothing_else_is() {
        let at = 1_736_154_600_000;
        assert_eq!(moment("2025-01-06 09:10"), Some(at));
        assert_eq!(moment("2025/01/06 09:10"), Some(at));
        assert_eq!(moment("2025-01-06"), Some(at - 33_000_000));
        assert_eq!(period("-1w 2d"), Some(-777_600_000));
        for wrong in ["2025-13-01", "yesterday", "5x", "-"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }
}
