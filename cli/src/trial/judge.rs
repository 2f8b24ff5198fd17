//! What of a replayed run is a fault.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wherry_trust::release::{ActivityKind, Described};

use super::case::Case;
use super::plan::Report;
use super::{CANARY, Finding, schema};

/// Records compared and shown of one case.
const SHOWN: usize = 3;

/// The findings of one case.
pub(super) fn replayed(case: &Case, descriptor: &Described, report: &Report) -> Vec<Finding> {
    if case.lines.is_none() {
        let fault = "nothing is recorded yet: write it, or record with --record URL".to_owned();
        return vec![Finding::new(&case.name, "recording", vec![fault])];
    }
    vec![
        Finding::new(&case.name, "recording", drift(report)),
        Finding::new(&case.name, "result", result(case, report)),
        Finding::new(&case.name, "schemas", schemas(case, descriptor, report)),
        Finding::new(&case.name, "codes", codes(report)),
        Finding::new(&case.name, "secrets", secrets(&case.content.secrets, report)),
    ]
}

fn drift(report: &Report) -> Vec<String> {
    let unexpected = report.unexpected.iter().map(|request| format!("unexpected request: {request}"));
    let unused = report.unused.iter().map(|request| format!("nobody asked for: {request}"));
    unexpected.chain(unused).collect()
}

/// What is wrong with the end of a run, whatever came out before.
pub(super) fn ending(case: &Case, report: &Report) -> Option<String> {
    match (&case.content.expect.error, &report.error) {
        (None, None) if report.ended == "complete" => None,
        (None, None) => Some(format!("it ended as {}", report.ended)),
        (None, Some(told)) => Some(format!("it failed: {told}")),
        (Some(_), None) => Some(format!("it should fail, and ended as {}", report.ended)),
        (Some(wanted), Some(told)) => {
            let differs = |wanted: &Option<String>, told: &str| wanted.as_deref().is_some_and(|wanted| wanted != told);
            let otherwise = differs(&wanted.kind, &told.kind) || differs(&wanted.code, &told.code);
            otherwise.then(|| format!("it should fail otherwise: {told}"))
        }
    }
}

fn result(case: &Case, report: &Report) -> Vec<String> {
    let expect = &case.content.expect;
    let mut faults: Vec<String> = ending(case, report).into_iter().collect();
    if let Some(records) = &expect.records {
        faults.extend(differing(records, &report.records));
    }
    if let Some(count) = expect.count.filter(|count| *count != report.records.len()) {
        faults.push(format!("{} records, not {count}", report.records.len()));
    }
    if expect.output.is_some() && expect.output != report.output {
        faults.push(format!("its output is {}", report.output.clone().unwrap_or_default()));
    }
    if let Some(acked) = expect.acked.filter(|acked| *acked != report.acked) {
        faults.push(format!("{} records are acknowledged, not {acked}", report.acked));
    }
    if let Some(wanted) = &expect.rejected {
        let same = wanted.len() == report.rejected.len()
            && wanted.iter().zip(&report.rejected).all(|(wanted, got)| {
                wanted.row == got.row && wanted.code.as_ref().is_none_or(|code| *code == got.told.code)
            });
        if !same {
            faults.push(format!("rejected are {}", json!(report.rejected)));
        }
    } else {
        faults.extend(
            report.rejected.iter().take(SHOWN).map(|one| format!("record {} is rejected: {}", one.row, one.told)),
        );
    }
    faults
}

/// Codes that nobody but the agent's owner would see.
fn codes(report: &Report) -> Vec<String> {
    let all = report.error.iter().chain(report.rejected.iter().map(|one| &one.told));
    let undeclared: BTreeSet<&str> = all.filter(|told| told.undeclared).map(|told| told.code.as_str()).collect();
    let told = |code| {
        format!(
            "the code {code} is not declared in `errors` of the descriptor: people would see connector.error_undeclared"
        )
    };
    undeclared.into_iter().map(told).collect()
}

fn differing(wanted: &[Value], got: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    if wanted.len() != got.len() {
        faults.push(format!("{} records, not {}", got.len(), wanted.len()));
    }
    let pairs = wanted.iter().zip(got).enumerate().filter(|(_, (wanted, got))| wanted != got);
    faults.extend(pairs.take(SHOWN).map(|(at, (wanted, got))| format!("record {at} is {got}, not {wanted}")));
    faults
}

