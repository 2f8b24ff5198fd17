//! The records of a source, grouped into batches.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Result};
use crate::host::{Lines, RowSink};
use crate::json::{Json, append_compact};

/// Records of a batch at most; the contract's own limit.
const MOST_ROWS: u32 = 1_000;
/// Records that are worth a batch when a cursor comes by. Small pages wait for each other.
const FEW_ROWS: u32 = 100;
/// Bytes after which a batch is closed.
const BATCH_BYTES: usize = 512 << 10;
/// Bytes of one record; the contract accepts no larger batch.
pub(crate) const RECORD_BYTES: usize = (1 << 20) - 1;

/// Takes the records of a source and hands them on in batches of 100 to 1,000.
///
/// A cursor says "after all records so far, continue here". It travels with the last of them: records may come twice
/// but never go missing.
pub struct Writer<'h> {
    sink: Box<dyn RowSink + 'h>,
    lines: Lines,
    mark: Option<Mark>,
    few: u32,
    written: u64,
}

/// A cursor, and how much of the pending batch lies before it.
struct Mark {
    rows: u32,
    bytes: usize,
    cursor: String,
}

impl<'h> Writer<'h> {
    pub(crate) fn new(sink: Box<dyn RowSink + 'h>) -> Self {
        Self { sink, lines: Lines::default(), mark: None, few: FEW_ROWS, written: 0 }
    }

    /// Lets a cursor close a batch of so many records and more, at most 1,000; 100 by default. With 0 every page travels
    /// at once and alone: a retry then repeats less, and small pages cost more.
    pub const fn batch_at_least(&mut self, records: u32) {
        self.few = records;
    }

    /// Records taken so far.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Takes a record.
    pub fn push(&mut self, record: &impl Serialize) -> Result<()> {
        let start = self.lines.data.len();
        if let Err(error) = serde_json::to_writer(&mut self.lines.data, record) {
            self.lines.data.truncate(start);
            let message = format!("a record cannot be written as JSON: {error}");
            return Err(Error::new(Kind::Internal, "connector.record_invalid", message));
        }
        if self.lines.data.iter().skip(start).any(|byte| *byte == b'\n') {
            // Raw JSON inside a record may have line feeds; what serde prints itself has none.
            let printed = String::from_utf8(self.lines.data.split_off(start)).unwrap_or_default();
            append_compact(Json::slice(&printed), &mut self.lines.data);
        }
        let length = self.lines.data.len() - start;
        if start > 0 && start + length >= BATCH_BYTES {
            let record = self.lines.data.split_off(start);
            self.send()?;
            self.lines.data.extend_from_slice(&record);
        }
        self.end_record(length)
    }

    /// Takes a record as it was written, to the last digit.
    pub fn push_raw(&mut self, record: &RawValue) -> Result<()> {
        self.push_json(Json::of(record))
    }

    /// The same for a slice of an answer, see [`Page::records`](crate::paging::Page::records).
    pub fn push_json(&mut self, record: Json<'_>) -> Result<()> {
        if self.lines.count > 0 && self.lines.data.len() + record.get().len() >= BATCH_BYTES {
            self.send()?;
        }
        let start = self.lines.data.len();
        append_compact(record, &mut self.lines.data);
        self.end_record(self.lines.data.len() - start)
    }

    fn end_record(&mut self, length: usize) -> Result<()> {
        if length > RECORD_BYTES {
            self.lines.data.truncate(self.lines.data.len() - length);
            let message = format!("a record has more than {RECORD_BYTES} bytes; ask the system for fewer fields");
            return Err(Error::data("connector.record_too_large", message));
        }
        self.lines.data.push(b'\n');
        self.lines.count += 1;
        self.written += 1;
        if self.lines.count >= MOST_ROWS { self.send() } else { Ok(()) }
    }

    /// After all records so far, continue with this cursor, at most 16 KiB of JSON. Customer data has no place in it.
    pub fn mark(&mut self, cursor: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(cursor).map_err(|error| {
            Error::new(Kind::Internal, "connector.cursor_invalid", format!("the cursor cannot be written: {error}"))
        })?;
        self.mark_json(json)
    }

    /// The same for a cursor that is JSON already.
    pub fn mark_json(&mut self, cursor: String) -> Result<()> {
        self.mark = Some(Mark { rows: self.lines.count, bytes: self.lines.data.len(), cursor });
        if self.lines.count >= self.few { self.send() } else { Ok(()) }
    }

