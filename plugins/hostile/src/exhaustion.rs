//! Takes more than there is: time, memory, stack, handles, log, and ways to break off.

use std::hint::black_box;
use std::time::Duration;

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::http::types::Fields;
use crate::bindings::wherry::connector::telemetry::{self, Level};
use crate::bindings::wherry::connector::types::{Batch, Error};
use crate::connector::Scene;

/// Runs the activity, if it is one of these.
pub(crate) fn run(activity: &str, scene: &Scene<'_>) -> Option<Result<String, Error>> {
    break_off(activity, scene);
    Some(match activity {
        "good" => done(),
        "spin" => loop {
            black_box(scene);
        },
        "sleep" => {
            pause(Duration::from_secs(3_600));
            done()
        }
        "memory" => {
            let mut all: Vec<Vec<u8>> = Vec::new();
            loop {
                all.push(black_box(vec![1; 1 << 20]));
            }
        }
        "stack" => Ok(recurse(0).to_string()),
        "handles" => {
            let fields: Vec<Fields> = (0..1_000_000).map(|_| Fields::new()).collect();
            Ok(fields.len().to_string())
        }
        "output" => Ok(format!("\"{}\"", "x".repeat(usize::try_from(scene.number("bytes")).unwrap_or_default()))),
        "hostcall" => {
            let rows = Batch { count: 1, data: vec![b' '; 9 << 20] };
            scene.writer().and_then(|writer| writer.write(&rows, None)).and_then(|()| done())
        }
        "log" | "print" | "counters" => {
            talk(activity, scene.number("lines"));
            done()
        }
        _ => return None,
    })
}

fn done() -> Result<String, Error> {
    Ok("{}".to_owned())
}

fn break_off(how: &str, scene: &Scene<'_>) {
    match how {
        #[expect(clippy::panic, reason = "this is the misdeed")]
        "panic" => panic!("customer {} is odd", scene.text("name")),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        _ => {}
    }
}

fn talk(how: &str, lines: u64) {
    match how {
        "log" => {
            for line in 0..lines {
                telemetry::log(Level::Info, &format!("line {line}\u{1b}[2J\nforged"), None);
            }
        }
        "print" => {
            for line in 0..lines {
                println!("line {line}");
                eprintln!("error {line}");
            }
        }
        _ => (0..100_000).for_each(|n| telemetry::counter(&format!("n{}", n % 1_000), 1)),
    }
}

/// Waits in the host.
pub(crate) fn pause(time: Duration) {
    monotonic_clock::subscribe_duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).block();
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = [depth; 64];
    black_box(&frame);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + black_box(depth) }
}
