//! The middle of a run: programs between source and target, with their channels.

use std::{future::Future, pin::Pin};

use tokio::sync::mpsc;
use wherry_host::{Batch, TransformFault, Transformation, Transformed, Transformer};

/// Batches that wait for the programs.
const INBOX: usize = 1;
/// Results that wait for us.
const OUTBOX: usize = 2;

type Work = Pin<Box<dyn Future<Output = Result<(), TransformFault>> + Send>>;

/// Running programs. Dropping it stops them at once.
pub(super) struct Stage {
    work: Option<Work>,
    outcome: Option<Result<(), TransformFault>>,
    inbox: Option<mpsc::Sender<Batch>>,
    outbox: mpsc::Receiver<Transformed>,
    drained: bool,
    closing: bool,
}

/// What moved while the programs were driven.
enum Turn {
    Heard(Option<Transformed>),
    Gave,
    Over(Result<(), TransformFault>),
}

/// What the programs did.
pub(super) enum Told {
    /// They gave results, or used a batch up.
    Out(Transformed),
    /// They ended, and everything they gave was received.
    Ended(Result<(), TransformFault>),
    /// They took what was meant for them.
    Taken,
}

impl Stage {
    pub(super) fn start(transformer: Transformer, what: Transformation) -> Self {
        let (inbox, from_us) = mpsc::channel(INBOX);
        let (to_us, outbox) = mpsc::channel(OUTBOX);
        let work = Box::pin(async move { transformer.run(what, from_us, to_us).await });
        Self { work: Some(work), outcome: None, inbox: Some(inbox), outbox, drained: false, closing: false }
    }

    /// There are no more records than those on their way.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Drives the programs until something happens: they take `incoming` once there is room for it, or, while there is
    /// `room` on our side, they say something. [`Told::Ended`] comes once, after everything else.
    pub(super) async fn next(&mut self, incoming: &mut Option<Batch>, room: bool) -> Told {
        loop {
            if self.closing && incoming.is_none() {
                self.inbox = None;
            }
            if room
                && self.drained
                && let Some(outcome) = self.outcome.take()
            {
                return Told::Ended(outcome);
            }
            let turn = tokio::select! {
                biased;
                out = self.outbox.recv(), if room && !self.drained => Turn::Heard(out),
                () = give(&self.inbox, incoming), if incoming.is_some() => Turn::Gave,
                outcome = drive(&mut self.work) => Turn::Over(outcome),
            };
            match turn {
                Turn::Heard(Some(out)) => return Told::Out(out),
                Turn::Heard(None) => self.drained = true,
                Turn::Gave => return Told::Taken,
                Turn::Over(outcome) => {
                    self.work = None;
                    self.outcome = Some(outcome);
                }
            }
        }
    }
}

async fn drive(work: &mut Option<Work>) -> Result<(), TransformFault> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Hands the batch over once there is room. Never resolves for programs that take nothing any more: their end says why.
async fn give(inbox: &Option<mpsc::Sender<Batch>>, incoming: &mut Option<Batch>) {
    if let Some(inbox) = inbox
        && let Ok(room) = inbox.reserve().await
        && let Some(batch) = incoming.take()
    {
        return room.send(batch);
    }
    std::future::pending().await
}
