//! Transformations and conditions in the real box: what comes out, in which batches, and what is said of faults.

use std::time::Duration;

use serde_json::json;
use wherry_host::{Batch, Part, Place, RecordFault, TransformFault, TransformSettings, Transformed};

use crate::support::transforms::{batch, programs, run, transformer, transformer_with};

#[tokio::test]
async fn one_record_becomes_none_one_or_several() {
    let program = "if .drop then empty elif .list then .list[] else { n: (.n + 1) } end";
    let records = batch(&[r#"{"n":1}"#, r#"{"drop":true}"#, r#"{"list":["a",{"b":null}]}"#]);
    let ran = run(&transformer(), programs(None, Some(program)), &[records]).await;
    assert_eq!((ran.code().as_str(), ran.values()), ("", vec![json!({"n": 2}), json!("a"), json!({"b": null})]));
}

#[tokio::test]
async fn a_condition_leaves_records_out_and_touches_none() {
    let odd = r#"{ "price" : 1.10, "id": 12345678901234567890123, "keep": 1 }"#;
    let records = batch(&[odd, r#"{"keep":null}"#, r#"{"keep":false}"#, r#"{"keep":[]}"#]);
    let ran = run(&transformer(), programs(Some(".keep"), None), &[records]).await;
    assert_eq!(ran.lines(), [odd, r#"{"keep":[]}"#], "byte for byte");
    assert_eq!(ran.out.last(), Some(&Transformed::Used { records: 4 }));
}

#[tokio::test]
async fn the_condition_comes_before_the_transformation() {
    let what = programs(Some(".n > 1"), Some("{ m: .n }"));
    let ran = run(&transformer(), what, &[batch(&[r#"{"n":1}"#, r#"{"n":2}"#])]).await;
    assert_eq!(ran.values(), [json!({"m": 2})]);
    let none = run(&transformer(), programs(Some("empty"), None), &[batch(&["1"])]).await;
    assert_eq!((none.lines().len(), none.out), (0, vec![Transformed::Used { records: 1 }]));
}

#[tokio::test]
async fn variables_run_and_agent_are_known_by_name() {
    let ran = run(&transformer(), programs(None, Some("[$vars.desk, $run.id, $agent.name]")), &[batch(&["0"])]).await;
    assert_eq!(ran.values(), [json!([7, "run_1", "eu-1"])]);
}

#[tokio::test]
async fn results_travel_in_batches_within_the_contract_and_the_end_of_each_input_is_told() {
    let big = "x".repeat(300_000);
    let inputs = [batch(&["2500"]), batch(&["-1", "-5"]), batch(&["0"])];
    let program = format!("if . < 0 then range(-.) | \"{}\" else range(.) end", "y".repeat(10));
    let program = program.replace("\"yyyyyyyyyy\"", "$vars.big");
    let mut what = programs(None, Some(&program));
    what.variables = json!({ "vars": { "big": big } }).to_string();
    let ran = run(&transformer(), what, &inputs).await;
    assert_eq!(ran.code(), "");
    let told: Vec<(u32, bool)> = ran
        .out
        .iter()
        .map(|out| match out {
            Transformed::Batch(Batch { count, data }) => (*count, data.len() <= 1 << 20),
            Transformed::Used { records } => (*records, true),
        })
        .collect();
    let whole = |count| (count, true);
    assert_eq!(told, [1_000, 1_000, 500, 1, 3, 3, 2, 1].map(whole), "six large results come in batches of three");
}

#[tokio::test]
async fn numbers_and_texts_come_out_as_they_went_in() {
    let record = r#"{"id":9007199254740993,"price":1.10,"at":1893456000000,"text":"ä\u0000\"\\\n𝒜"}"#;
    let ran = run(&transformer(), programs(None, Some("{ id, price, at, text }")), &[batch(&[record])]).await;
    assert_eq!(ran.lines(), [record]);
    let sums = run(
        &transformer(),
        programs(None, Some("[.a + 1, .a * 1000, (.t | todate)]")),
        &[batch(&[r#"{"a":3000000000,"t":4102444800}"#])],
    )
    .await;
    assert_eq!(sums.values(), [json!([3_000_000_001_u64, 3_000_000_000_000_u64, "2100-01-01T00:00:00Z"])]);
}

#[tokio::test]
async fn a_record_that_fails_is_named_after_the_results_of_those_before() {
    let inputs = [batch(&["1", "2"]), batch(&["3", r#""Miller""#, "5"])];
    let ran = run(&transformer(), programs(None, Some(".\n+ 1")), &inputs).await;
    assert_eq!(ran.values(), [json!(2), json!(3), json!(4)]);
    let TransformFault::Record { part, fault, record, at, message } = ran.fault() else { panic!("{:?}", ran.ended) };
    assert_eq!((*part, *fault, *record), (Part::Transform, RecordFault::Program, 4));
    assert_eq!(*at, Some(Place { line: 1, column: 1 }));
    assert!(message.contains("Miller"), "{message}");
    assert!(!ran.fault().failure().message.contains("Miller"));
    assert_eq!(ran.out.iter().filter(|out| matches!(out, Transformed::Used { .. })).count(), 1, "only the first batch");
}

#[tokio::test]
async fn the_part_of_a_program_that_failed_is_named_and_a_search_without_end_is_given_up() {
    let transformer =
        transformer_with(TransformSettings { cpu_time: Duration::from_millis(500), ..Default::default() });
    for (program, line, column) in [
        ("{ id: .n,\n  name: (.name | tonumber) }", 2, 18),
        (".rows\n| map(.price\n  | . * 2 | tonumber)\n| .[0].x", 4, 7),
        // To try what `f` is called with takes for ever.
        ("def f(g): (if false then g else . end) | .x.y.z; .n | f(last(repeat(1)))", 1, 55),
    ] {
        let record = batch(&[r#"{"n":1,"name":"Miller","rows":[{"price":1}]}"#]);
        let ran = run(&transformer, programs(None, Some(program)), &[record]).await;
        let TransformFault::Record { at, message, .. } = ran.fault() else { panic!("{:?}", ran.ended) };
        assert_eq!(*at, Some(Place { line, column }), "{program}: {message}");
        assert!(
            ran.fault().failure().message.starts_with(&format!("transform, line {line}, column {column}: record 1"))
        );
    }
}

#[tokio::test]
async fn a_condition_that_fails_says_so() {
    let ran = run(&transformer(), programs(Some(".a > error(\"x\")"), Some(".")), &[batch(&["{}"])]).await;
    assert_eq!(ran.code(), "transform.failed");
    assert!(ran.fault().to_string().starts_with("when"), "{}", ran.fault());
}

#[tokio::test]
async fn what_is_not_json_neither_comes_in_nor_goes_out() {
    for (record, program, fault) in [
        ("{\"a\":", ".", RecordFault::RecordMalformed),
        ("1 2", ".", RecordFault::RecordMalformed),
        ("1", "nan", RecordFault::ResultMalformed),
        ("1", "[. / 0]", RecordFault::ResultMalformed),
        ("1", "{(null | tostring | tobytes): 1}", RecordFault::ResultMalformed),
        ("\"x\"", "tobytes", RecordFault::ResultMalformed),
    ] {
        let ran = run(&transformer(), programs(None, Some(program)), &[batch(&[record])]).await;
        let TransformFault::Record { fault: found, .. } = ran.fault() else { panic!("{:?}", ran.ended) };
        assert_eq!((*found, ran.code().as_str()), (fault, "transform.failed"), "{program}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_compile_is_refused_with_its_place() {
    for (when, transform, part) in [(None, Some(".\n| env"), Part::Transform), (Some(".\n| $ENV"), None, Part::When)] {
        let ran = run(&transformer(), programs(when, transform), &[batch(&["1"])]).await;
        let TransformFault::Invalid { part: found, at, message } = ran.fault() else { panic!("{:?}", ran.ended) };
        assert_eq!((*found, *at), (part, Place { line: 2, column: 3 }));
        assert!(message.contains("environment"), "{message}");
    }
}
