//! The records of a target: read in batches, acknowledged or rejected one by one.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::RowSource;

/// Records asked for at once.
const ROWS: u32 = 500;
/// Bytes asked for at once.
const BYTES: u32 = 256 << 10;

/// The records of a target. They are numbered from 0.
pub struct Reader<'h> {
    source: Box<dyn RowSource + 'h>,
    key: String,
    first_row: u64,
    next_row: u64,
    on_error: fn(Error) -> Error,
}

/// What became of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Handled {
    /// Records taken, the rejected ones included.
    pub records: u64,
    /// Records that the system refused.
    pub rejected: u64,
}

/// Records that came together.
pub struct Batch {
    first: u64,
    first_row: u64,
    key: String,
    count: u64,
    data: Vec<u8>,
}

/// One record.
#[derive(Clone, Copy)]
pub struct Record<'b> {
    row: u64,
    number: u64,
    key: &'b str,
    json: &'b [u8],
}

impl<'h> Reader<'h> {
    pub(crate) fn new(source: Box<dyn RowSource + 'h>, key: String, on_error: fn(Error) -> Error) -> Self {
        let first_row = source.first_row();
        Self { source, key, first_row, next_row: 0, on_error }
    }

    /// Hands each record to `work`. A record that the system refuses is rejected and the others go on; any other
    /// failure ends the work. What was done before it is acknowledged either way, so that a retry does not repeat it.
    pub fn each<O>(&mut self, cx: &Context<'_, O>, mut work: impl FnMut(Record<'_>) -> Result<()>) -> Result<Handled> {
        let mut handled = Handled::default();
        while let Some(batch) = self.batch()? {
            let ended = self.work_through(cx, &batch, &mut work, &mut handled);
            self.ack(handled.records)?;
            ended?;
        }
        Ok(handled)
    }

    fn work_through<O>(
        &mut self,
        cx: &Context<'_, O>,
        batch: &Batch,
        work: &mut impl FnMut(Record<'_>) -> Result<()>,
        handled: &mut Handled,
    ) -> Result<()> {
        for record in batch.records() {
            cx.stop_if_asked()?;
            match work(record) {
                Ok(()) => {}
                Err(error) if error.is_about_one_record() => {
                    self.reject(record.row, error)?;
                    handled.rejected += 1;
                }
                Err(error) => return Err(error),
            }
            handled.records += 1;
        }
        Ok(())
    }

    /// The next records, for systems that take many at once; `None` when there are no more.
    pub fn batch(&mut self) -> Result<Option<Batch>> {
        let Some(lines) = self.source.next(ROWS, BYTES)? else { return Ok(None) };
        let batch = Batch {
            first: self.next_row,
            first_row: self.first_row,
            key: self.key.clone(),
            count: u64::from(lines.count),
            data: lines.data,
        };
        self.next_row += batch.count;
        Ok(Some(batch))
    }

    /// How many records of the run earlier attempts applied before record 0.
    pub const fn first_row(&self) -> u64 {
        self.first_row
    }

    /// The system holds the records 0 to `up_to` - 1 durably, or refused them. It only grows.
    pub fn ack(&mut self, up_to: u64) -> Result<()> {
        self.source.ack(up_to)
    }

    /// The system refused one record; the run goes on without it.
    pub fn reject(&mut self, row: u64, reason: Error) -> Result<()> {
        self.source.reject(row, &(self.on_error)(reason))
    }
}

impl Batch {
    /// How many records.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One more than the number of its last record: acknowledge up to here.
    pub const fn end(&self) -> u64 {
        self.first + self.count
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let lines = self.data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.zip(self.first..).map(|(json, row)| Record { row, number: self.first_row + row, key: &self.key, json })
    }
}

impl<'b> Record<'b> {
    /// Its number in this input.
    pub const fn row(&self) -> u64 {
        self.row
    }

    /// The record as it came, one line of JSON.
    pub const fn json(&self) -> &'b [u8] {
        self.json
    }

    /// The record as a type; one that does not fit is the record's fault.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let mut deserializer = serde_json::Deserializer::from_slice(self.json);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let message = format!("the record does not fit at {}; see the details for what is expected", error.path());
            // What serde says may quote the record, which has no business in a message.
            Error::data("connector.record_invalid", message)
                .with_details(serde_json::json!({ "reason": error.inner().to_string() }))
        })
    }

    /// The record as a value.
    pub fn value(&self) -> Result<Value> {
        serde_json::from_slice(self.json)
            .map_err(|error| Error::data("connector.record_invalid", format!("the record is not JSON: {error}")))
    }

    /// An idempotency key of this record: the same for all attempts of the run.
    pub fn key(&self) -> String {
        format!("{}-{}", self.key, self.number)
    }
}
