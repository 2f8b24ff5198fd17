//! Writes values as JSON and as nothing else: jaq's own writer also has words for what JSON has none.

use std::io::Write;

use jaq_json::{Num, Val};

/// Writes a value on one line.
///
/// # Errors
/// With what cannot be written, in words.
pub(crate) fn write(out: &mut Vec<u8>, value: &Val) -> Result<(), &'static str> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(number) => return write_number(out, number),
        Val::TStr(text) => write_text(out, text),
        Val::BStr(_) => return Err("bytes that are not a text"),
        Val::Arr(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, item)?;
            }
            out.push(b']');
        }
        Val::Obj(fields) => {
            out.push(b'{');
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                let Val::TStr(key) = key else { return Err("an object with a key that is not a text") };
                write_text(out, key);
                out.push(b':');
                write(out, field)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_number(out: &mut Vec<u8>, number: &Num) -> Result<(), &'static str> {
    match number {
        Num::Float(float) if !float.is_finite() => return Err("a number that is infinite or none"),
        // Writing to memory does not fail.
        Num::Float(_) | Num::Int(_) | Num::BigInt(_) | Num::Dec(_) => drop(write!(out, "{number}")),
    }
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    // Programs can cut a text inside a character.
    let valid = String::from_utf8_lossy(text);
    out.push(b'"');
    let mut rest = valid.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        write_escaped(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        other => return drop(write!(out, "\\u{other:04x}")),
    };
    out.extend_from_slice(short);
}

#[cfg(test)]
mod tests {
    use super::*;
    use jaq_json::read::parse_single;

    fn written(value: &Val) -> Result<String, &'static str> {
        let mut out = Vec::new();
        write(&mut out, value).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn json_comes_back_as_it_was() {
        for json in [
            "null",
            "[true,false,0,-7,2147483648,1.5,1.10,1e400,123456789012345678901234567890]",
            r#"{"a":"x\"\\\n\r\t\u0001\u007fäé𝒜","":[],"b":{}}"#,
        ] {
            let shown = written(&parse_single(json.as_bytes()).unwrap()).unwrap();
            assert_eq!(shown, json.replace("\\u007f", "\u{7f}"));
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for not_json in ["NaN", "Infinity", "-Infinity", "[NaN]", "b\"x\"", "{1: 2}", "{\"a\": {null: 1}}"] {
            assert!(written(&parse_single(not_json.as_bytes()).unwrap()).is_err(), "{not_json}");
        }
    }

    #[test]
    fn a_text_cut_inside_a_character_is_still_a_text() {
        let cut = Val::utf8_str(b"a\xc3".to_vec());
        assert_eq!(written(&cut), Ok("\"a\u{fffd}\"".to_owned()));
    }
}
