//! Moments as both interfaces write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};

/// Milliseconds since 1970.
pub(crate) type Millis = i64;

/// Now.
pub(crate) fn now() -> Millis {
    Timestamp::now().as_millisecond()
}

fn civil(at: Millis) -> DateTime {
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(at).unwrap_or_default())
}

/// As in issue fields: an offset without a colon, which most parsers of RFC 3339 refuse.
pub(crate) fn platform(at: Millis) -> String {
    let t = civil(at);
    let (date, time) = (t.date(), t.time());
    let millis = time.subsec_nanosecond() / 1_000_000;
    format!("{date}T{:02}:{:02}:{:02}.{millis:03}+0000", time.hour(), time.minute(), time.second())
}

/// The four spellings of the service desk.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeskDate {
    iso8601: String,
    jira: String,
    friendly: String,
    epoch_millis: Millis,
}

impl From<Millis> for DeskDate {
    fn from(at: Millis) -> Self {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (t, jira) = (civil(at), platform(at));
        let month = usize::try_from(t.month() - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"");
        let (half, hour) = (if t.hour() < 12 { "AM" } else { "PM" }, (t.hour() + 11) % 12 + 1);
        let friendly = format!("{:02}/{month}/{:02} {hour}:{:02} {half}", t.day(), t.year() % 100, t.minute());
        let iso8601 = format!("{}T{:02}:{:02}:{:02}+0000", t.date(), t.hour(), t.minute(), t.second());
        Self { iso8601, jira, friendly, epoch_millis: at }
    }
}

/// A span as the service desk writes it.
pub(crate) fn span(millis: Millis) -> Value {
    let minutes = millis / 60_000;
    let sign = if minutes < 0 { "-" } else { "" };
    json!({ "millis": millis, "friendly": format!("{sign}{}h {}m", minutes.abs() / 60, minutes.abs() % 60) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_spellings_of_the_real_interfaces() {
        let at = 1_736_154_605_007;
        assert_eq!(platform(at), "2025-01-06T09:10:05.007+0000");
        let date = DeskDate::from(at);
        assert_eq!((date.iso8601.as_str(), date.friendly.as_str()), ("2025-01-06T09:10:05+0000", "06/Jan/25 9:10 AM"));
        assert_eq!(span(-5_400_000)["friendly"], "-1h 30m");
    }
}
