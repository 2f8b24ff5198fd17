//! Error codes and their pages: every code a person may see has a page, and every page has a code.
//!
//! A code is declared by `Code::new("dotted.code")`, by making a refusal, problem or status with it, or as a text
//! inside a `fn code(`. A page may also be about a code that comes from further away, such as a connector's: then the
//! code stands somewhere in the sources as a text.

use std::collections::BTreeMap;

use super::Finding;
use super::source::Source;
use super::tree::{File, Tree};

const PAGES: &str = "docs/errors/";
const CONSTRUCTOR: &str = "Code::new(";
/// Calls that take a code as their first text.
const MAKERS: [&str; 8] = [
    "Refusal::new(",
    "Refusal::not_found(",
    "Refusal::conflict(",
    "Refusal::invalid(",
    "Problem::new(",
    "Problem::invalid(",
    "status::coded(",
    "status::invalid(",
];
/// How far into such a call the code may stand, in bytes.
const NEAR: usize = 80;

/// Compares the codes of all sources with the pages.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut declared: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        for (code, line) in declared_in(&file.source()) {
            if !is_code(&code) {
                let text = format!("`{code}` is no error code: write lower-case words with dots between them");
                findings.push(Finding::fault(&file.path, line, text));
            } else {
                declared.entry(code).or_insert_with(|| (file.path.clone(), line));
            }
        }
    }
    let pages: BTreeMap<&str, &File> = tree.files().filter_map(|file| Some((page_of(file)?, file))).collect();
    for (code, (path, line)) in &declared {
        if !pages.contains_key(code.as_str()) {
            findings.push(Finding::fault(path, *line, format!("code `{code}` has no page {PAGES}{code}.md")));
        }
    }
    for (code, file) in pages {
        if !declared.contains_key(code) && !mentioned(tree, code) {
            findings.push(Finding::fault(&file.path, 1, format!("no source declares the code `{code}`")));
        }
    }
    findings
}

/// Whether the code stands as a text in some source.
fn mentioned(tree: &Tree, code: &str) -> bool {
    let text = format!("\"{code}\"");
    tree.rust().filter(|file| !file.is_test()).any(|file| file.text.contains(&text))
}

/// The code a page is about; the overview is about none.
fn page_of(file: &File) -> Option<&str> {
    let code = file.path.strip_prefix(PAGES)?.strip_suffix(".md")?;
    (code != "README" && code != "index").then_some(code)
}

fn declared_in(source: &Source) -> Vec<(String, usize)> {
    let constructed = source.code().match_indices(CONSTRUCTOR).filter_map(|(at, _)| {
        let literal = source.literal(at + CONSTRUCTOR.len())?;
        Some((literal.to_owned(), source.line_of(at)))
    });
    let mut found: Vec<_> = constructed.collect();
    for maker in MAKERS {
        for (at, _) in source.code().match_indices(maker) {
            let inside = at + maker.len();
            let near = source.code().get(inside..).and_then(|rest| rest.find('"')).filter(|quote| *quote < NEAR);
            let literal = near.and_then(|quote| source.literal(inside + quote)).filter(|literal| is_code(literal));
            found.extend(literal.map(|literal| (literal.to_owned(), source.line_of(at))));
        }
    }
    for function in source.functions().into_iter().filter(|function| function.name == "code") {
        // The arms of a match, and a body that is one text.
        let body = source.code().get(function.from..function.to).unwrap_or_default();
        for (at, mark) in body.match_indices("=>").chain(body.match_indices('{')) {
            let at = function.from + at;
            let literal = source.literal(at + mark.len()).filter(|literal| is_code(literal));
            found.extend(literal.map(|literal| (literal.to_owned(), source.line_of(at))));
        }
    }
    found
}

/// Lower-case words of letters, digits and `_`, with dots between them; the first has no digits.
fn is_code(text: &str) -> bool {
    let mut words = text.split('.');
    let first = words.next().unwrap_or_default();
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let mut rest = words.peekable();
    let more = rest.peek().is_some();
    more && !first.is_empty()
        && first.bytes().all(letters)
        && rest.all(|word| !word.is_empty() && word.bytes().all(|byte| letters(byte) || byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: (&str, &str) = ("docs/errors/a.b_2.md", "# a.b_2");

    #[test]
    fn a_code_with_a_page_is_in_order_however_it_is_declared() {
        for source in [
            "pub const A: Code = Code::new(\"a.b_2\");",
            "fn code(&self) -> Code { match self { Self::A => Code::new(\n  \"a.b_2\",\n) } }",
            "fn code(&self) -> &'static str { match self { Self::A { .. } => \"a.b_2\" } }",
            "fn code(&self) -> &'static str {\n  \"a.b_2\"\n}",
            "Refusal::new(Kind::Busy, \"a.b_2\", \"come back\")",
            "fn other() { told(\"a.b_2\") }",
        ] {
            assert_eq!(texts(&[("x/src/lib.rs", source), PAGE]), [""; 0], "{source}");
        }
    }

    #[test]
    fn a_code_without_page_and_a_page_without_code_are_faults() {
        let found = texts(&[("x/src/lib.rs", "const A: Code = Code::new(\"c.d\");"), PAGE]);
        assert_eq!(found, ["code `c.d` has no page docs/errors/c.d.md", "no source declares the code `a.b_2`"]);
    }

    #[test]
    fn codes_of_tests_comments_and_other_functions_do_not_count() {
        for source in [
            "// Code::new(\"c.d\")",
            "#[cfg(test)]\nmod tests { const A: Code = Code::new(\"c.d\"); }",
            "fn text() -> &'static str { match 1 { _ => \"c.d\" } }",
            "Refusal::read(\"c.d\")",
            "fn other() { Code::new(text) }",
        ] {
            assert_eq!(texts(&[("x/src/lib.rs", source)]), [""; 0], "{source}");
        }
        assert_eq!(texts(&[("x/tests/it/a.rs", "Code::new(\"c.d\")"), ("docs/errors/README.md", "")]), [""; 0]);
    }

    #[test]
    fn a_misspelt_code_is_a_fault() {
        for bad in ["plain", "Upper.case", "a.", ".a", "a b.c"] {
            let source = format!("const A: Code = Code::new(\"{bad}\");");
            assert_eq!(texts(&[("x/src/lib.rs", &source)]).len(), 1, "{bad}");
        }
    }

    fn texts(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|finding| finding.text).collect()
    }
}
