//! `wherry:connector/rows`: records in and out, with backpressure.

use std::collections::BTreeSet;

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmtime::component::Resource;

use super::{Guest, refusal};
use crate::bindings::rows::{Host, HostReader, HostWriter};
use crate::bindings::types::{Batch as WitBatch, Error, ErrorKind};
use crate::inbox::Cancelled;
use crate::message::{Batch, FromConnector};
use crate::settings::contract::{BATCH_BYTES, BATCH_ROWS, CURSOR_BYTES};
use crate::trap;

/// Rejected records that may wait for an acknowledgement: their numbers are kept.
const OPEN_REJECTIONS: usize = 100_000;

/// The caller's ear, for as long as it wants to hear more.
#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) messages: mpsc::Sender<FromConnector>,
    pub(crate) cancelled: Cancelled,
}

impl Outbox {
    /// Waits for room; gives up when the caller cancels or is gone.
    async fn send(&mut self, message: FromConnector) -> Result<(), Error> {
        if self.cancelled.is_set() {
            return Err(stopped());
        }
        tokio::select! {
            sent = self.messages.send(message) => sent.map_err(|_| stopped()),
            () = self.cancelled.wait() => Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    refusal(ErrorKind::Cancelled, "sandbox.cancelled", "the host asked to stop")
}

fn misuse(code: &str, message: String) -> Error {
    refusal(ErrorKind::Internal, code, message)
}

/// The records for a target.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Reader {
    rows: mpsc::Receiver<Batch>,
    outbox: Outbox,
    first_row: u64,
    rest: Option<Batch>,
    handed: u64,
    acked: u64,
    /// Rejected since the last acknowledgement.
    rejected: BTreeSet<u64>,
    /// It was told that there are no more.
    pub(crate) saw_end: bool,
}

impl Reader {
    pub(crate) fn new(rows: mpsc::Receiver<Batch>, outbox: Outbox, first_row: u64) -> Self {
        Self { rows, outbox, first_row, rest: None, handed: 0, acked: 0, rejected: BTreeSet::new(), saw_end: false }
    }

    async fn next(&mut self, max_rows: u32, max_bytes: u32) -> Result<Option<Batch>, Error> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => tokio::select! {
                biased;
                () = self.outbox.cancelled.wait() => return Err(stopped()),
                batch = self.rows.recv() => match batch {
                    Some(batch) => batch,
                    None if self.outbox.cancelled.is_set() => return Err(stopped()),
                    None => {
                        self.saw_end = true;
                        return Ok(None);
                    }
                },
            },
        };
        let (head, rest) = split(batch, max_rows, max_bytes);
        self.rest = rest;
        self.handed += u64::from(head.count);
        Ok(Some(head))
    }

    /// Each open record can be rejected once; who rejects many has to acknowledge them on the way.
    fn note_rejected(&mut self, row: u64) -> Result<(), Error> {
        let (acked, handed) = (self.acked, self.handed);
        if self.rejected.len() >= OPEN_REJECTIONS {
            let message =
                format!("{OPEN_REJECTIONS} records are rejected and not acknowledged; acknowledge them first");
            return Err(misuse("sandbox.reject_invalid", message));
        }
        if row >= handed || row < acked || !self.rejected.insert(row) {
            let message = format!("rejected record {row}, open are {acked} to {handed} (exclusive), each of them once");
            return Err(misuse("sandbox.reject_invalid", message));
        }
        Ok(())
    }

    async fn ack(&mut self, up_to: u64) -> Result<(), Error> {
        if up_to < self.acked || up_to > self.handed {
            let (acked, handed) = (self.acked, self.handed);
            let message = format!("acknowledged {up_to} records, possible are {acked} to {handed}");
            return Err(misuse("sandbox.ack_invalid", message));
        }
        if up_to > self.acked {
            self.acked = up_to;
            self.rejected = self.rejected.split_off(&up_to);
            self.outbox.send(FromConnector::Acked { up_to }).await?;
        }
        Ok(())
    }
}

/// The largest beginning of a batch within the limits, at least one record; and what is left.
fn split(mut batch: Batch, max_rows: u32, max_bytes: u32) -> (Batch, Option<Batch>) {
    let (max_rows, max_bytes) = (max_rows.max(1), usize::try_from(max_bytes).unwrap_or(usize::MAX));
    if batch.count <= max_rows && batch.data.len() <= max_bytes {
        return (batch, None);
    }
    let (mut rows, mut end) = (0, 0);
    for (at, _) in batch.data.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if rows == max_rows || (rows > 0 && at >= max_bytes) {
            break;
        }
        (rows, end) = (rows + 1, at + 1);
    }
    if rows == 0 || end == batch.data.len() {
        return (batch, None);
    }
    let head = Batch { count: rows, data: batch.data.split_to(end) };
    batch.count = batch.count.saturating_sub(rows);
    (head, Some(batch))
}

/// The records of a source.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Writer {
    outbox: Outbox,
}

impl Writer {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox }
    }
}

