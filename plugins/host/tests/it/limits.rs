//! Every wall of the box: the fault names it, and the next invocation finds the host as it was.

use std::time::Duration;

use serde_json::{Value, json};
use wherry_host::{Call, Connector, ConnectorFault, FromConnector, HostSettings, Limit, ToConnector};

use crate::support::components::{by_hand, host, hostile, hostile_with};
use crate::support::{Finished, invoke};

async fn after(connector: &Connector, finished: Finished) -> Finished {
    let good = invoke("good", &Value::Null).on(connector).await;
    assert_eq!(good.output(), json!({}), "the host serves on");
    finished
}

async fn tripped(activity: &str, params: Value) -> Finished {
    let connector = hostile();
    let finished = invoke(activity, &params).on(&connector).await;
    after(&connector, finished).await
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_time() {
    let connector = hostile();
    let spin = || invoke("spin", &Value::Null).task(|task| task.time_limit_ms = 200).on(&connector);
    // Even on this test's single thread the loops yield to each other and to the clock.
    let (one, two) = tokio::join!(spin(), spin());
    assert_eq!(one.fault(), &ConnectorFault::Limit(Limit::Time { limit_ms: 200 }));
    assert_eq!(after(&connector, two).await.code(), "sandbox.time_limit");
}

#[tokio::test]
async fn a_connector_that_waits_in_the_host_ends_with_its_time() {
    let connector = hostile();
    let finished = invoke("sleep", &Value::Null).task(|task| task.time_limit_ms = 200).on(&connector).await;
    assert_eq!(after(&connector, finished).await.code(), "sandbox.time_limit");
}

#[tokio::test]
async fn computing_has_a_budget_of_its_own() {
    let connector = hostile_with(HostSettings { cpu_time: Duration::from_millis(100), ..HostSettings::default() });
    let finished = invoke("spin", &Value::Null).on(&connector).await;
    assert_eq!(after(&connector, finished).await.code(), "sandbox.cpu_limit");
}

#[tokio::test]
async fn a_memory_bomb_is_named() {
    assert_eq!(
        tripped("memory", Value::Null).await.fault(),
        &ConnectorFault::Limit(Limit::Memory { limit_bytes: 64 << 20 })
    );
}

#[tokio::test]
async fn endless_recursion_breaks_off() {
    // Rust keeps its own stack inside linear memory, so this is a trap rather than the engine's stack limit.
    let finished = tripped("stack", Value::Null).await;
    assert!(["sandbox.trap", "sandbox.stack_limit"].contains(&finished.code().as_str()), "{finished:?}");
}

#[tokio::test]
async fn a_panic_brings_its_words_along_but_does_not_let_them_out() {
    let finished = tripped("panic", json!({"name": "Miller"})).await;
    assert_eq!(finished.code(), "sandbox.trap");
    let ConnectorFault::Trap { output, .. } = finished.fault() else { panic!("{finished:?}") };
    assert!(output.contains("customer Miller is odd"), "{output}");
    assert!(!finished.fault().failure().message.contains("Miller"));
    assert!(finished.logs().iter().any(|line| line.contains("customer Miller is odd")));
}

#[tokio::test]
async fn aborting_and_exiting_break_off() {
    assert_eq!(tripped("abort", Value::Null).await.code(), "sandbox.trap");
    let exit = tripped("exit", Value::Null).await;
    assert!(exit.fault().to_string().contains("exit"), "{exit:?}");
    assert_eq!(exit.code(), "sandbox.trap");
}

#[tokio::test]
async fn handles_are_limited() {
    assert_eq!(tripped("handles", Value::Null).await.fault(), &ConnectorFault::Limit(Limit::Handles { limit: 10_000 }));
}

#[tokio::test]
async fn one_host_call_moves_a_limited_amount() {
    assert_eq!(tripped("hostcall", Value::Null).await.code(), "sandbox.hostcall_limit");
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused() {
    assert_eq!(tripped("output", json!({"bytes": 300_000})).await.code(), "sandbox.output_limit");
    assert_eq!(tripped("output", json!({"bytes": 9_000_000})).await.code(), "sandbox.hostcall_limit");
    assert_eq!(tripped("not-json", Value::Null).await.code(), "sandbox.output_invalid");
}

#[tokio::test]
async fn a_flood_of_log_lines_ends_with_a_mark_and_not_with_the_run() {
    let finished = tripped("log", json!({"lines": 1_000_000})).await;
    assert_eq!(finished.output(), json!({}));
    let logs = finished.logs();
    assert!(logs.iter().map(|line| line.len()).sum::<usize>() < 70_000, "{}", logs.len());
    assert_eq!(logs[0], "line 0 [2J forged");
    assert!(logs.last().unwrap().contains("cut here"));
}

#[tokio::test]
async fn printing_without_end_keeps_the_end() {
    let finished = tripped("print", json!({"lines": 100_000})).await;
    assert_eq!(finished.output(), json!({}));
    let logs = finished.logs();
    assert!(logs.iter().map(|line| line.len()).sum::<usize>() <= 2 * (16 << 10));
    assert!(logs.contains(&"line 99999") && logs.contains(&"error 99999"));
}

#[tokio::test]
async fn counters_are_summed_and_limited() {
    let finished = tripped("counters", Value::Null).await;
    let sums: Vec<_> =
        finished.messages.iter().filter(|message| matches!(message, FromConnector::Counter { .. })).collect();
    assert_eq!(sums.len(), 64);
    assert!(sums.contains(&&FromConnector::Counter { name: "n0".into(), delta: 100 }));
}

#[tokio::test]
async fn a_component_has_a_limited_number_of_parts() {
    let connector = hostile_with(HostSettings { core_instances: 1, ..HostSettings::default() });
    let finished = invoke("good", &Value::Null).on(&connector).await;
    assert_eq!(finished.code(), "sandbox.instance_limit", "{finished:?}");
}

#[tokio::test]
async fn nothing_of_the_host_is_visible() {
    let environment = tripped("environment", Value::Null).await.output();
    assert_eq!(environment, json!([["", ""]]), "no variables, no arguments");
}

#[tokio::test]
async fn a_cancel_is_obeyed_or_enforced() {
    let connector = hostile_with(HostSettings { cancel_grace: Duration::from_millis(100), ..HostSettings::default() });
    for activity in ["wait-for-cancel", "spin", "sleep"] {
        let mut cancelled = invoke(activity, &Value::Null);
        cancelled.input = vec![ToConnector::Cancel];
        let finished = cancelled.on(&connector).await;
        assert_eq!(after(&connector, finished).await.fault(), &ConnectorFault::Cancelled, "{activity}");
    }
}

#[tokio::test]
async fn a_start_function_that_loops_ends_with_its_time() {
    let connector = by_hand(&host(), "(start $spin)");
    let finished = invoke("any", &Value::Null).task(|task| task.time_limit_ms = 200).on(&connector).await;
    assert_eq!(finished.code(), "sandbox.time_limit");
}

#[tokio::test]
async fn a_guessed_handle_leads_nowhere() {
    let finished = invoke("", &Value::Null).task(|task| task.call = Call::Test).on(&by_hand(&host(), "")).await;
    assert_eq!(finished.code(), "sandbox.trap");
    assert!(finished.fault().to_string().contains("handle"), "{finished:?}");
}
