//! Logs of runs: lines from agents, kept in chunks that begin at a numbered line.

use wherry_daemon::store::{Direction, record};
use wherry_domain::{fence::Fence, id::RunId};
use wherry_proto::frame::LogLine;

use super::{Ledger, Page, Refusal, Turn};
use crate::model::{LOGS, LogEntry, SCHEMA};

/// Most log chunks of a run; what comes later is not kept.
const MAX_LOG_CHUNKS: u32 = 1_000;
/// Size of a chunk, in bytes.
const CHUNK: usize = 48 << 10;
/// What a line takes beside its text, in bytes.
const WRAPPING: usize = 128;

impl Ledger {
    /// Log lines of a run after the first `after`, with the number of each.
    ///
    /// # Errors
    /// If there is no such run or the store cannot be read.
    pub async fn logs(
        &self,
        run: RunId,
        after: usize,
        limit: usize,
    ) -> Result<Page<(usize, LogEntry), usize>, Refusal> {
        self.act(move |turn| turn.log_page(run, after, limit)).await
    }
}

impl Turn<'_> {
    /// Lines of a run's log.
    pub(super) fn log(&mut self, run: RunId, fence: Fence, lines: Vec<LogLine>) {
        let attempt = fence.attempt();
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        for LogLine { at_ms, level, text } in lines {
            let entry = LogEntry { at_ms, level: plain(&level), text: plain(&text), attempt };
            // A quotation mark takes two bytes.
            let size = 2 * entry.text.len() + WRAPPING;
            if bytes + size > CHUNK {
                self.log_chunk(run, std::mem::take(&mut chunk));
                bytes = 0;
            }
            bytes += size;
            chunk.push(entry);
        }
        self.log_chunk(run, chunk);
    }

    fn log_chunk(&mut self, run: RunId, chunk: Vec<LogEntry>) {
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        let record = &mut active.record;
        if chunk.is_empty() || record.log_chunks >= MAX_LOG_CHUNKS {
            return;
        }
        let key = key(run, record.log_lines);
        record.log_chunks += 1;
        record.log_lines = record.log_lines.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
        self.put_of(run, LOGS, key, &chunk);
        self.changed(run);
    }

    fn log_page(&self, run: RunId, after: usize, limit: usize) -> Result<Page<(usize, LogEntry), usize>, Refusal> {
        let all = self.run(run)?.log_lines as usize;
        let (mut number, mut items) = (self.chunk_before(run, after)?, Vec::new());
        let mut chunk = self.chunk(run, number)?;
        while let Some(lines) = chunk {
            let numbered = lines.into_iter().map(|line| {
                number += 1;
                (number, line)
            });
            items.extend(numbered.filter(|(n, _)| *n > after));
            chunk = if items.len() < limit { self.chunk(run, number)? } else { None };
        }
        items.truncate(limit);
        let next = items.last().map(|(n, _)| *n).filter(|n| *n < all);
        Ok(Page { items, next })
    }

    /// How many lines come before the chunk that holds the line after `after`.
    fn chunk_before(&self, run: RunId, after: usize) -> Result<usize, Refusal> {
        let bound = key(run, u32::try_from(after).unwrap_or(u32::MAX).saturating_add(1));
        let found = self.store.scan(LOGS, &run.to_bytes(), Some(&bound), Direction::Descending, 1);
        let found = found.map_err(|error| Refusal::read(&error))?;
        let first =
            found.first().and_then(|(key, _)| key.last_chunk::<4>()).map_or(0, |first| u32::from_be_bytes(*first));
        Ok(first as usize)
    }

    /// The chunk after so many lines.
    fn chunk(&self, run: RunId, lines: usize) -> Result<Option<Vec<LogEntry>>, Refusal> {
        let key = key(run, u32::try_from(lines).unwrap_or(u32::MAX));
        let bytes = self.store.get(LOGS, &key).map_err(|error| Refusal::read(&error))?;
        bytes.map(|bytes| record::decode(SCHEMA, &bytes)).transpose().map_err(|error| Refusal::read(&error))
    }
}

/// Log chunks are named by the number of lines before them.
fn key(run: RunId, lines_before: u32) -> Vec<u8> {
    [run.to_bytes().as_slice(), &lines_before.to_be_bytes()].concat()
}

/// The text on one line, without what a terminal would take for a command.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
