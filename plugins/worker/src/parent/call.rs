//! One invocation in a worker, as the agent sees it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{self, OwnedPermit},
    time::timeout,
};
use wherry_host::{
    BlobError, Blobs, ConnectorFault, Egress, FromConnector, GrowingBlob, Limit, Outcome, Referee, Task, ToConnector,
    WorkerFault,
};

use super::{
    exchange::Exchanges,
    worker::{Line, Worker},
};
use crate::{
    body::Note,
    frame::{BlobAnswer, BlobAsk, FROM_CONNECTOR, FromWorker, TO_CONNECTOR, ToWorker},
};

/// How much longer than its invocation a worker may take. It keeps the time itself and names the limit more exactly.
const SLACK: Duration = Duration::from_secs(3);
/// How long the last messages of an invocation wait for room.
const REPORT_TIME: Duration = Duration::from_secs(1);
/// Bytes of a blob that move at once.
const PIECE: usize = 512 << 10;

type Ended = Result<Outcome, ConnectorFault>;

struct Call {
    line: Line,
    exchanges: Exchanges,
    referee: Referee,
    inbox: mpsc::Receiver<ToConnector>,
    inbox_open: bool,
    /// Messages that the connector has room for.
    room: usize,
    outbox: mpsc::Sender<FromConnector>,
    deaf: bool,
    /// Messages that wait for room with the caller.
    said: VecDeque<FromConnector>,
    blobs: Blobs,
    growing: Option<GrowingBlob>,
}

enum Turn {
    Frame(Option<FromWorker>),
    Note(Note),
    Message(Option<ToConnector>),
    Room(Option<OwnedPermit<FromConnector>>),
    ExchangeOver,
}

/// Runs one invocation to its end. Dropping the future stops it.
pub(super) async fn run(
    worker: &Worker,
    task: Task,
    egress: Arc<dyn Egress>,
    inbox: mpsc::Receiver<ToConnector>,
    outbox: mpsc::Sender<FromConnector>,
    blobs: Blobs,
) -> Ended {
    let line = worker.line()?;
    let limit_ms = task.time_limit_ms;
    let (exchanges, notes) = Exchanges::new(line.call, egress, worker.settings.parallel_requests, line.sender());
    let protected = exchanges.protected().iter().map(|name| name.as_str().to_owned()).collect();
    let referee = Referee::new(&worker.settings, &task);
    let begin =
        ToWorker::Begin { call: line.call, task: Box::new(task), protected, blob_bytes: worker.settings.blob_bytes };
    let mut call = Call {
        line,
        exchanges,
        referee,
        inbox,
        inbox_open: true,
        room: TO_CONNECTOR,
        outbox,
        deaf: false,
        said: VecDeque::with_capacity(FROM_CONNECTOR),
        blobs,
        growing: None,
    };
    let work = async {
        call.line.send(&begin).await?;
        call.drive(notes).await
    };
    let ended = timeout(Duration::from_millis(limit_ms).saturating_add(SLACK), Box::pin(work)).await;
    let ended = ended.unwrap_or_else(|_| Err(Limit::Time { limit_ms }.into()));
    // What the connector said last goes before its end; a caller that takes nothing must not hold that up.
    drop(timeout(REPORT_TIME, call.report()).await);
    ended
}

impl Call {
    async fn drive(&mut self, mut notes: mpsc::Receiver<Note>) -> Ended {
        loop {
            let turn = tokio::select! {
                biased;
                frame = self.line.next() => Turn::Frame(frame),
                Some(note) = notes.recv() => Turn::Note(note),
                room = self.outbox.clone().reserve_owned(), if !self.deaf && !self.said.is_empty() => Turn::Room(room.ok()),
                message = self.inbox.recv(), if self.inbox_open && self.room > 0 => Turn::Message(message),
                () = self.exchanges.work() => Turn::ExchangeOver,
            };
            match turn {
                Turn::Frame(None) => return Err(self.line.fault().await.into()),
                Turn::Frame(Some(FromWorker::Ended { ended, .. })) => {
                    let seen = self.exchanges.last();
                    return match self.referee.ended(ended, seen.as_ref()) {
                        Ok(ended) => ended,
                        Err(foul) => Err(self.line.foul(foul.0).into()),
                    };
                }
                Turn::Frame(Some(frame)) => self.hear(frame).await?,
                Turn::Note(Note::Room(exchange)) => {
                    self.line.send(&ToWorker::PartRoom { call: self.line.call, exchange }).await?;
                }
                Turn::Note(Note::Left(_)) | Turn::ExchangeOver => {}
                Turn::Message(message) => self.pass_on(message).await?,
                Turn::Room(room) => self.hand_over(room).await?,
            }
        }
    }

