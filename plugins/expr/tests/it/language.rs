//! The language: what people write, and what they are told when they err.

use wherry_expr::{Position, Program, ProgramError};

#[test]
fn ordinary_programs_are_accepted() {
    for program in [
        ".",
        "{ serviceDeskId: $vars.desk, summary: .Description, run: $run.id, by: $agent.name }",
        ".items[] | select(.open and (.tags | index(\"x\") | not)) | { id, name: (.name // \"none\") }",
        "def pad($n): tostring | (\"0\" * ($n - length)) + .; .id |= pad(8)",
        "reduce .lines[] as { amount: $a } (0; . + $a)",
        "(.when | fromdateiso8601 | strftime(\"%Y-%m-%d\")) as $day | { $day }",
        "gsub(\"[^a-z]+\"; \"-\"), test(\"x\"; \"i\"), (capture(\"(?<a>.)\") | .a)",
        "@base64 \"x\\(.a)\", @uri, @json, @html, (try error(\"x\") catch .), (.a? // empty), ..",
        "with_entries(.value |= tostring) | to_entries | from_entries | keys | unique | join(\",\")",
        "walk(if type == \"string\" then ascii_downcase end) | limit(3; .[]) # a comment",
    ] {
        assert_eq!(Program::check(program), Ok(()), "{program}");
    }
}

#[test]
fn a_fault_is_told_with_its_line_and_column() {
    for (program, line, column, words) in [
        ("", 1, 1, "expected term here, found the end"),
        ("{ a: .b,\n  c: ] }", 2, 6, "expected"),
        (".a |\n| .b", 2, 1, "expected term here, found `|`"),
        ("if .a then 1", 1, 13, "expected else or end here, found the end"),
        ("\"abc", 1, 5, "expected a closing quote"),
        (".a & .b", 1, 4, "`& .b` means nothing here"),
        ("{ ä: 1 }", 1, 3, "expected"),
        (".a\n| mpa(.b)", 2, 3, "there is no filter mpa with 1 arguments"),
        ("$vras.desk", 1, 1, "there is no variable $vras; there are $vars, $run, $agent"),
        ("break $x", 1, 7, "there is no label $x"),
    ] {
        let error = Program::check(program).unwrap_err();
        assert_eq!((error.at(), error.code()), (Position { line, column }, "transform.invalid"), "{program}: {error}");
        assert!(error.to_string().contains(words), "{program}: {error}");
    }
}

#[test]
fn a_name_that_was_perhaps_meant_is_suggested() {
    for (program, suggestion) in [
        ("mapp(.a)", Some("map")),
        ("$var.desk", Some("$vars")),
        ("selct(.a)", Some("select")),
        ("completely_else", None),
    ] {
        assert_eq!(Program::check(program).unwrap_err().suggestion(), suggestion, "{program}");
    }
}

#[test]
fn what_looks_beyond_the_record_is_refused_with_the_reason() {
    for (program, column, words) in [
        ("env", 1, "environment"),
        (".a + env.HOME", 6, "environment"),
        ("$ENV.HOME", 1, "environment"),
        ("[input]", 2, "one record at a time"),
        ("[inputs]", 2, "one record at a time"),
        (". | debug", 5, "log"),
        ("debug(\"x\")", 1, "log"),
        ("stderr", 1, "log"),
        ("now", 1, "clock"),
        ("0 | localtime", 5, "time zone"),
        ("halt", 1, "end its process"),
        ("halt_error(3)", 1, "end its process"),
        ("input_filename", 1, "no other input"),
        ("include \"x\"; .", 10, "cannot read files"),
        ("import \"x\" as x; x::y", 9, "cannot read files"),
        ("import \"x\" as $x; $x", 1, "cannot read files"),
        ("x::y", 1, "no module"),
    ] {
        let error = Program::check(program).unwrap_err();
        assert_eq!((error.at().column, error.code()), (column, "transform.invalid"), "{program}: {error}");
        assert!(error.to_string().contains(words), "{program}: {error}");
    }
}

#[test]
fn a_program_may_give_such_a_name_to_a_filter_of_its_own() {
    assert_eq!(Program::check("def now: $vars.now; { at: now }"), Ok(()));
}

#[test]
fn a_program_has_a_greatest_length() {
    let text = format!(". # {}", "x".repeat(wherry_expr::MAX_PROGRAM));
    let error = Program::check(&text).unwrap_err();
    assert_eq!((error.code(), error), ("transform.too_long", ProgramError::TooLong { bytes: text.len() }));
}
