//! Records in an answer, and how they travel: cut out as they were written, one per line, in batches.

use serde_json::value::RawValue;

use crate::failure::{Failure, Kind};
use crate::path::JsonPath;

/// Records of one batch.
pub const BATCH_ROWS: usize = 500;
/// Bytes after which a batch is closed.
pub const BATCH_BYTES: usize = 256 << 10;
/// Bytes of one record; the contract accepts no larger batch.
pub const RECORD_BYTES: usize = (1 << 20) - 1;

/// Records ready to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// How many.
    pub count: u32,
    /// One per line.
    pub data: Vec<u8>,
}

/// The records of an answer: the array at the path, or the object there as the only one. `null` means none.
pub fn find<'a>(json: &'a RawValue, path: Option<&JsonPath>) -> Result<Vec<&'a RawValue>, Failure> {
    let Some(value) = path.map_or(Some(json), |path| path.find(json)) else {
        let shown = path.map(ToString::to_string).unwrap_or_default();
        let message = format!("the answer has no {shown}; check the parameter records");
        return Err(Failure::new(Kind::Data, "http.records_missing", message));
    };
    match value.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(value.get()).map_err(|_| not_records()),
        Some(b'{') => Ok(vec![value]),
        Some(b'n') => Ok(vec![]),
        Some(_) | None => Err(not_records()),
    }
}

fn not_records() -> Failure {
    let message = "the answer holds neither an array nor an object where its records should be; \
                   check the parameter records";
    Failure::new(Kind::Data, "http.records_missing", message)
}

/// Packs records into batches; there is at least one, perhaps empty.
pub fn pack(records: &[&RawValue]) -> Result<Vec<Lines>, Failure> {
    let mut batches = Vec::new();
    let mut batch = Lines::default();
    for record in records {
        if record.get().len() > RECORD_BYTES {
            let message = format!("a record has more than {RECORD_BYTES} bytes; ask the system for fewer fields");
            return Err(Failure::new(Kind::Data, "http.record_too_large", message));
        }
        let is_full = batch.data.len() + record.get().len() >= BATCH_BYTES && batch.count > 0;
        if is_full || batch.count as usize >= BATCH_ROWS {
            batches.push(std::mem::take(&mut batch));
        }
        append_compact(record.get(), &mut batch.data);
        batch.data.push(b'\n');
        batch.count += 1;
    }
    batches.push(batch);
    Ok(batches)
}

/// Appends JSON without the white space between its parts. Numbers keep every digit, because nothing is parsed.
fn append_compact(json: &str, out: &mut Vec<u8>) {
    if !json.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(json.as_bytes());
        return;
    }
    let (mut quoted, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => continue,
            _ => {}
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, path: Option<&str>) -> Result<Vec<String>, &'static str> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let path = path.map(JsonPath::parse);
        find(raw, path.as_ref())
            .map(|records| records.iter().map(|record| record.get().to_owned()).collect())
            .map_err(|failure| failure.code)
    }

    #[test]
    fn records_are_found_where_the_parameter_says() {
        assert_eq!(found("[1, {}]", None), Ok(vec!["1".into(), "{}".into()]));
        assert_eq!(found(r#"{"a": 1}"#, None), Ok(vec![r#"{"a": 1}"#.into()]));
        assert_eq!(found(r#"{"d": {"i": [2]}}"#, Some("d.i")), Ok(vec!["2".into()]));
        assert_eq!(found(r#"{"d": null}"#, Some("d")), Ok(vec![]));
        assert_eq!(found(r#"{"d": 7}"#, Some("d")), Err("http.records_missing"));
        assert_eq!(found(r#"{"d": 7}"#, Some("x")), Err("http.records_missing"));
    }

    #[test]
    fn records_travel_unchanged_on_one_line_each() {
        let json = "[{ \"big\": 123456789012345678901234567890,\n  \"text\": \"a \\\" \\n b\" },\r\n 1.50 ]";
        let records: Vec<&RawValue> = serde_json::from_str(json).unwrap();
        let batches = pack(&records).unwrap();
        let expected = "{\"big\":123456789012345678901234567890,\"text\":\"a \\\" \\n b\"}\n1.50\n";
        assert_eq!(batches, [Lines { count: 2, data: expected.into() }]);
    }

    #[test]
    fn batches_are_cut_by_count_and_by_size() {
        let many = format!("[{}]", vec!["1"; 1_200].join(","));
        let counts = |json: &str| -> Vec<u32> {
            let records: Vec<&RawValue> = serde_json::from_str(json).unwrap();
            pack(&records).unwrap().iter().map(|batch| batch.count).collect()
        };
        assert_eq!(counts(&many), [500, 500, 200]);
        let large = format!("[{}]", vec![format!("\"{}\"", "x".repeat(100_000)); 5].join(","));
        assert_eq!(counts(&large), [2, 2, 1]);
        assert_eq!(counts("[]"), [0]);
    }

    #[test]
    fn a_record_beyond_the_contract_is_refused() {
        let json = format!("[\"{}\"]", "x".repeat(RECORD_BYTES));
        let records: Vec<&RawValue> = serde_json::from_str(&json).unwrap();
        assert_eq!(pack(&records).unwrap_err().code, "http.record_too_large");
    }
}
