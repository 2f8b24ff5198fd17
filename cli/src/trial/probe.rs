//! Runs against answers that no case asks for. Every connector meets them some day.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::case::{Case, Skip};
use super::judge::secrets;
use super::plan::{self, Line, Report, Run};
use super::{CANARY, Finding};

/// As often the same page is served before a connector counts as one that never ends.
const REPEATED: usize = 200;
/// After as many different pages it is asked to stop.
const ENDLESS: usize = 20;
/// Requests that may be on their way when it is asked to stop: pages are fetched ahead.
const ON_THE_WAY: usize = 4;
/// Shortest text that is taken for a token: shorter ones stand elsewhere in the page too.
const TOKEN: usize = 2;

/// A run with what it shows.
pub(super) struct Probe {
    case: String,
    shows: Shows,
    pub(super) run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// The same page again and again is the end.
    Repeats,
    /// Endless pages end when it is asked to stop.
    Stops,
    /// A status becomes an error of this kind.
    Kind(u16, &'static str),
    /// An answer that is not what it should be becomes an error.
    Nonsense,
}

impl Shows {
    const fn check(self) -> &'static str {
        match self {
            Self::Repeats => "repeated page",
            Self::Stops => "cancel",
            Self::Kind(401, _) => "status 401",
            Self::Kind(429, _) => "status 429",
            Self::Kind(..) => "status 503",
            Self::Nonsense => "no sense",
        }
    }
}

/// The probes of each activity that has a case with an answer.
pub(super) fn of(cases: &[Case]) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut seen = BTreeSet::new();
    for case in cases {
        let Some(page) = case.lines.iter().flatten().find(|line| (200..300).contains(&line.status)) else { continue };
        if case.content.expect.error.is_some() || !seen.insert(case.content.activity.as_str()) {
            continue;
        }
        let mut probe = |shows, run| probes.push(Probe { case: case.name.clone(), shows, run });
        if case.probes(Skip::Errors) {
            for (status, kind) in [(401, "auth"), (429, "throttled"), (503, "transient")] {
                probe(Shows::Kind(status, kind), plan::run(case, always(&refusal(status), None)));
            }
            let nonsense = Line { status: 200, body: format!("<p>{CANARY}</p>").into(), ..Line::default() };
            probe(Shows::Nonsense, plan::run(case, always(&nonsense, None)));
        }
        if !case.is_test() && case.content.input.is_none() {
            let token = token(case.lines.as_deref().unwrap_or_default());
            if case.probes(Skip::Paging) {
                let script = always(page, None);
                probe(Shows::Repeats, Run { most_requests: REPEATED, ..plan::run(case, script) });
            }
            if let Some(token) = token.filter(|_| case.probes(Skip::Cancel)) {
                let (cancel_after, most_requests) = (Some(ENDLESS), REPEATED);
                let script = always(page, Some(&token));
                probe(Shows::Stops, Run { cancel_after, most_requests, ..plan::run(case, script) });
            }
        }
    }
    probes
}

/// What the probes found.
pub(super) fn judged(probes: &[Probe], reports: &[Report]) -> Vec<Finding> {
    let judge = |(probe, report): (&Probe, &Report)| {
        let mut faults: Vec<String> = fault(probe.shows, report).into_iter().collect();
        if probe.shows != Shows::Nonsense {
            faults.extend(secrets(&[], report));
        }
        Finding::new(&probe.case, probe.shows.check(), faults)
    };
    probes.iter().zip(reports).map(judge).collect()
}

fn fault(shows: Shows, report: &Report) -> Option<String> {
    if report.ended == "broken" {
        let told = report.error.as_ref().map(ToString::to_string).unwrap_or_default();
        return Some(format!("it broke off: {told}"));
    }
    match shows {
        Shows::Repeats => (report.requests > REPEATED).then(|| {
            format!("it asked more than {REPEATED} times for the same page: a system that repeats a token keeps it busy for ever")
        }),
        Shows::Stops => (report.requests > ENDLESS + ON_THE_WAY)
            .then(|| format!("it was asked to stop after {ENDLESS} requests and made {}", report.requests)),
        Shows::Kind(status, wanted) => match &report.error {
            Some(told) if told.kind == wanted => None,
            Some(told) => Some(format!("{status} should be an error of the kind {wanted}: {told}")),
            None => Some(format!("{status} should be an error of the kind {wanted}, and it ended as {}", report.ended)),
        },
        Shows::Nonsense => report.error.as_ref().filter(|told| told.kind == "internal").map(|told| {
            format!("an answer that makes no sense is the system's fault, not a defect of the connector: {told}")
        }),
    }
}

fn always(answer: &Line, vary: Option<&str>) -> Value {
    json!({ "always": { "answer": answer.to_json(), "vary": vary } })
}

fn refusal(status: u16) -> Line {
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    Line { status, headers, body: json!({ "error": "no" }), ..Line::default() }
}

/// The text of the first answer that the second request sends back.
fn token(lines: &[Line]) -> Option<String> {
    let [first, second, ..] = lines else { return None };
    let (_, query) = second.path.split_once('?').unwrap_or_default();
    let mut sent: Vec<String> = url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into()).collect();
    texts(second.request.as_ref().unwrap_or(&Value::Null), &mut sent);
    let mut said = Vec::new();
    texts(&first.body, &mut said);
    said.extend(first.headers.values().cloned());
    let fits = |text: &&String| {
        text.len() >= TOKEN
            && !first.path.contains(text.as_str())
            && (sent.contains(text) || text.ends_with(&second.path))
    };
    said.iter().find(fits).cloned()
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, body: Value) -> Line {
        Line { method: "GET".into(), path: path.into(), status: 200, body, ..Line::default() }
    }

    #[test]
    fn the_token_of_a_page_is_what_the_next_request_sends_back() {
        let first = line("/a?limit=2", json!({ "items": [{ "id": "x9" }], "next": "tok 1" }));
        assert_eq!(token(&[first.clone(), line("/a?after=tok+1&limit=2", json!({}))]).as_deref(), Some("tok 1"));
        assert_eq!(token(&[first.clone(), line("/a?limit=2&page=2", json!({}))]), None);
        assert_eq!(token(&[first]), None);
        let linked = line("/a", json!({ "links": { "next": "https://recorded.example/a?page=2" } }));
        let told = token(&[linked, line("/a?page=2", json!({}))]);
        assert_eq!(told.as_deref(), Some("https://recorded.example/a?page=2"));
    }
}