fn schemas(case: &Case, descriptor: &Described, report: &Report) -> Vec<String> {
    let options = Value::Object(case.content.connection.options.clone());
    let mut faults = schema::faults("options", &descriptor.connection.config_schema, &options);
    if case.is_test() {
        return faults;
    }
    let Some(activity) = descriptor.activity(&case.content.activity) else {
        faults.push(format!("the connector offers no activity {}", case.content.activity));
        return faults;
    };
    match (activity.kind, &case.content.input) {
        (ActivityKind::Target, None) => faults.push(format!("{} is a target and needs `input`", activity.name)),
        (ActivityKind::Source, Some(_)) => faults.push(format!("{} is a source and takes no `input`", activity.name)),
        (ActivityKind::Target, Some(_)) | (ActivityKind::Source, None) => {}
    }
    let params = Value::Object(case.content.with.clone());
    faults.extend(schema::faults("with", &activity.config_schema, &params));
    let each = |what: &str, schema: &Option<_>, records: &[Value]| -> Vec<String> {
        let Some(schema) = schema else { return Vec::new() };
        let records = records.iter().enumerate();
        records.flat_map(|(at, record)| schema::faults(&format!("{what} {at}"), schema, record)).take(SHOWN).collect()
    };
    // A record that is rejected may be one that does not fit.
    if case.content.expect.rejected.is_none() {
        faults.extend(each("input", &activity.input_schema, case.content.input.as_deref().unwrap_or_default()));
    }
    faults.extend(each("record", &activity.output_schema, &report.records));
    faults
}

/// Everything a connector says, searched for what it may not say.
pub(super) fn secrets(more: &[String], report: &Report) -> Vec<String> {
    let said: [(&str, String); 7] = [
        ("a record", json!(report.records).to_string()),
        ("a log", json!(report.logs).to_string()),
        ("its error", json!(report.error).to_string()),
        ("a rejection", json!(report.rejected).to_string()),
        ("its output", json!([report.output, report.counters]).to_string()),
        ("its cursor", report.cursor.clone().unwrap_or_default()),
        ("its state", json!(report.state).to_string()),
    ];
    let needles = || more.iter().map(String::as_str).chain([CANARY]).filter(|needle| !needle.is_empty());
    let leaks = said.iter().filter(|(_, text)| needles().any(|needle| text.contains(needle)));
    leaks.map(|(place, _)| format!("a secret stands in {place}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(more: Value) -> Report {
        let mut whole = json!({
            "ended": "complete", "error": null, "records": [], "cursor": null, "acked": 0, "rejected": [], "logs": [],
            "counters": {}, "output": null, "state": [], "requests": 1, "unexpected": [], "unused": [], "recorded": [],
        });
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn case(expect: Value) -> Case {
        let content = json!({ "activity": "query", "expect": expect });
        Case {
            name: "a".to_owned(),
            file: "a.yaml".into(),
            recording: "a.http.json".into(),
            content: serde_json::from_value(content).unwrap(),
            lines: Some(Vec::new()),
        }
    }

    #[test]
    fn drift_is_a_request_that_is_not_recorded_or_an_answer_nobody_wants() {
        assert_eq!(drift(&report(json!({}))), [""; 0]);
        let drifted = drift(&report(json!({ "unexpected": ["GET /b"], "unused": ["GET /c"] })));
        assert_eq!(drifted, ["unexpected request: GET /b", "nobody asked for: GET /c"]);
    }

    #[test]
    fn what_comes_out_is_compared_with_what_is_expected() {
        let failed = json!({ "kind": "auth", "code": "http.unauthorized", "message": "m", "details": null });
        let failing = || report(json!({ "ended": "reported", "error": failed }));
        assert_eq!(result(&case(json!({ "error": { "kind": "auth" } })), &failing()), [""; 0]);
        assert_eq!(result(&case(json!({ "error": { "kind": "data" } })), &failing()).len(), 1);
        assert_eq!(result(&case(json!({})), &failing()), ["it failed: http.unauthorized (auth): m"]);
        let two = || report(json!({ "records": [{ "id": 1 }, { "id": 2 }] }));
        assert_eq!(result(&case(json!({ "records": [{ "id": 1 }, { "id": 2 }], "count": 2 })), &two()), [""; 0]);
        let other = result(&case(json!({ "records": [{ "id": 1 }, { "id": 3 }], "count": 3 })), &two());
        assert_eq!(other, [r#"record 1 is {"id":2}, not {"id":3}"#, "2 records, not 3"]);
        assert_eq!(result(&case(json!({ "error": {} })), &two()), ["it should fail, and ended as complete"]);
    }

    #[test]
    fn a_code_that_is_not_declared_is_a_fault_wherever_it_stands() {
        let told = |code: &str, undeclared: bool| json!({ "kind": "data", "code": code, "message": "m", "details": null, "undeclared": undeclared });
        assert_eq!(codes(&report(json!({ "error": told("http.refused", false) }))), [""; 0]);
        let mut rejected = told("crm.made_up", true);
        rejected["row"] = json!(3);
        let found = codes(&report(json!({ "error": told("crm.odd", true), "rejected": [rejected] })));
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("crm.made_up is not declared"), "{found:?}");
    }

    #[test]
    fn a_secret_is_found_wherever_a_connector_may_say_it() {
        assert_eq!(secrets(&[], &report(json!({}))), [""; 0]);
        let log = json!([{ "level": "info", "message": format!("token {CANARY}") }]);
        assert_eq!(secrets(&[], &report(json!({ "logs": log }))), ["a secret stands in a log"]);
        let own =
            secrets(&["tok-1".to_owned()], &report(json!({ "records": [{ "a": "x tok-1" }], "cursor": "tok-1" })));
        assert_eq!(own, ["a secret stands in a record", "a secret stands in its cursor"]);
    }
}
