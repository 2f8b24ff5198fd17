//! Programs meant to hurt: each ends with a fault of its own, and the next program finds the box as it was.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::{Duration, Instant};

use wherry_host::{TransformSettings, Transformer};

use crate::support::transforms::{Ran, batch, programs, run, transformer_with};

/// The limits of agents, with less patience.
fn impatient() -> Transformer {
    transformer_with(TransformSettings { cpu_time: Duration::from_millis(500), ..TransformSettings::default() })
}

async fn hurt(transformer: &Transformer, program: &str) -> Ran {
    let begun = Instant::now();
    let ran = run(transformer, programs(None, Some(program)), &[batch(&["{\"a\":1}"])]).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{program}");
    let well = run(transformer, programs(None, Some(".a")), &[batch(&["{\"a\":1}"])]).await;
    assert_eq!(well.lines(), ["1"], "after {program}");
    ran
}

#[tokio::test]
async fn programs_without_end_run_out_of_time() {
    let transformer = impatient();
    for program in [
        "def f: f; f",
        "last(range(1e18))",
        "last(repeat(1))",
        "[limit(1; range(1e18) | select(. < 0))]",
        "until(false; .)",
        "reduce range(1e18) as $x (0; . + $x)",
        "isempty(range(1e18) | select(false))",
    ] {
        assert_eq!(hurt(&transformer, program).await.code(), "transform.time_limit", "{program}");
    }
}

#[tokio::test]
async fn programs_that_hoard_run_out_of_memory() {
    let transformer = transformer_with(TransformSettings::default());
    for program in [
        "[range(1e9)]",
        "[.] | until(false; . + .)",
        "\"xxxxxxxxxxxxxxxx\" | until(false; . + .)",
        "\"x\" * 1000000000",
        "[range(1e7)] | map(tostring)",
        "{} | until(false; . + {(keys | length | tostring): [range(1000)]})",
    ] {
        let code = hurt(&transformer, program).await.code();
        assert!(["transform.memory_limit", "transform.time_limit"].contains(&code.as_str()), "{program}: {code}");
    }
}

#[tokio::test]
async fn programs_that_recurse_run_out_of_stack() {
    let transformer = transformer_with(TransformSettings::default());
    for program in ["def f: [f]; f", "def f: f + 1; f", "def f: {a: f}; f", "def f(g): f(g | g) + 1; f(.)"] {
        let code = hurt(&transformer, program).await.code();
        assert!(["transform.stack_limit", "transform.memory_limit"].contains(&code.as_str()), "{program}: {code}");
    }
}

#[tokio::test]
async fn a_record_cannot_become_more_than_the_limit() {
    let transformer = transformer_with(TransformSettings::default());
    for program in ["range(1e9)", "repeat(.)", "[range(300000)]", "range(80) | [range(30000)]"] {
        assert_eq!(hurt(&transformer, program).await.code(), "transform.output_limit", "{program}");
    }
}

#[tokio::test]
async fn records_that_nest_without_end_are_survived() {
    let transformer = impatient();
    let deep = "[".repeat(500_000);
    let ran = run(&transformer, programs(None, Some(".")), &[batch(&[&deep])]).await;
    assert!(["transform.stack_limit", "transform.failed"].contains(&ran.code().as_str()), "{:?}", ran.ended);
}

#[tokio::test]
async fn the_longest_programs_compile_or_are_refused() {
    let transformer = impatient();
    for piece in [".|", ".,", ".+", "-", "try ", ". as $x|", ".=", ".//", "if . then ", "def f: "] {
        let end = match piece {
            "if . then " => " end",
            "def f: " => "; .",
            _ => "",
        };
        let times = 16_000 / (piece.len() + end.len());
        let program = format!("{}.{}", piece.repeat(times), end.repeat(times));
        let ran = hurt(&transformer, &program).await;
        // Eight thousand results of eight thousand branches take their time.
        let expected = ["", "transform.stack_limit", "transform.time_limit"];
        assert!(expected.contains(&ran.code().as_str()), "{piece}: {:?}", ran.ended);
    }
}
