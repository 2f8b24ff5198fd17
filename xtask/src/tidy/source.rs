//! Just enough of Rust's grammar: where comments, texts and functions begin and end.

/// Rust source with its comments and texts blanked, line for line and byte for byte.
pub(super) struct Source {
    text: String,
    code: String,
    tests_from: usize,
}

/// A function with a body.
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The line of `fn`, counted from 1.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(super) lines: usize,
    /// The first byte of the body.
    pub(super) from: usize,
    /// The byte after the body.
    pub(super) to: usize,
}

impl Source {
    /// Reads a file.
    pub(super) fn new(text: &str) -> Self {
        let code = blank(text);
        let tests_from = tests_from(&code);
        Self { text: text.to_owned(), code, tests_from }
    }

    /// Everything before the tests, without comments and texts.
    pub(super) fn code(&self) -> &str {
        self.code.get(..self.tests_from).unwrap_or_default()
    }

    /// Lines before the tests.
    pub(super) fn lines(&self) -> usize {
        self.text.get(..self.tests_from).unwrap_or_default().lines().count()
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.code.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The plain text literal that begins at or after `at`, with only white space before it.
    pub(super) fn literal(&self, at: usize) -> Option<&str> {
        let rest = self.text.get(at..)?.trim_start().strip_prefix('"')?;
        rest.split_once('"').map(|(literal, _)| literal)
    }

    /// All functions with a body, before the tests.
    pub(super) fn functions(&self) -> Vec<Function> {
        let code = self.code();
        let found = words(code, "fn").filter_map(|at| self.function(code, at));
        found.collect()
    }

    fn function(&self, code: &str, at: usize) -> Option<Function> {
        let rest = code.get(at + 2..)?.trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            return None; // a function type: `fn(u8)`
        }
        let (from, to) = body(code, at)?;
        let line = self.line_of(at);
        Some(Function { name, line, lines: self.line_of(to) - line + 1, from, to })
    }
}

/// Where `word` stands in `code`, not as a part of another word.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code.get(..*at).and_then(|text| text.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

/// The braces of the item at `at`, or none if it ends with a semicolon.
fn body(code: &str, at: usize) -> Option<(usize, usize)> {
    let mut from = None;
    let (mut braces, mut others) = (0usize, 0usize);
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => others += 1,
            b')' | b']' => others = others.saturating_sub(1),
            b';' if braces == 0 && others == 0 => return None,
            b'{' => {
                braces += 1;
                from = from.or(Some(offset));
            }
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return from.map(|from| (from, offset + 1));
                }
            }
            _ => {}
        }
    }
    None
}

/// The first byte of the test module, or the length of the file.
fn tests_from(code: &str) -> usize {
    if code.trim_start().starts_with("#![cfg(test)]") {
        return 0;
    }
    let marker = "#[cfg(test)]";
    let begins = |at: &usize| {
        let rest = code.get(at + marker.len()..).unwrap_or_default().trim_start();
        rest.starts_with("mod ") || rest.starts_with("pub(crate) mod ")
    };
    code.match_indices(marker).map(|(at, _)| at).find(begins).unwrap_or(code.len())
}

/// Replaces every byte of comments and texts by a space, except line ends.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let after_word = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = skipped(rest, after_word);
        let (part, tail) = rest.split_at_checked(length.max(1)).unwrap_or_else(|| first_char(rest));
        if length == 0 {
            out.push_str(part);
        } else {
            out.extend(part.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        }
        rest = tail;
    }
    out
}

fn first_char(text: &str) -> (&str, &str) {
    text.split_at(text.chars().next().map_or(0, char::len_utf8))
}

/// How many bytes at the beginning are a comment or a text.
fn skipped(rest: &str, after_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return plain_text(rest, 1);
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if after_word {
        return 0;
    }
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        let tail = rest.get(prefix.len()..).unwrap_or_default();
        rest.starts_with(prefix) && tail.trim_start_matches('#').starts_with('"')
    });
    match prefix {
        Some(prefix) if prefix.ends_with('r') => raw_text(rest, prefix.len()),
        Some(prefix) if rest.get(prefix.len()..).is_some_and(|tail| tail.starts_with('"')) => {
            plain_text(rest, prefix.len() + 1)
        }
        Some(_) | None => 0,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn plain_text(rest: &str, open: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(open) {
        match byte {
            b'\\' if !escaped => escaped = true,
            b'"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    rest.len()
}

fn raw_text(rest: &str, prefix: usize) -> usize {
    let tail = rest.get(prefix..).unwrap_or_default();
    let hashes = tail.bytes().take_while(|byte| *byte == b'#').count();
    let close = format!("\"{}", "#".repeat(hashes));
    let open = prefix + hashes + 1;
    let end = rest.get(open..).and_then(|tail| tail.find(&close));
    end.map_or(rest.len(), |end| open + end + close.len())
}

/// A character literal, or nothing where the quote begins a lifetime.
fn character(rest: &str) -> usize {
    let inner = rest.get(1..).unwrap_or_default();
    if inner.starts_with('\\') {
        let tail = inner.get(2..).unwrap_or_default();
        return tail.find('\'').map_or(0, |end| end + 4);
    }
    let Some(first) = inner.chars().next() else { return 0 };
    let after = inner.get(first.len_utf8()..).unwrap_or_default();
    if after.starts_with('\'') { first.len_utf8() + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blanked_byte_for_byte() {
        for (text, left) in [
            ("a // fn b() {\nc", "a c"),
            ("a /* x /* y */ { */ b", "a b"),
            ("\"{\\\"}\" }", "}"),
            ("r#\"\"{\"# }", "}"),
            ("b\"{\" br\"{\" c\"{\" 1", "1"),
            ("'{' '\\'' '\\u{7f}' <'a>", "<'a>"),
            ("for\"{\"", "for"),
            ("r#type {", "r#type {"),
            ("\"ä{\" ä", "ä"),
            ("\"{", ""),
        ] {
            let blanked = blank(text);
            assert_eq!(blanked.len(), text.len(), "{text}");
            assert_eq!(blanked.split_whitespace().collect::<Vec<_>>().join(" "), left, "{text}");
            assert_eq!(blanked.lines().count(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn functions_are_found_with_their_length() {
        let text = "trait T { fn none(&self); }\nfn one() {\n  if x { \"}\" }\n}\nfn two<const N: usize>(a: [u8; 2]) -> fn(u8) {}\n";
        let source = Source::new(text);
        let found: Vec<_> = source.functions().iter().map(|f| (f.name.clone(), f.line, f.lines)).collect();
        assert_eq!(found, [("one".to_owned(), 2, 3), ("two".to_owned(), 5, 1)]);
    }

    #[test]
    fn a_function_without_body_does_not_take_the_next_ones() {
        let source = Source::new("trait T {\n fn a(x: [u8; 4]);\n fn b() {\n }\n}\n");
        let names: Vec<_> = source.functions().into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["b"]);
    }

    #[test]
    fn only_a_test_module_ends_the_code() {
        let source =
            Source::new("#[cfg(test)]\nextern crate std;\nfn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n");
        assert_eq!(source.lines(), 3);
        assert_eq!(source.functions().len(), 1);
        assert_eq!(Source::new("#![cfg(test)]\nfn a() {}\n").functions().len(), 0);
    }

    #[test]
    fn a_literal_is_read_at_its_place() {
        let source = Source::new("Code::new(\n  \"a.b\")");
        assert_eq!(source.literal("Code::new(".len()), Some("a.b"));
        assert_eq!(source.literal(0), None);
    }
}
