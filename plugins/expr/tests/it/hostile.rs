//! Programs meant to hurt whoever reads them. None may end the process, and none may take long.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::{Duration, Instant};

use wherry_expr::{MAX_PROGRAM, Program};

/// Pieces that nest when they are repeated, with what closes them.
const NESTS: &[(&str, &str, &str)] = &[
    ("(", ".", ")"),
    ("[", ".", "]"),
    ("{a:", ".", "}"),
    ("\"\\(", ".", ")\""),
    ("-", ".", ""),
    ("- ", ".", ""),
    ("try ", ".", ""),
    ("if . then ", ".", " end"),
    ("if ", ".", " then . end"),
    ("def f: ", ".", "; ."),
    ("def f: .; ", ".", ""),
    ("def f(g): g; f(", ".", ")"),
    ("label $x|", ".", ""),
    ("reduce . as $x (.;", ".", ")"),
    (". as $x|", ".", ""),
    (". as [$x]|", ".", ""),
    (".|", ".", ""),
    (".,", ".", ""),
    (".+", ".", ""),
    (".//", ".", ""),
    (".=", ".", ""),
    (". and ", ".", ""),
    (".[", ".", "]"),
    (".a?", "", ""),
    ("..", "", ""),
    ("\"\\n\"+", ".", ""),
    ("#\\", "\n.", ""),
];

#[test]
fn no_repetition_ends_the_process_or_takes_long() {
    for (open, middle, close) in NESTS {
        for times in [90, MAX_PROGRAM] {
            let times = times.min((MAX_PROGRAM - middle.len()) / (open.len() + close.len()));
            let program = format!("{}{middle}{}", open.repeat(times), close.repeat(times));
            let begun = Instant::now();
            let _accepted = Program::check(&program).is_ok();
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(5), "{open:?} x {times} took {took:?}");
        }
    }
}

#[test]
fn unfinished_nests_and_noise_are_refused() {
    for (open, ..) in NESTS.iter().filter(|(_, _, close)| !close.is_empty()) {
        let program = open.repeat(MAX_PROGRAM / open.len());
        assert!(Program::check(&program).is_err(), "{open}");
    }
    for noise in ["\u{0}", "\u{feff}.", "\\", "\"\\u{110000}\"", "\"\\uD800\"", "0x", "1e", "𝒜", "\r\n\r\n|"] {
        assert!(Program::check(noise).is_err(), "{noise:?}");
    }
}
