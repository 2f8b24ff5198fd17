//! The words of JQL.

/// A word, a text in quotes, or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A word without quotes: a name, a value or a part of an operator.
    Bare(String),
    /// A text in quotes.
    Quoted(String),
    /// An operator, a bracket or a comma.
    Sign(&'static str),
}

const SIGNS: [&str; 13] = ["!=", "!~", "<=", ">=", "=", "~", "<", ">", "(", ")", ",", "!", "&"];

/// Splits a query, or says what cannot be read.
pub(super) fn split(text: &str) -> Result<Vec<Word>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let (text, after) = quoted(rest, first)?;
            words.push(Word::Quoted(text));
            rest = after;
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            words.push(Word::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else {
            let ends = |c: char| c.is_whitespace() || "=!~<>(),\"'&".contains(c);
            let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            words.push(bare(word)?);
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            c if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == quote => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            c => value.push(c),
        }
    }
    Err("Error in the JQL Query: The quoted string has not been completed.".to_owned())
}

/// Cascades of signs that mean something to others only would otherwise be names.
fn bare(word: &str) -> Result<Word, String> {
    match word.chars().find(|c| "{}*^$#@;|%`".contains(*c)) {
        Some(c) => Err(format!("Error in the JQL Query: The character '{c}' is a reserved JQL character.")),
        None => Ok(Word::Bare(word.to_owned())),
    }
}
