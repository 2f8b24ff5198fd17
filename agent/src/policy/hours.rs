//! When work may begin: parts of days by the clock on the wall in the owner's zone, daylight saving time included.

use std::time::Duration;

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use super::raw::{RawDay, RawHours};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// How far ahead it is looked for the next hours, in minutes: nobody is asked to wait longer for another try.
const AHEAD: u64 = 60;
const MINUTE_MS: u64 = 60_000;

/// Hours in which work may begin.
#[derive(Clone, Debug)]
pub(super) struct Hours {
    zone: TimeZone,
    windows: Vec<Window>,
}

/// A part of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes since midnight.
    from: u16,
    /// The same; up to and not less than `from` for the same day, less for the next one.
    to: u16,
}

/// What is wrong with hours as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidHours {
    /// Not a time of day.
    #[error("is not a time of day such as 08:00")]
    Time,
    /// Begin and end are one.
    #[error("ends when it begins: write 00:00 to 24:00 for a whole day")]
    Empty,
    /// No day is named.
    #[error("names no day: leave days out for every day")]
    NoDay,
    /// Not a zone.
    #[error("is not a time zone such as Europe/Berlin")]
    Zone,
}

/// Reads a zone by its name in the IANA time zone database, of which this program has a copy.
pub(super) fn zone(name: &str) -> Result<TimeZone, InvalidHours> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| InvalidHours::Zone)
}

impl Window {
    /// # Errors
    /// With the key that is wrong, and how.
    pub(super) fn parse(raw: &RawHours) -> Result<Self, (&'static str, InvalidHours)> {
        let from = minutes(&raw.from).filter(|from| *from < DAY).ok_or(("from", InvalidHours::Time))?;
        let to = minutes(&raw.to).ok_or(("to", InvalidHours::Time))?;
        if from == to {
            return Err(("to", InvalidHours::Empty));
        }
        let days = raw.days.as_ref().map_or(0x7f, |days| days.iter().fold(0, |bits, day| bits | bit(*day)));
        if days == 0 {
            return Err(("days", InvalidHours::NoDay));
        }
        Ok(Self { days, from, to })
    }

    fn covers(&self, weekday: u8, minute: u16) -> bool {
        let on = |weekday: u8| self.days & (1 << (weekday % 7)) != 0;
        if self.from < self.to {
            return on(weekday) && (self.from..self.to).contains(&minute);
        }
        (on(weekday) && minute >= self.from) || (on(weekday + 6) && minute < self.to)
    }
}

impl Hours {
    pub(super) const fn new(zone: TimeZone, windows: Vec<Window>) -> Self {
        Self { zone, windows }
    }

