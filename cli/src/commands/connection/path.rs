//! The way that a test took, a line per step.

use serde_json::{Value, json};

use crate::table::{Column, at, text};

/// How [`lines`] are shown.
pub(super) const COLUMNS: &[Column] = &[text("STEP", "step"), text("FOUND", "found"), text("TOOK", "took")];

/// The answer's path as lines; none if nothing was dialled.
pub(super) fn lines(tested: &Value) -> Vec<Value> {
    let Some(path) = tested.get("path").filter(|path| path.is_object()) else { return Vec::new() };
    let mut lines = vec![json!({ "step": "way", "found": way(path) })];
    for step in path.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let phase = word(step, "phase");
        lines.push(json!({ "step": phase.replace('_', " "), "found": found(path, phase), "took": took(step) }));
    }
    lines
}

fn way(path: &Value) -> String {
    let scheme = word(path, "proxy.scheme");
    let address = word(path, "proxy.address");
    let proxy = match word(path, "proxy.name") {
        "" => format!("the default proxy, {scheme}://{address}"),
        name => format!("the proxy {name}, {scheme}://{address}"),
    };
    match word(path, "way") {
        "proxy" => format!("through {proxy}"),
        "bypass" => format!("direct, by the exceptions of {proxy}"),
        other => other.to_owned(),
    }
}

fn found(path: &Value, phase: &str) -> String {
    let ended = word(path, "obstacle.phase") == phase;
    let seen = match phase {
        "connect" => word(path, "address").to_owned(),
        "tls" => session(path),
        _ => String::new(),
    };
    match (ended, seen.as_str()) {
        (true, "") => format!("failed: {}", word(path, "obstacle.cause")),
        (true, _) => format!("failed: {} ({seen})", word(path, "obstacle.cause")),
        (false, "") => "ok".to_owned(),
        (false, _) => seen,
    }
}

fn session(path: &Value) -> String {
    let version = word(path, "tls.version");
    let Some(certificate) = at(path, "tls.certificate").filter(|it| it.is_object()) else { return version.to_owned() };
    let (subject, issuer) = (word(certificate, "subject"), word(certificate, "issuer"));
    let end = word(certificate, "not_after").split('T').next().unwrap_or_default();
    let left = certificate.get("days_left").and_then(Value::as_i64).unwrap_or_default();
    let until = if left < 0 { "ended" } else { "ends" };
    let described = format!("certificate of {subject}, issued by {issuer}, {until} {end}, days left: {left}");
    if version.is_empty() { described } else { format!("{version}, {described}") }
}

fn took(step: &Value) -> String {
    let micros = step.get("duration_us").and_then(Value::as_u64).unwrap_or_default();
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}

fn word<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &Value) -> Vec<String> {
        let lines = lines(&json!({ "path": path }));
        lines
            .iter()
            .map(|line| format!("{} | {} | {}", word(line, "step"), word(line, "found"), word(line, "took")))
            .collect()
    }

    #[test]
    fn every_step_has_a_line_with_what_was_found_there() {
        let certificate =
            json!({ "subject": "CN=desk", "issuer": "CN=corp", "not_after": "2027-01-03T00:00:00Z", "days_left": 42 });
        let path = json!({
            "way": "proxy",
            "proxy": { "name": "dmz", "scheme": "socks5h", "address": "proxy:1080" },
            "address": "10.0.0.7:1080",
            "tls": { "version": "TLS 1.3", "certificate": certificate },
            "steps": [
                { "phase": "connect", "duration_us": 400 },
                { "phase": "proxy", "duration_us": 12_345 },
                { "phase": "tls", "duration_us": 2_000 },
                { "phase": "first_byte", "duration_us": 80_000 },
            ],
        });
        assert_eq!(
            told(&path),
            [
                "way | through the proxy dmz, socks5h://proxy:1080 | ",
                "connect | 10.0.0.7:1080 | 0.4 ms",
                "proxy | ok | 12.3 ms",
                "tls | TLS 1.3, certificate of CN=desk, issued by CN=corp, ends 2027-01-03, days left: 42 | 2.0 ms",
                "first byte | ok | 80.0 ms",
            ]
        );
    }

    #[test]
    fn the_step_that_failed_says_why() {
        let path = json!({
            "way": "bypass",
            "proxy": { "scheme": "http", "address": "proxy:3128" },
            "steps": [{ "phase": "resolve", "duration_us": 0 }],
            "obstacle": { "phase": "resolve", "code": "egress.dns_failed", "cause": "no such name" },
        });
        let lines = told(&path);
        assert_eq!(lines[0], "way | direct, by the exceptions of the default proxy, http://proxy:3128 | ");
        assert_eq!(lines[1], "resolve | failed: no such name | 0.0 ms");
        assert!(super::lines(&json!({ "result": "failed" })).is_empty());
    }
}
