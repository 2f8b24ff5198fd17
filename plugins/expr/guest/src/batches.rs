//! Results on their way out, in batches within limits.

use std::collections::VecDeque;

/// How much may come out.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most records of a batch.
    pub batch_rows: u32,
    /// Most bytes of a batch, and of one result.
    pub batch_bytes: usize,
    /// Most results of one record.
    pub record_results: u32,
    /// Most bytes of all results of one record.
    pub record_bytes: usize,
}

/// Records: one JSON value per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many.
    pub count: u32,
    /// Their lines, each ended by a line feed.
    pub data: Vec<u8>,
}

/// Results that wait to be fetched.
#[derive(Debug)]
pub(crate) struct Batches {
    limits: Limits,
    full: VecDeque<Batch>,
    filling: Batch,
}

impl Batches {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, full: VecDeque::new(), filling: Batch::default() }
    }

    /// Adds one line that ends with a line feed.
    pub(crate) fn push(&mut self, line: &[u8]) {
        let no_room = self.filling.data.len() + line.len() > self.limits.batch_bytes;
        if self.filling.count >= self.limits.batch_rows || (no_room && self.filling.count > 0) {
            self.full.push_back(std::mem::take(&mut self.filling));
        }
        self.filling.count += 1;
        self.filling.data.extend_from_slice(line);
    }

    /// A batch to which nothing more fits.
    pub(crate) fn next_full(&mut self) -> Option<Batch> {
        self.full.pop_front()
    }

    /// What is left.
    pub(crate) fn take_rest(&mut self) -> Option<Batch> {
        let rest = std::mem::take(&mut self.filling);
        (rest.count > 0).then_some(rest)
    }
}
