//! The answer of an action as a JSON document: records, what the connector says at the end, what was refused and why.

use std::fmt::Write as _;

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use wherry_host::Batch;
use wherry_proto::MAX_ACTION;

/// Room for what stands around the records.
const AROUND: usize = 4 << 10;
/// Refused records that are named; the rest only counts.
const MAX_REFUSED: usize = 10;
/// Characters of a connector's reason for a refusal.
const MAX_REASON: usize = 200;

/// An answer under construction.
#[derive(Debug, Default)]
pub(super) struct Document {
    records: String,
    output: Option<String>,
    refused: Vec<Value>,
}

/// The answer is too large.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Document {
    /// Takes records in.
    pub(super) fn add(&mut self, batch: &Batch) -> Result<(), TooLarge> {
        if self.records.len().saturating_add(batch.data.len()) > MAX_ACTION - AROUND {
            return Err(TooLarge);
        }
        for line in String::from_utf8_lossy(&batch.data).lines().filter(|line| !line.trim().is_empty()) {
            let comma = if self.records.is_empty() { "" } else { "," };
            // Writing to a text cannot fail.
            let _ = write!(self.records, "{comma}{line}");
        }
        Ok(())
    }

    /// What the connector says at the end, if it is JSON.
    pub(super) fn output(&mut self, output: Option<String>) -> Result<(), TooLarge> {
        let output = output.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        if self.records.len() + output.as_ref().map_or(0, String::len) > MAX_ACTION - AROUND {
            return Err(TooLarge);
        }
        self.output = output;
        Ok(())
    }

    /// A record was refused.
    pub(super) fn refuse(&mut self, row: u64, code: &str, reason: &str) {
        if self.refused.len() < MAX_REFUSED {
            let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect::<String>();
            self.refused.push(json!({"row": row, "code": cut(code), "message": cut(reason)}));
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let Self { records, output, refused } = self;
        let output = output.unwrap_or_else(|| "null".to_owned());
        let refused = Value::Array(refused);
        let document = format!("{{\"records\":[{records}],\"output\":{output},\"refused\":{refused}}}").into_bytes();
        if document.len() > MAX_ACTION { b"null".to_vec() } else { document }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str) -> Batch {
        Batch { count: 1, data: text.to_owned().into() }
    }

    #[test]
    fn an_answer_is_one_json_document() {
        let mut document = Document::default();
        document.add(&batch("{\"a\":1}\n{\"a\":\"ü\"}\n")).unwrap();
        document.add(&batch("[2]\n")).unwrap();
        document.output(Some("{\"total\":3}".to_owned())).unwrap();
        document.refuse(4, "crm.duplicate", "there is one\nalready");
        let read: Value = serde_json::from_slice(&document.into_bytes()).unwrap();
        let expected = json!({
            "records": [{"a": 1}, {"a": "ü"}, [2]],
            "output": {"total": 3},
            "refused": [{"row": 4, "code": "crm.duplicate", "message": "there is onealready"}],
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn an_answer_has_a_limit_and_no_words_that_are_not_json() {
        let mut document = Document::default();
        document.add(&batch(&format!("\"{}\"\n", "x".repeat(MAX_ACTION - AROUND - 3)))).unwrap();
        assert_eq!(document.add(&batch("1\n")), Err(TooLarge));
        assert_eq!(document.output(Some("1".repeat(10_000))), Err(TooLarge));
        let mut other = Document::default();
        other.output(Some("hello".to_owned())).unwrap();
        (0..100).for_each(|row| other.refuse(row, &"c".repeat(5_000), &"r".repeat(5_000)));
        let bytes = other.into_bytes();
        assert!(bytes.len() < AROUND + 1_000, "{}", bytes.len());
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["output"], Value::Null);
    }
}
