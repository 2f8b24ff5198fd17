//! One side of a run: an invocation of a connector, with its channels.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::mpsc;
use wherry_host::{Blobs, ConnectorFault, Egress, FromConnector, Outcome, Task, ToConnector};
use wherry_worker::Runner;

/// Messages that wait for a connector. The host keeps two more batches on its side.
const INBOX: usize = 1;
/// Messages of a connector that wait for us.
const OUTBOX: usize = 4;

type Work = Pin<Box<dyn Future<Output = Result<Outcome, ConnectorFault>> + Send>>;

/// A running invocation. Dropping it stops the connector at once.
pub(super) struct Side {
    work: Option<Work>,
    outcome: Option<Result<Outcome, ConnectorFault>>,
    inbox: Option<mpsc::Sender<ToConnector>>,
    outbox: mpsc::Receiver<FromConnector>,
    drained: bool,
}

/// What moved while a side was driven.
enum Turn {
    Heard(Option<FromConnector>),
    Gave { last: bool },
    Over(Result<Outcome, ConnectorFault>),
}

/// What a side did.
pub(super) enum Said {
    /// It sent a message.
    Message(FromConnector),
    /// It ended, and everything it sent was received.
    Ended(Result<Outcome, ConnectorFault>),
    /// It took what was meant for it.
    Taken,
}

impl Side {
    pub(super) fn start(connector: Runner, egress: Arc<dyn Egress>, task: Task, blobs: Blobs) -> Self {
        let (inbox, from_us) = mpsc::channel(INBOX);
        let (to_us, outbox) = mpsc::channel(OUTBOX);
        let work = Box::pin(async move { connector.run_with(task, egress, from_us, to_us, blobs).await });
        Self { work: Some(work), outcome: None, inbox: Some(inbox), outbox, drained: false }
    }

    /// Drives the connector until something happens: it says something, or it takes `outgoing` once there is room.
    /// [`Said::Ended`] comes once, after every message. Nothing may follow [`ToConnector::End`].
    pub(super) async fn next(&mut self, outgoing: &mut Option<ToConnector>) -> Said {
        loop {
            if self.drained
                && let Some(outcome) = self.outcome.take()
            {
                return Said::Ended(outcome);
            }
            let step = tokio::select! {
                biased;
                message = self.outbox.recv(), if !self.drained => Turn::Heard(message),
                taken = give(&self.inbox, outgoing), if outgoing.is_some() => Turn::Gave { last: taken },
                outcome = drive(&mut self.work) => Turn::Over(outcome),
            };
            match step {
                Turn::Heard(Some(message)) => return Said::Message(message),
                Turn::Heard(None) => self.drained = true,
                Turn::Gave { last } => {
                    if last {
                        self.inbox = None;
                    }
                    return Said::Taken;
                }
                Turn::Over(outcome) => {
                    self.work = None;
                    self.outcome = Some(outcome);
                }
            }
        }
    }

    /// Asks the connector to stop soon.
    pub(super) fn cancel(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            // With a full inbox, closing it says the same a little later.
            drop(inbox.try_send(ToConnector::Cancel));
        }
    }
}

async fn drive(work: &mut Option<Work>) -> Result<Outcome, ConnectorFault> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Hands the message over once there is room; whether it was the last. Never resolves for a connector that takes
/// nothing any more: its end says why.
async fn give(inbox: &Option<mpsc::Sender<ToConnector>>, outgoing: &mut Option<ToConnector>) -> bool {
    if let Some(inbox) = inbox
        && let Ok(room) = inbox.reserve().await
        && let Some(message) = outgoing.take()
    {
        let last = message == ToConnector::End;
        room.send(message);
        return last;
    }
    std::future::pending().await
}
