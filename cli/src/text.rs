//! Texts that come from elsewhere, made safe for a terminal, and figures made readable.

use jiff::Timestamp;

/// The text without control characters: a log line may come from connector code, and must not drive the terminal.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: &char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().all(|c| harmless(&c)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmless(&c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out
}

/// A count with thousands separated: `12,345`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in bytes: `1.4 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} B"),
    }
}

/// A time span: `350 ms`, `12.3 s`, `4m 05s`, `2h 07m`.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1_000 / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// How long before `now` a time was: `3m ago`. What is no time stays as it is.
pub(crate) fn ago(text: &str, now: Timestamp) -> String {
    let Ok(then) = text.parse::<Timestamp>() else { return plain(text) };
    let seconds = now.as_second() - then.as_second();
    let (number, unit) = match seconds.unsigned_abs() {
        0..60 => (seconds.unsigned_abs(), "s"),
        short @ 60..3_600 => (short / 60, "m"),
        middle @ 3_600..86_400 => (middle / 3_600, "h"),
        long => (long / 86_400, "d"),
    };
    if seconds < 0 { format!("in {number}{unit}") } else { format!("{number}{unit} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_cannot_drive_the_terminal() {
        assert_eq!(plain("ok – grün"), "ok – grün");
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!([grouped(7), grouped(1_234), grouped(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!([bytes(12), bytes(1_536), bytes(5 << 20)], ["12 B", "1.5 KiB", "5.0 MiB"]);
        assert_eq!([span(350), span(12_340), span(245_000), span(7_620_000)], ["350 ms", "12.3 s", "4m 05s", "2h 07m"]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(ago("2026-01-01T23:57:00Z", now), "3m ago");
        assert_eq!(ago("2026-01-02T02:00:00Z", now), "in 2h");
        assert_eq!(ago("never", now), "never");
    }
}
