//! Reads records. jaq reads JSON too, and more than JSON; most of its time goes into copies of every name and text.
//! Here a text without escapes is a piece of the batch it came in.

use bytes::Bytes;
use jaq_json::{Map, Num, Val, read};

/// Room in a new object; most have fewer fields.
const FIELDS: usize = 8;

/// Reads one value that fills `text` up to white space.
///
/// # Errors
/// With the byte at which it is not JSON any more.
pub(crate) fn parse(text: &Bytes) -> Result<Val, usize> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value().ok_or(parser.at)?;
    parser.space();
    if parser.at == text.len() { Ok(value) } else { Err(parser.at) }
}

struct Parser<'a> {
    text: &'a Bytes,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &[u8], value: Val) -> Option<Val> {
        let found = self.text.get(self.at..)?.starts_with(word);
        found.then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self) -> Option<Val> {
        self.space();
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            b't' => self.word(b"true", Val::Bool(true)),
            b'f' => self.word(b"false", Val::Bool(false)),
            b'n' => self.word(b"null", Val::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn object(&mut self) -> Option<Val> {
        self.at += 1;
        self.space();
        if self.take(b'}').is_some() {
            return Some(Val::obj(Map::default()));
        }
        let mut fields = Map::with_capacity_and_hasher(FIELDS, Default::default());
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.take(b':')?;
            fields.insert(name, self.value()?);
            self.space();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Val::obj(fields));
            }
        }
    }

    fn array(&mut self) -> Option<Val> {
        self.at += 1;
        self.space();
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(Val::Arr(items.into()));
        }
        loop {
            items.push(self.value()?);
            self.space();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Val::Arr(items.into()));
            }
        }
    }

    fn string(&mut self) -> Option<Val> {
        self.take(b'"')?;
        let begin = self.at;
        let rest = self.text.get(begin..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        self.at = begin + length;
        match self.peek()? {
            b'"' => {
                self.at += 1;
                Some(Val::TStr(Box::new(self.text.slice(begin..begin + length))))
            }
            b'\\' => self.escaped(begin),
            _ => None,
        }
    }

    /// A text with escapes, which need a copy.
    fn escaped(&mut self, begin: usize) -> Option<Val> {
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.jaq(begin - 1)
    }

    fn number(&mut self) -> Option<Val> {
        let begin = self.at;
        self.at += usize::from(self.peek()? == b'-');
        let digits = self.at;
        let whole = self.digits()?;
        if self.text.get(digits) == Some(&b'0') && self.at > digits + 1 {
            self.at = digits + 1;
            return None; // 007
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            let value = if self.text.get(begin) == Some(&b'-') { whole.map(|whole| -whole) } else { whole };
            // Integers of any size; jaq reads those that do not fit.
            return value.map_or_else(|| self.jaq(begin), |value| Some(Val::Num(Num::Int(value))));
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.jaq(begin)
    }

    /// At least one digit; their value inside, unless it is too large.
    fn digits(&mut self) -> Option<Option<isize>> {
        let mut value = Some(0_isize);
        let begin = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.and_then(|value| value.checked_mul(10)?.checked_add(isize::from(digit - b'0')));
            self.at += 1;
        }
        (self.at > begin).then_some(value)
    }

    fn jaq(&self, begin: usize) -> Option<Val> {
        read::parse_single(self.text.get(begin..self.at)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Val, usize> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn what_jaq_reads_as_json_is_read_alike() {
        for text in [
            "null",
            " true ",
            "false\n",
            "0",
            "-0",
            "-7",
            "2147483647",
            "2147483648",
            "-9223372036854775808",
            "123456789012345678901234567890",
            "1.10",
            "-0.5e-7",
            "1E+400",
            "\"\"",
            "\"ä𝒜\"",
            "\"a\\\"\\\\\\n\\u00e4\\ud835\\udc9c\"",
            "[]",
            "[ ]",
            "[1,[2 , {}],\"\\t\"]",
            "{}",
            "{ \"a\" : 1 , \"b\":{\"c\":[null]}, \"a\\u0062\":2}",
            "{\"a\":1,\"a\":2}",
            "\"\\\\\"",
            "{\"\":\"\"}",
        ] {
            let expected = read::parse_single(text.as_bytes()).unwrap();
            let found = parsed(text).unwrap_or_else(|at| panic!("{text} at {at}"));
            assert_eq!(format!("{found}"), format!("{expected}"), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_byte() {
        for (text, at) in [
            ("", 0),
            ("  ", 2),
            ("{", 1),
            ("{\"a\"}", 4),
            ("{\"a\":1,}", 7),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("1 2", 2),
            ("nul", 0),
            ("007", 1),
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            (".5", 0),
            ("+1", 0),
            ("NaN", 0),
            ("'a'", 0),
            ("\"a", 1),
            ("\"a\nb\"", 2),
            ("\"\\x\"", 4),
            ("\"\\", 3),
            ("{a:1}", 1),
            ("{1:1}", 1),
            ("# c\n1", 0),
            ("b\"x\"", 0),
            ("[Infinity]", 1),
            ("\"\\u12\"", 6),
        ] {
            assert_eq!(parsed(text).map(|value| value.to_string()), Err(at), "{text}");
        }
    }
}
