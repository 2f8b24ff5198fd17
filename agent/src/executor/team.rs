//! A target that works on several records at once: as many instances of its connector as it declares, each with a share
//! of the records.
//!
//! To the flow a team is one target. Records are numbered for the whole run, and an acknowledgement means that every
//! record before it has arrived, whichever instance it went to.

mod books;
mod pieces;

use std::collections::VecDeque;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc::{self, OwnedPermit, error::SendError},
    task::JoinSet,
};
use wherry_host::{Batch, Blobs, ConnectorFault, Egress, FromConnector, Outcome, Task, ToConnector};
use wherry_worker::Runner;

use self::books::Books;
use super::{
    memory::{Changes, Entries},
    side::Said,
};

/// Messages that wait for an instance. The host keeps two more on its side.
const INBOX: usize = 1;
/// Messages of one instance that wait for the team.
const OUTBOX: usize = 4;

/// Resolves once an instance has room for a message.
type Room = futures::future::BoxFuture<'static, (usize, Result<OwnedPermit<ToConnector>, SendError<()>>)>;

/// The instances of one target. Dropping it stops all of them at once.
pub(super) struct Team {
    _work: JoinSet<()>,
    heard: mpsc::Receiver<(usize, Heard)>,
    inboxes: Vec<Option<mpsc::Sender<ToConnector>>>,
    rooms: FuturesUnordered<Room>,
    pieces: VecDeque<Batch>,
    books: Books,
    /// No more pieces will come: instances are told as soon as they have room.
    closing: bool,
    /// An instance ended before it was told that no more will come: what it was given may be lost.
    left_early: bool,
    left: usize,
    fault: Option<ConnectorFault>,
    outcome: Outcome,
    /// What the connection remembered when the team began, and what all of them changed.
    before: Entries,
    changes: Changes,
}

enum Heard {
    Message(FromConnector),
    Ended(Result<Outcome, ConnectorFault>),
}

enum Turn {
    Heard(Option<(usize, Heard)>),
    Room(usize, Result<OwnedPermit<ToConnector>, SendError<()>>),
}

impl Team {
    pub(super) fn start(
        members: usize,
        connector: &Runner,
        egress: &std::sync::Arc<dyn Egress>,
        task: &Task,
        blobs: &Blobs,
    ) -> Self {
        let (to_team, heard) = mpsc::channel(members.saturating_mul(OUTBOX).max(1));
        let (mut work, mut inboxes, rooms) = (JoinSet::new(), Vec::with_capacity(members), FuturesUnordered::new());
        for member in 0..members {
            let (inbox, from_us) = mpsc::channel(INBOX);
            let (outbox, said) = mpsc::channel(OUTBOX);
            let (connector, egress) = (connector.clone(), std::sync::Arc::clone(egress));
            let (task, blobs, to_team) = (task.clone(), blobs.clone(), to_team.clone());
            work.spawn(async move {
                let run = connector.run_with(task, egress, from_us, outbox, blobs);
                let (outcome, ()) = tokio::join!(run, forward(member, said, &to_team));
                // A team that is gone wants no outcome.
                drop(to_team.send((member, Heard::Ended(outcome))).await);
            });
            rooms.push(room(member, inbox.clone()));
            inboxes.push(Some(inbox));
        }
        let books = Books::new(members);
        let (pieces, outcome) = (VecDeque::new(), Outcome::default());
        Self {
            _work: work,
            heard,
            inboxes,
            rooms,
            pieces,
            books,
            closing: false,
            left_early: false,
            left: members,
            fault: None,
            outcome,
            before: task.state.iter().cloned().collect(),
            changes: Changes::default(),
        }
    }

    /// Waits until something happens: an instance says something, or the team takes `outgoing`. [`Said::Ended`] comes
    /// once, when all instances have ended: with the first fault, if there was one. After a fault the others finish
    /// what they were given and get no more.
    pub(super) async fn next(&mut self, outgoing: &mut Option<ToConnector>) -> Said {
        loop {
            if self.left == 0 {
                let outcome = self.common_outcome();
                return Said::Ended(self.fault.take().map_or(Ok(outcome), Err));
            }
            if self.takes(outgoing) {
                return Said::Taken;
            }
            let has_work = self.closing || !self.pieces.is_empty();
            let turn = tokio::select! {
                biased;
                heard = self.heard.recv() => Turn::Heard(heard),
                Some((member, room)) = self.rooms.next(), if has_work => Turn::Room(member, room),
            };
            match turn {
                Turn::Heard(Some((member, heard))) => {
                    if let Some(message) = self.hear(member, heard) {
                        return Said::Message(message);
                    }
                }
                // An instance that broke off inside the host says nothing of its end.
                Turn::Heard(None) => {
                    self.left = 0;
                    self.fault.get_or_insert_with(broken_off);
                }
                // An instance without room for ever has ended, which it says itself.
                Turn::Room(_, Err(_)) => {}
                Turn::Room(member, Ok(room)) => self.give(member, room),
            }
        }
    }

