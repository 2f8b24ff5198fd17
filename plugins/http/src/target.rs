//! The target: one request for each record.

use serde_json::{Value, json};

use crate::bindings::wherry::connector::invocations::Invocation;
use crate::bindings::wherry::connector::rows::Reader;
use crate::bindings::wherry::connector::types::{Batch, Error};
use crate::config::{self, Send};
use crate::failure::Failure;
use crate::plan::SendPlan;
use crate::records::{BATCH_BYTES, BATCH_ROWS};
use crate::source::stop_if_asked;
use crate::url::Base;
use crate::wire;

/// The progress of one invocation.
struct Sender<'a> {
    base: &'a Base,
    plan: SendPlan,
    key: String,
    first_row: u64,
    dry_run: bool,
    done: u64,
    rejected: u64,
}

/// Sends all records; gives what happened.
pub(crate) fn send(base: &Base, inv: &Invocation, input: &Reader) -> Result<Value, Error> {
    let params: Send = config::params(&inv.params())?;
    params.check_key(&inv.activity())?;
    let mut sender = Sender {
        base,
        plan: SendPlan::new(&params)?,
        key: inv.key(),
        first_row: input.first_row(),
        dry_run: inv.dry_run(),
        done: 0,
        rejected: 0,
    };
    while let Some(batch) = input.next(BATCH_ROWS as u32, BATCH_BYTES as u32)? {
        let ended = sender.batch(inv, input, &batch);
        // What has been sent is acknowledged even if the rest fails: a retry must not send it again.
        input.ack(sender.done)?;
        ended?;
    }
    Ok(json!({ "records": sender.done, "rejected": sender.rejected, "dry_run": sender.dry_run }))
}

impl Sender<'_> {
    fn batch(&mut self, inv: &Invocation, input: &Reader, batch: &Batch) -> Result<(), Error> {
        for line in batch.data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            stop_if_asked(inv)?;
            match self.record(line) {
                Ok(()) => {}
                Err(failure) if failure.is_about_one_record() => {
                    input.reject(self.done, &failure.into())?;
                    self.rejected += 1;
                }
                Err(failure) => return Err(failure.into()),
            }
            self.done += 1;
        }
        Ok(())
    }

    fn record(&self, line: &[u8]) -> Result<(), Failure> {
        let key = format!("{}-{}", self.key, self.first_row + self.done);
        let request = self.plan.request(self.base, line, &key)?;
        if self.dry_run {
            return Ok(());
        }
        let answer = wire::hand_over(&request)?;
        answer.check_status(wire::now())?;
        answer.refuse_page()
    }
}