    /// Whether work may begin at that time, in milliseconds since the Unix epoch.
    pub(super) fn are_open(&self, wall_ms: u64) -> bool {
        // A clock that far off says nothing: then nothing begins.
        let at = i64::try_from(wall_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        at.is_some_and(|at| {
            let here = self.zone.to_datetime(at);
            let minute = u16::try_from(here.hour()).unwrap_or(0) * 60 + u16::try_from(here.minute()).unwrap_or(0);
            let weekday = u8::try_from(here.weekday().to_monday_zero_offset()).unwrap_or(0);
            self.windows.iter().any(|window| window.covers(weekday, minute))
        })
    }

    /// How long to wait before another try; an hour if they begin later than that.
    pub(super) fn wait(&self, wall_ms: u64) -> Duration {
        let next = MINUTE_MS - wall_ms % MINUTE_MS;
        let mut waits = (0..AHEAD).map(|minute| next + minute * MINUTE_MS);
        let wait = waits.find(|wait| self.are_open(wall_ms.saturating_add(*wait)));
        Duration::from_millis(wait.unwrap_or(AHEAD * MINUTE_MS).min(AHEAD * MINUTE_MS))
    }
}

const fn bit(day: RawDay) -> u8 {
    match day {
        RawDay::Mon => 1,
        RawDay::Tue => 1 << 1,
        RawDay::Wed => 1 << 2,
        RawDay::Thu => 1 << 3,
        RawDay::Fri => 1 << 4,
        RawDay::Sat => 1 << 5,
        RawDay::Sun => 1 << 6,
    }
}

/// Minutes since midnight; `24:00` is the end of the day.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let read = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| plain)
    };
    let (hours, minutes) = (read(hours)?, read(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone_name: &str, windows: &[(Option<&[RawDay]>, &str, &str)]) -> Hours {
        let window = |(days, from, to): &(Option<&[RawDay]>, &str, &str)| {
            let raw = RawHours { days: days.map(<[_]>::to_vec), from: (*from).to_owned(), to: (*to).to_owned() };
            Window::parse(&raw).unwrap()
        };
        Hours::new(zone(zone_name).unwrap(), windows.iter().map(window).collect())
    }

    fn at(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    const WORKDAYS: &[RawDay] = &[RawDay::Mon, RawDay::Tue, RawDay::Wed, RawDay::Thu, RawDay::Fri];

    #[test]
    fn hours_are_those_of_the_zone_in_winter_and_in_summer() {
        let hours = hours("Europe/Berlin", &[(Some(WORKDAYS), "08:00", "18:00")]);
        for (time, open) in [
            // Friday, UTC+1.
            ("2026-01-16T06:59:59Z", false),
            ("2026-01-16T07:00:00Z", true),
            ("2026-01-16T16:59:59Z", true),
            ("2026-01-16T17:00:00Z", false),
            // Saturday.
            ("2026-01-17T12:00:00Z", false),
            // Friday, UTC+2.
            ("2026-07-17T05:59:59Z", false),
            ("2026-07-17T06:00:00Z", true),
            ("2026-07-17T16:00:00Z", false),
        ] {
            assert_eq!(hours.are_open(at(time)), open, "{time}");
        }
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let hours = hours("UTC", &[(Some(&[RawDay::Fri]), "22:00", "06:00")]);
        for (time, open) in [
            ("2026-01-16T21:59:00Z", false),
            ("2026-01-16T22:00:00Z", true),
            ("2026-01-17T05:59:00Z", true),
            ("2026-01-17T06:00:00Z", false),
            ("2026-01-17T22:00:00Z", false),
            // Friday morning belongs to Thursday.
            ("2026-01-16T05:00:00Z", false),
        ] {
            assert_eq!(hours.are_open(at(time)), open, "{time}");
        }
        let sunday = self::hours("UTC", &[(Some(&[RawDay::Sun]), "22:00", "06:00")]);
        assert!(sunday.are_open(at("2026-01-19T05:00:00Z")), "Monday morning belongs to Sunday");
    }

    #[test]
    fn a_whole_day_and_several_parts_of_days() {
        let hours = hours("UTC", &[(Some(&[RawDay::Sat]), "00:00", "24:00"), (None, "12:00", "13:00")]);
        assert!(hours.are_open(at("2026-01-17T00:00:00Z")) && hours.are_open(at("2026-01-17T23:59:59Z")));
        assert!(!hours.are_open(at("2026-01-18T00:00:00Z")) && hours.are_open(at("2026-01-18T12:30:00Z")));
    }

    #[test]
    fn the_wait_ends_with_the_next_hours_and_lasts_an_hour_at_most() {
        let hours = hours("Europe/Berlin", &[(None, "08:00", "18:00")]);
        assert_eq!(hours.wait(at("2026-01-16T06:30:30Z")), Duration::from_secs(29 * 60 + 30));
        assert_eq!(hours.wait(at("2026-01-16T06:00:00Z")), Duration::from_secs(3_600));
        assert_eq!(hours.wait(at("2026-01-16T20:00:00Z")), Duration::from_secs(3_600));
    }

    #[test]
    fn a_night_with_a_change_of_the_clock_is_counted_by_the_clock_on_the_wall() {
        // On the 29th of March 2026 Berlin's clocks go from 02:00 to 03:00.
        let hours = hours("Europe/Berlin", &[(None, "03:00", "04:00")]);
        assert!(!hours.are_open(at("2026-03-29T00:59:59Z")));
        assert!(hours.are_open(at("2026-03-29T01:00:00Z")) && !hours.are_open(at("2026-03-29T02:00:00Z")));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let parse = |from: &str, to: &str, days: Option<Vec<RawDay>>| {
            Window::parse(&RawHours { days, from: from.to_owned(), to: to.to_owned() })
        };
        for bad in ["8:00", "08", "25:00", "08:60", "24:01", "+8:00", "", "08:00:00"] {
            assert_eq!(parse(bad, "18:00", None), Err(("from", InvalidHours::Time)), "{bad}");
            assert_eq!(parse("08:00", bad, None), Err(("to", InvalidHours::Time)), "{bad}");
        }
        assert_eq!(parse("24:00", "08:00", None), Err(("from", InvalidHours::Time)));
        assert_eq!(parse("08:00", "08:00", None), Err(("to", InvalidHours::Empty)));
        assert_eq!(parse("08:00", "09:00", Some(vec![])), Err(("days", InvalidHours::NoDay)));
        assert!(zone("Europe/Berlin").is_ok() && zone("UTC").is_ok());
        assert_eq!(zone("Middle/Earth").err(), Some(InvalidHours::Zone));
    }
}