fn check_batch(rows: &WitBatch) -> Result<(), Error> {
    if rows.count > BATCH_ROWS || rows.data.len() > BATCH_BYTES {
        let (count, bytes) = (rows.count, rows.data.len());
        let message = format!(
            "a batch has at most {BATCH_ROWS} records and {BATCH_BYTES} bytes, this one has {count} and {bytes}; \
             write it in parts"
        );
        return Err(misuse("sandbox.batch_too_large", message));
    }
    let lines = lines(&rows.data);
    if lines != rows.count || !matches!(rows.data.last(), None | Some(b'\n')) {
        let message = format!("a batch of {} records has {lines} lines; end each record with a line feed", rows.count);
        return Err(misuse("sandbox.batch_invalid", message));
    }
    Ok(())
}

/// Counted in pieces that a byte can count, which the compiler turns into vector code.
fn lines(data: &[u8]) -> u32 {
    let piece = |piece: &[u8]| u32::from(piece.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>());
    data.chunks(usize::from(u8::MAX)).map(piece).sum()
}

fn check_cursor(cursor: &str) -> Result<(), Error> {
    if cursor.len() > CURSOR_BYTES {
        let message = format!("a cursor has at most {CURSOR_BYTES} bytes, this one has {}", cursor.len());
        return Err(misuse("sandbox.cursor_too_large", message));
    }
    Ok(())
}

impl Host for Guest {}

impl HostReader for Guest {
    async fn next(
        &mut self,
        this: Resource<Reader>,
        max_rows: u32,
        max_bytes: u32,
    ) -> wasmtime::Result<Result<Option<WitBatch>, Error>> {
        let batch = self.table.get_mut(&this)?.next(max_rows, max_bytes).await;
        // No copy when the batch is whole: the buffer changes hands.
        Ok(batch.map(|batch| batch.map(|batch| WitBatch { count: batch.count, data: batch.data.into() })))
    }

    fn first_row(&mut self, this: Resource<Reader>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.first_row)
    }

    async fn ack(&mut self, this: Resource<Reader>, up_to: u64) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.table.get_mut(&this)?.ack(up_to).await)
    }

    async fn reject(&mut self, this: Resource<Reader>, row: u64, reason: Error) -> wasmtime::Result<Result<(), Error>> {
        let error = trap::reported(reason, &self.failure);
        let reader = self.table.get_mut(&this)?;
        if let Err(misuse) = reader.note_rejected(row) {
            return Ok(Err(misuse));
        }
        Ok(reader.outbox.send(FromConnector::Rejected { row, error }).await)
    }

    fn drop(&mut self, this: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostWriter for Guest {
    async fn write(
        &mut self,
        this: Resource<Writer>,
        rows: WitBatch,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let writer = self.table.get_mut(&this)?;
        if let Err(misuse) = check_batch(&rows).and_then(|()| cursor.as_deref().map_or(Ok(()), check_cursor)) {
            return Ok(Err(misuse));
        }
        let batch = Batch { count: rows.count, data: Bytes::from(rows.data) };
        let message = match cursor {
            Some(cursor) if batch.count == 0 => FromConnector::Checkpoint { cursor },
            None if batch.count == 0 => return Ok(Ok(())),
            cursor => FromConnector::Batch { batch, cursor },
        };
        Ok(writer.outbox.send(message).await)
    }

    async fn checkpoint(&mut self, this: Resource<Writer>, cursor: String) -> wasmtime::Result<Result<(), Error>> {
        let writer = self.table.get_mut(&this)?;
        match check_cursor(&cursor) {
            Ok(()) => Ok(writer.outbox.send(FromConnector::Checkpoint { cursor }).await),
            Err(misuse) => Ok(Err(misuse)),
        }
    }

    fn drop(&mut self, this: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &[&str]) -> Batch {
        let data: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Batch { count: u32::try_from(lines.len()).unwrap(), data: data.into() }
    }

    #[test]
    fn a_batch_within_the_limits_is_not_touched() {
        let whole = batch(&["1", "2"]);
        assert_eq!(split(whole.clone(), 2, 4), (whole, None));
    }

    #[test]
    fn a_larger_batch_is_split_by_rows_and_by_bytes() {
        assert_eq!(split(batch(&["1", "2", "3"]), 2, 100), (batch(&["1", "2"]), Some(batch(&["3"]))));
        assert_eq!(split(batch(&["aa", "bb", "cc"]), 10, 6), (batch(&["aa", "bb"]), Some(batch(&["cc"]))));
    }

    #[test]
    fn a_record_larger_than_asked_for_comes_alone() {
        assert_eq!(split(batch(&["aaaaaaaa", "b"]), 10, 3), (batch(&["aaaaaaaa"]), Some(batch(&["b"]))));
        assert_eq!(split(batch(&["aaaaaaaa"]), 0, 0), (batch(&["aaaaaaaa"]), None));
    }

    #[test]
    fn a_batch_must_have_as_many_lines_as_it_says() {
        let wit = |count, data: &str| WitBatch { count, data: data.as_bytes().to_vec() };
        assert!(check_batch(&wit(2, "1\n2\n")).is_ok());
        assert!(check_batch(&wit(0, "")).is_ok());
        for (count, data) in [(3, "1\n2\n"), (2, "1\n2"), (1, ""), (1, "1\n2")] {
            assert_eq!(check_batch(&wit(count, data)).unwrap_err().code, "sandbox.batch_invalid", "{count} {data:?}");
        }
    }
}