    async fn hear(&mut self, frame: FromWorker) -> Result<(), WorkerFault> {
        let fair = match frame {
            FromWorker::Said { message, .. } => return self.listen(message).await,
            FromWorker::Blob { ask, .. } => return self.blob(ask).await,
            FromWorker::Room { .. } if self.room >= TO_CONNECTOR => Err("it made room for more than it was sent"),
            FromWorker::Room { .. } => {
                self.room += 1;
                Ok(())
            }
            FromWorker::Request { exchange, head, .. } => {
                self.exchanges.begin(exchange, head).map(|host| self.referee.asked(&host))
            }
            FromWorker::Part { exchange, part, .. } => self.exchanges.part(exchange, part),
            FromWorker::PartRoom { exchange, .. } => self.exchanges.room(exchange),
            FromWorker::Leave { exchange, .. } => self.exchanges.leave(exchange),
            FromWorker::Ready(_) | FromWorker::Described { .. } | FromWorker::Ended { .. } => {
                Err("it answers what it was not asked")
            }
        };
        fair.map_err(|foul| self.line.foul(foul))
    }

    async fn listen(&mut self, message: FromConnector) -> Result<(), WorkerFault> {
        if self.said.len() >= FROM_CONNECTOR {
            return Err(self.line.foul("it says more than there is room for"));
        }
        let seen = self.exchanges.last();
        let message = self.referee.heard(message, seen.as_ref()).map_err(|foul| self.line.foul(foul.0))?;
        if self.deaf {
            return self.line.send(&ToWorker::Room { call: self.line.call }).await;
        }
        if !self.said.is_empty() {
            self.said.push_back(message);
            return Ok(());
        }
        match self.outbox.try_send(message) {
            // The common case: no need to wait for a turn of its own.
            Ok(()) => self.line.send(&ToWorker::Room { call: self.line.call }).await,
            Err(mpsc::error::TrySendError::Full(message)) => {
                self.said.push_back(message);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => self.hand_over(None).await,
        }
    }

    async fn hand_over(&mut self, room: Option<OwnedPermit<FromConnector>>) -> Result<(), WorkerFault> {
        let call = self.line.call;
        match (room, self.said.pop_front()) {
            (Some(room), Some(message)) => {
                room.send(message);
                self.line.send(&ToWorker::Room { call }).await
            }
            (Some(_), None) => Ok(()),
            (None, _) => {
                self.deaf = true;
                self.said.clear();
                self.line.send(&ToWorker::Deaf { call }).await
            }
        }
    }

    async fn pass_on(&mut self, message: Option<ToConnector>) -> Result<(), WorkerFault> {
        let call = self.line.call;
        let Some(message) = message else {
            self.inbox_open = false;
            return self.line.send(&ToWorker::Silent { call }).await;
        };
        match &message {
            ToConnector::Batch(batch) => {
                self.referee.gave(batch);
                self.room -= 1;
            }
            ToConnector::End => self.room -= 1,
            ToConnector::Cancel => self.inbox_open = false,
        }
        self.line.send(&ToWorker::Say { call, message }).await
    }

    async fn blob(&mut self, ask: BlobAsk) -> Result<(), WorkerFault> {
        let answer = match ask {
            BlobAsk::Read { handle, offset } => BlobAnswer::Content(self.blobs.get(&handle).map(|content| {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                let end = start.saturating_add(PIECE).min(content.len());
                (u64::try_from(content.len()).unwrap_or(u64::MAX), content.slice(start..end))
            })),
            BlobAsk::Append { data } => BlobAnswer::Appended(self.append(&data)),
            BlobAsk::Finish => BlobAnswer::Kept(self.finish().await),
        };
        self.line.send(&ToWorker::Blob { call: self.line.call, answer }).await
    }

    fn append(&mut self, data: &Bytes) -> Result<(), BlobError> {
        let appended = self.growing()?.append(data);
        if appended.is_err() {
            self.growing = None;
        }
        appended
    }

    async fn finish(&mut self) -> Result<String, BlobError> {
        // Nothing was appended to an empty one.
        let growing = match self.growing.take() {
            Some(growing) => growing,
            None => self.blobs.begin()?,
        };
        growing.finish().await
    }

    fn growing(&mut self) -> Result<&mut GrowingBlob, BlobError> {
        let growing = match self.growing.take() {
            Some(growing) => growing,
            None => self.blobs.begin()?,
        };
        Ok(self.growing.insert(growing))
    }

    async fn report(&mut self) {
        while let Some(message) = self.said.pop_front() {
            if self.deaf || self.outbox.send(message).await.is_err() {
                return;
            }
        }
    }
}
