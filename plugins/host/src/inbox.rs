//! Messages on their way to a connector: records to its reader, and the wish to stop past them.

use std::convert::Infallible;

use tokio::sync::{mpsc, watch};

use crate::message::{Batch, ToConnector};

/// Batches that wait for the reader. Two, so that one can be fetched while another is worked on.
const WAITING: usize = 2;

/// Whether the caller wants the invocation to stop.
#[derive(Clone)]
pub(crate) struct Cancelled(watch::Receiver<bool>);

impl Cancelled {
    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the wish to stop; for ever, if it never comes.
    pub(crate) async fn wait(&mut self) {
        if self.0.wait_for(|wish| *wish).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The host's side of an inbox.
pub(crate) struct Pump {
    inbox: mpsc::Receiver<ToConnector>,
    rows: Option<mpsc::Sender<Batch>>,
    cancel: watch::Sender<bool>,
    expects_rows: bool,
}

/// Splits an inbox into the records and the wish to stop; the [`Pump`] must run for either to arrive.
pub(crate) fn open(inbox: mpsc::Receiver<ToConnector>, expects_rows: bool) -> (Pump, mpsc::Receiver<Batch>, Cancelled) {
    let (rows, reader) = mpsc::channel(WAITING);
    let (cancel, cancelled) = watch::channel(false);
    (Pump { inbox, rows: Some(rows), cancel, expects_rows }, reader, Cancelled(cancelled))
}

impl Pump {
    /// Moves messages for as long as it is polled.
    pub(crate) async fn run(mut self) -> Infallible {
        loop {
            match self.inbox.recv().await {
                Some(ToConnector::Batch(batch)) => self.pass_on(batch).await,
                Some(ToConnector::End) => self.rows = None,
                Some(ToConnector::Cancel) => break,
                // A caller that is gone cannot want the work; one that has said everything may go.
                None if self.expects_rows && self.rows.is_some() => break,
                None => std::future::pending().await,
            }
        }
        // The wish first: a reader that sees the end of its records must not take it for their regular end.
        self.cancel.send_replace(true);
        self.rows = None;
        std::future::pending().await
    }

    async fn pass_on(&mut self, batch: Batch) {
        if let Some(rows) = &self.rows
            && rows.send(batch).await.is_err()
        {
            // The connector has dropped its reader; whatever else comes is of no use to it.
            self.rows = None;
            self.expects_rows = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn batch(count: u32) -> Batch {
        Batch { count, data: bytes::Bytes::new() }
    }

    #[tokio::test]
    async fn records_arrive_in_order_and_end() {
        let (tx, rx) = mpsc::channel(8);
        let (pump, mut rows, cancelled) = open(rx, true);
        for message in [ToConnector::Batch(batch(1)), ToConnector::Batch(batch(2)), ToConnector::End] {
            tx.send(message).await.unwrap();
        }
        drop(tx);
        let counts = async { [rows.recv().await, rows.recv().await, rows.recv().await].map(|b| b.map(|b| b.count)) };
        assert_eq!(beside(pump, counts).await, [Some(1), Some(2), None]);
        assert!(!cancelled.is_set(), "a caller that has said everything may go");
    }

    #[tokio::test]
    async fn a_caller_that_vanishes_before_the_end_cancels() {
        let (tx, rx) = mpsc::channel(1);
        let (pump, mut rows, mut cancelled) = open(rx, true);
        drop(tx);
        beside(pump, cancelled.wait()).await;
        assert_eq!(rows.recv().await, None);
    }

    #[tokio::test]
    async fn a_cancel_arrives_although_nobody_reads_records() {
        let (tx, rx) = mpsc::channel(8);
        let (pump, _rows, mut cancelled) = open(rx, true);
        tx.send(ToConnector::Batch(batch(1))).await.unwrap();
        tx.send(ToConnector::Cancel).await.unwrap();
        beside(pump, cancelled.wait()).await;
        assert!(cancelled.is_set());
    }

    /// Waits for something while the pump runs.
    async fn beside<T>(pump: Pump, wanted: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            never = pump.run() => match never {},
            value = tokio::time::timeout(Duration::from_secs(5), wanted) => value.unwrap(),
        }
    }
}