    /// Hands on what waits for company. Happens by itself when the activity ends, also when it fails.
    pub fn flush(&mut self) -> Result<()> {
        self.send()
    }

    /// Sends everything up to the last mark with its cursor, and what follows without one.
    fn send(&mut self) -> Result<()> {
        let lines = std::mem::take(&mut self.lines);
        let Some(mark) = self.mark.take() else { return self.hand_on(lines, None) };
        if mark.rows == lines.count {
            return self.hand_on(lines, Some(&mark.cursor));
        }
        let Lines { count, mut data } = lines;
        let rest = data.split_off(mark.bytes.min(data.len()));
        self.hand_on(Lines { count: mark.rows, data }, Some(&mark.cursor))?;
        self.hand_on(Lines { count: count - mark.rows, data: rest }, None)
    }

    fn hand_on(&mut self, lines: Lines, cursor: Option<&str>) -> Result<()> {
        match (lines.count, cursor) {
            (0, None) => Ok(()),
            (0, Some(cursor)) => self.sink.checkpoint(cursor),
            (_, cursor) => self.sink.write(lines, cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    type Seen = Rc<RefCell<Vec<(u32, usize, Option<String>)>>>;

    struct Sink(Seen);

    impl RowSink for Sink {
        fn write(&mut self, rows: Lines, cursor: Option<&str>) -> Result<()> {
            assert_eq!(rows.data.iter().filter(|byte| **byte == b'\n').count(), rows.count as usize);
            self.0.borrow_mut().push((rows.count, rows.data.len(), cursor.map(str::to_owned)));
            Ok(())
        }

        fn checkpoint(&mut self, cursor: &str) -> Result<()> {
            self.0.borrow_mut().push((0, 0, Some(cursor.to_owned())));
            Ok(())
        }
    }

    fn written(work: impl FnOnce(&mut Writer<'static>) -> Result<()>) -> Vec<(u32, usize, Option<String>)> {
        let seen = Seen::default();
        let mut writer = Writer::new(Box::new(Sink(Rc::clone(&seen))));
        work(&mut writer).unwrap();
        writer.flush().unwrap();
        seen.take()
    }

    #[test]
    fn small_pages_wait_for_each_other_and_travel_with_the_last_cursor() {
        let batches = written(|out| {
            for page in 0..6 {
                (0..40).try_for_each(|n| out.push(&n))?;
                out.mark(&page)?;
            }
            Ok(())
        });
        let shape: Vec<_> = batches.iter().map(|(rows, _, cursor)| (*rows, cursor.as_deref())).collect();
        assert_eq!(shape, [(120, Some("2")), (120, Some("5"))]);
    }

    #[test]
    fn every_page_travels_at_once_where_that_is_wanted() {
        let batches = written(|out| {
            out.batch_at_least(0);
            for page in 0..2 {
                out.push(&page)?;
                out.mark(&page)?;
            }
            out.mark(&"empty")
        });
        let shape: Vec<_> = batches.iter().map(|(rows, _, cursor)| (*rows, cursor.as_deref())).collect();
        assert_eq!(shape, [(1, Some("0")), (1, Some("1")), (0, Some("\"empty\""))]);
    }

    #[test]
    fn a_batch_is_cut_at_the_last_mark_when_it_is_full() {
        let batches = written(|out| {
            (0..90).try_for_each(|n| out.push(&n))?;
            out.mark(&"here")?;
            (0..1_200).try_for_each(|n| out.push(&n))
        });
        let shape: Vec<_> = batches.iter().map(|(rows, _, cursor)| (*rows, cursor.as_deref())).collect();
        assert_eq!(shape, [(90, Some("\"here\"")), (910, None), (290, None)]);
    }

    #[test]
    fn batches_are_cut_by_size_and_a_record_beyond_the_contract_is_refused() {
        let large = "x".repeat(200_000);
        let batches = written(|out| (0..5).try_for_each(|_| out.push(&large)));
        assert_eq!(batches.iter().map(|(rows, ..)| *rows).collect::<Vec<_>>(), [2, 2, 1]);
        let mut writer = Writer::new(Box::new(Sink(Seen::default())));
        assert_eq!(writer.push(&"x".repeat(RECORD_BYTES)).unwrap_err().code, "connector.record_too_large");
        writer.push(&1).unwrap();
        assert_eq!(writer.lines.data, b"1\n", "the refused record left nothing behind");
    }

    #[test]
    fn a_mark_without_records_is_a_checkpoint() {
        assert_eq!(written(|out| out.mark(&7)), [(0, 0, Some("7".into()))]);
    }
}
