//! One invocation in the worker: what passes between its connector and the agent.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use tokio::sync::mpsc;
use wherry_host::{Blobs, Connector, ConnectorFault, FromConnector, Outcome, Remains, Task, ToConnector};

use super::{
    ToAgent, blobs,
    egress::{self, Exchanges, Outside},
};
use crate::{
    body::Note,
    frame::{BlobAnswer, FROM_CONNECTOR, FromWorker, TO_CONNECTOR, ToWorker},
};

/// What an invocation begins with.
pub(super) struct Beginning {
    pub(super) call: u32,
    pub(super) task: Task,
    pub(super) protected: Vec<String>,
    pub(super) blob_bytes: usize,
    pub(super) parallel: usize,
}

type Ended = (Result<Outcome, ConnectorFault>, Remains);
type Work = Pin<Box<dyn Future<Output = Ended> + Send>>;
type Next = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Call {
    call: u32,
    to_agent: ToAgent,
    exchanges: Arc<Exchanges>,
    inbox: Option<mpsc::Sender<ToConnector>>,
    /// Messages that wait for room with the connector.
    incoming: VecDeque<ToConnector>,
    /// The sender is gone: what waits is still handed on.
    silent: bool,
    outbox: mpsc::Receiver<FromConnector>,
    outbox_open: bool,
    /// Messages that the agent has room for.
    room: usize,
    blob_answers: mpsc::Sender<BlobAnswer>,
}

enum Turn {
    Frame(Option<ToWorker>),
    Said(Option<FromConnector>),
    Note(Note),
    Took,
    BlobsOver,
    NextMade,
    Ended(Ended),
}

/// Runs it to its end and says so, once. The instance of the next one is made while this one waits for somebody.
pub(super) async fn run(
    connector: Arc<Connector>,
    beginning: Beginning,
    frames: mpsc::Receiver<ToWorker>,
    to_agent: ToAgent,
) {
    let Beginning { call, task, protected, blob_bytes, parallel } = beginning;
    let (inbox, messages) = mpsc::channel(1);
    let (outgoing, outbox) = mpsc::channel(1);
    let (note, notes) = mpsc::channel(egress::notes(parallel));
    let exchanges = Arc::new(Exchanges::new(call, to_agent.clone(), &protected, parallel, note));
    let outside = Arc::new(Outside(Arc::clone(&exchanges)));
    let (shelf, wishes) = Blobs::far(blob_bytes);
    let (blob_answers, answers) = mpsc::channel(1);
    let runner = Arc::clone(&connector);
    let work: Work = Box::pin(async move { runner.run_and_leave(task, outside, messages, outgoing, shelf).await });
    let blobs = Box::pin(blobs::serve(call, blob_bytes, to_agent.clone(), wishes, answers));
    let state = Call {
        call,
        to_agent: to_agent.clone(),
        exchanges,
        inbox: Some(inbox),
        incoming: VecDeque::with_capacity(TO_CONNECTOR + 1),
        silent: false,
        outbox,
        outbox_open: true,
        room: FROM_CONNECTOR,
        blob_answers,
    };
    let (ended, remains) = match state.drive(work, next(connector), blobs, frames, notes).await {
        Some((ended, remains)) => (ended, Some(remains)),
        None => (Err(ConnectorFault::Cancelled), None),
    };
    to_agent.send(&FromWorker::Ended { call, ended }).await;
    first_others().await;
    drop(remains);
}

/// Makes the instance of the next one.
fn next(connector: Arc<Connector>) -> Next {
    Box::pin(async move {
        first_others().await;
        connector.make_ahead().await;
    })
}

/// Lets those go first who write what was just said: the agent waits for it.
async fn first_others() {
    tokio::task::yield_now().await;
}

