//! The streams of records of the contract.

use super::bindings::wherry::connector::rows::{Reader, Writer};
use super::bindings::wherry::connector::types::Batch;
use crate::error::{Error, Result};
use crate::host::{Lines, RowSink, RowSource};

/// The records for a target.
pub(super) struct Input<'i>(pub(super) &'i Reader);

impl RowSource for Input<'_> {
    fn next(&mut self, max_rows: u32, max_bytes: u32) -> Result<Option<Lines>> {
        let batch = self.0.next(max_rows, max_bytes)?;
        Ok(batch.map(|Batch { count, data }| Lines { count, data }))
    }

    fn first_row(&self) -> u64 {
        self.0.first_row()
    }

    fn ack(&mut self, up_to: u64) -> Result<()> {
        Ok(self.0.ack(up_to)?)
    }

    fn reject(&mut self, row: u64, reason: &Error) -> Result<()> {
        Ok(self.0.reject(row, &reason.clone().into())?)
    }
}

/// The records of a source.
pub(super) struct Output<'o>(pub(super) &'o Writer);

impl RowSink for Output<'_> {
    fn write(&mut self, rows: Lines, cursor: Option<&str>) -> Result<()> {
        let Lines { count, data } = rows;
        Ok(self.0.write(&Batch { count, data }, cursor)?)
    }

    fn checkpoint(&mut self, cursor: &str) -> Result<()> {
        Ok(self.0.checkpoint(cursor)?)
    }
}