    /// Asks all instances to stop soon.
    pub(super) fn cancel(&mut self) {
        self.pieces.clear();
        self.rooms.clear();
        for inbox in self.inboxes.iter_mut().filter_map(Option::take) {
            // With a full inbox, closing it says the same a little later.
            drop(inbox.try_send(ToConnector::Cancel));
        }
    }

    /// Takes what is on its way, unless earlier records still wait for an instance. The end is taken when every
    /// instance has been told, so that one that leaves early is noticed.
    fn takes(&mut self, outgoing: &mut Option<ToConnector>) -> bool {
        if !self.pieces.is_empty() || self.left_early {
            return false;
        }
        match outgoing {
            Some(ToConnector::Batch(batch)) if !self.closing => {
                self.pieces = pieces::of(std::mem::take(batch), self.inboxes.len());
            }
            Some(ToConnector::End) => {
                self.closing = true;
                if self.inboxes.iter().any(Option::is_some) {
                    return false;
                }
            }
            Some(ToConnector::Batch(_)) | None => return false,
            Some(ToConnector::Cancel) => self.cancel(),
        }
        *outgoing = None;
        true
    }

    fn give(&mut self, member: usize, room: OwnedPermit<ToConnector>) {
        match self.pieces.pop_front() {
            Some(piece) => {
                self.books.assign(member, u64::from(piece.count));
                let inbox = room.send(ToConnector::Batch(piece));
                self.rooms.push(self::room(member, inbox));
            }
            None => {
                room.send(ToConnector::End);
                if let Some(inbox) = self.inboxes.get_mut(member) {
                    *inbox = None;
                }
            }
        }
    }

    /// What the flow is to hear of it.
    fn hear(&mut self, member: usize, heard: Heard) -> Option<FromConnector> {
        match heard {
            Heard::Message(FromConnector::Acked { up_to }) => {
                let up_to = self.books.acknowledged(member, up_to)?;
                Some(FromConnector::Acked { up_to })
            }
            Heard::Message(FromConnector::Rejected { row, error }) => {
                Some(FromConnector::Rejected { row: self.books.row(member, row), error })
            }
            Heard::Message(message) => Some(message),
            Heard::Ended(ended) => self.ended(member, ended),
        }
    }

    /// The outcome of the last one, with what all of them remember.
    fn common_outcome(&mut self) -> Outcome {
        let outcome = std::mem::take(&mut self.outcome);
        if self.changes.is_empty() {
            return outcome;
        }
        self.changes.apply(&mut self.before);
        Outcome { state: Some(std::mem::take(&mut self.before).into_iter().collect()), ..outcome }
    }

    fn ended(&mut self, member: usize, ended: Result<Outcome, ConnectorFault>) -> Option<FromConnector> {
        self.left -= 1;
        let saw_end = self.inboxes.get_mut(member).is_none_or(|inbox| inbox.take().is_none());
        match ended {
            Ok(mut outcome) if saw_end && !outcome.input_left => {
                if let Some(after) = outcome.state.take() {
                    self.changes.and_then(Changes::between(&self.before, &after.into_iter().collect()));
                }
                self.outcome = outcome;
                let up_to = self.books.finished(member)?;
                return Some(FromConnector::Acked { up_to });
            }
            Ok(_) => self.left_early = true,
            Err(fault) => drop(self.fault.get_or_insert(fault)),
        }
        self.pieces.clear();
        self.closing = true;
        None
    }
}

fn broken_off() -> ConnectorFault {
    ConnectorFault::Trap {
        reason: "an instance did not come to its end".to_owned(),
        output: String::new(),
        cause: None,
    }
}

async fn forward(member: usize, mut said: mpsc::Receiver<FromConnector>, to_team: &mpsc::Sender<(usize, Heard)>) {
    while let Some(message) = said.recv().await {
        if to_team.send((member, Heard::Message(message))).await.is_err() {
            return;
        }
    }
}

fn room(member: usize, inbox: mpsc::Sender<ToConnector>) -> Room {
    Box::pin(async move { (member, inbox.reserve_owned().await) })
}