impl Call {
    /// Nothing, if the agent wants it no more.
    async fn drive(
        mut self,
        work: Work,
        mut next: Next,
        mut blobs: Pin<Box<impl Future<Output = ()>>>,
        mut frames: mpsc::Receiver<ToWorker>,
        mut notes: mpsc::Receiver<Note>,
    ) -> Option<Ended> {
        let (mut work, mut ended, mut blobs_over, mut next_made) = (Some(work), None, false, false);
        loop {
            if !self.outbox_open
                && let Some(ended) = ended.take()
            {
                return Some(ended);
            }
            if self.silent && self.incoming.is_empty() {
                self.inbox = None;
            }
            let turn = tokio::select! {
                biased;
                frame = frames.recv() => Turn::Frame(frame),
                Some(note) = notes.recv() => Turn::Note(note),
                said = self.outbox.recv(), if self.outbox_open && self.room > 0 => Turn::Said(said),
                () = hand_over(self.inbox.as_ref(), &mut self.incoming) => Turn::Took,
                () = &mut blobs, if !blobs_over => Turn::BlobsOver,
                ending = drive(&mut work) => Turn::Ended(ending),
                () = &mut next, if !next_made => Turn::NextMade,
            };
            match turn {
                Turn::Frame(None) => return None,
                Turn::Frame(Some(frame)) => self.hear(frame)?,
                Turn::Note(note) => self.note(note).await?,
                Turn::Said(None) => self.outbox_open = false,
                Turn::Said(Some(message)) => {
                    self.room -= 1;
                    self.say(&FromWorker::Said { call: self.call, message }).await?;
                }
                Turn::Took => self.say(&FromWorker::Room { call: self.call }).await?,
                Turn::BlobsOver => blobs_over = true,
                Turn::NextMade => next_made = true,
                Turn::Ended(ending) => {
                    // It holds its outbox no more.
                    (work, ended) = (None, Some(ending));
                }
            }
        }
    }

    async fn say(&self, frame: &FromWorker) -> Option<()> {
        self.to_agent.send(frame).await.then_some(())
    }

    fn hear(&mut self, frame: ToWorker) -> Option<()> {
        match frame {
            ToWorker::Say { message: ToConnector::Cancel, .. } => self.cancel(),
            ToWorker::Say { message, .. } => self.incoming.push_back(message),
            ToWorker::Silent { .. } => self.silent = true,
            ToWorker::Deaf { .. } => {
                self.outbox.close();
                self.outbox_open = false;
            }
            ToWorker::Room { .. } => self.room += 1,
            ToWorker::Stop { .. } => return None,
            ToWorker::Answer { exchange, answer, .. } => self.exchanges.answered(exchange, answer),
            ToWorker::Part { exchange, part, .. } => self.exchanges.part(exchange, part),
            ToWorker::PartRoom { exchange, .. } => self.exchanges.room(exchange),
            ToWorker::Over { exchange, .. } => self.exchanges.over(exchange),
            // There is never more than one question, so that there is room for its answer.
            ToWorker::Blob { answer, .. } => drop(self.blob_answers.try_send(answer)),
            ToWorker::Describe { .. } | ToWorker::Begin { .. } => {}
        }
        Some(())
    }

    async fn note(&self, note: Note) -> Option<()> {
        let call = self.call;
        match note {
            Note::Room(exchange) => self.say(&FromWorker::PartRoom { call, exchange }).await,
            Note::Left(exchange) => self.say(&FromWorker::Leave { call, exchange }).await,
        }
    }

    /// At once if there is room; else, closing the inbox says the same a little later.
    fn cancel(&mut self) {
        self.incoming.clear();
        if let Some(inbox) = self.inbox.take() {
            drop(inbox.try_send(ToConnector::Cancel));
        }
    }
}

/// Hands over the first message once there is room for it.
async fn hand_over(inbox: Option<&mpsc::Sender<ToConnector>>, incoming: &mut VecDeque<ToConnector>) {
    if let Some(inbox) = inbox
        && !incoming.is_empty()
        && let Ok(room) = inbox.reserve().await
        && let Some(message) = incoming.pop_front()
    {
        room.send(message);
        return;
    }
    std::future::pending().await
}

async fn drive(work: &mut Option<Work>) -> Ended {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
