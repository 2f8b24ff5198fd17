//! A welcomed stream: heartbeats out, work in, results out.

use std::time::Duration;

use tokio::sync::watch;
use wherry_domain::{
    epoch::Epoch,
    failure::Code,
    session::{Event, FailureKind},
    time::Timestamp,
};
use wherry_proto::frame::{Attempt, FromAgent, FromController, GoAwayReason, Heartbeat, Welcome};

use super::{
    Session, jitter,
    line::{Broken, Line},
};
use crate::{peer, runs::StopCause};

/// An operator locked the agent.
const LOCKED: Code = Code::new("agent.locked");
/// An operator removed the agent.
const REMOVED: Code = Code::new("agent.removed");
/// Unanswered heartbeats after which the controller counts as gone.
const SILENT_BEATS: u32 = 3;

/// What happens next on a live stream.
enum Next {
    Beat,
    Frame(Result<FromController, Broken>),
    FromRun(Option<FromAgent>),
    Results,
    Stop,
    Drained,
    OutOfTime,
}

/// The rhythm of a stream.
struct Rhythm {
    terms: wherry_domain::lease::LeaseTerms,
    every: Duration,
    next: Timestamp,
    /// When the stream was last known to be alive: the controller has answered what was sent then.
    alive: Timestamp,
}

impl Session {
    /// Lives on the line until it breaks, the controller sends the agent away, or everything is said.
    pub(super) async fn live(&mut self, mut line: Line, welcome: Welcome, said_hello: Timestamp) {
        let now = self.parts.clock.now();
        let mut rhythm = Rhythm {
            terms: welcome.lease,
            every: welcome.heartbeat,
            next: now.plus(welcome.heartbeat),
            alive: said_hello,
        };
        let (mut stopping, mut moves) = (false, self.parts.slots.changes());
        if let Err(broken) = self.send_all_results(&mut line, welcome.epoch).await {
            return self.broken(&broken);
        }
        loop {
            let next = self.next(&mut line, &rhythm, &mut moves, stopping).await;
            let outcome = match next {
                Next::Beat => self.beat(&mut line, &mut rhythm).await,
                Next::Frame(Ok(frame)) => match self.frame(&mut line, &mut rhythm, frame).await {
                    Ok(true) => Ok(()),
                    Ok(false) => return,
                    Err(broken) => Err(broken),
                },
                Next::Frame(Err(broken)) => Err(broken),
                Next::FromRun(Some(frame)) => line.send(frame).await,
                // The executor holds the other end for as long as the process lives.
                Next::FromRun(None) => Err(Broken::Ended),
                Next::Results => self.send_results(&mut line).await,
                Next::Stop => {
                    stopping = true;
                    self.tell(Event::Stop);
                    Ok(())
                }
                Next::Drained => return self.say_goodbye(line).await,
                Next::OutOfTime => return self.drained(),
            };
            if let Err(broken) = outcome {
                return self.broken(&broken);
            }
        }
    }

    /// Waits for whatever comes first. What runs have said goes out before their results, and a heartbeat before
    /// everything.
    async fn next(
        &mut self,
        line: &mut Line,
        rhythm: &Rhythm,
        moves: &mut watch::Receiver<u64>,
        stopping: bool,
    ) -> Next {
        let parts = &mut self.parts;
        tokio::select! {
            biased;
            () = parts.shutdown.cancelled() => Next::OutOfTime,
            () = parts.shutdown.stopping(), if !stopping => Next::Stop,
            () = parts.clock.sleep_until(rhythm.next) => Next::Beat,
            // Whoever waits for the owner's hours, or for more slots, need not wait for the next beat as well.
            Ok(()) = moves.changed() => Next::Beat,
            frame = line.next() => Next::Frame(frame),
            frame = parts.from_runs.recv() => Next::FromRun(frame),
            () = parts.journal.changed() => Next::Results,
            () = async { parts.runs.idle().await; parts.journal.settled().await }, if stopping => Next::Drained,
        }
    }

    async fn beat(&mut self, line: &mut Line, rhythm: &mut Rhythm) -> Result<(), Broken> {
        let now = self.parts.clock.now();
        let silent = line.waiting_since().is_some_and(|since| now.since(since) >= rhythm.every * SILENT_BEATS);
        if silent {
            return Err(Broken::Silent);
        }
        let in_flight = self.in_flight();
        let attempts: Vec<Attempt> = in_flight.iter().map(|item| item.attempt).collect();
        let number = line.beat(now, attempts)?;
        // A fifth either way, so that a fleet does not beat in step.
        rhythm.next = now.plus(rhythm.every * 4 / 5).plus(jitter().of(rhythm.every * 2 / 5));
        let free_slots = self.free_slots();
        line.send(FromAgent::Heartbeat(Heartbeat { number, in_flight, free_slots })).await
    }

    /// Handles one frame; whether the stream goes on.
    async fn frame(&mut self, line: &mut Line, rhythm: &mut Rhythm, frame: FromController) -> Result<bool, Broken> {
        match frame {
            FromController::HeartbeatAck { number } => {
                if let Some(beat) = line.answered(number) {
                    rhythm.alive = rhythm.alive.max(beat.sent);
                    self.parts.runs.renewed(&beat.attempts, beat.sent);
                }
            }
            FromController::Offer(offer) => {
                let attempt = offer.attempt;
                if let Err(failure) = self.parts.executor.accept(offer, rhythm.terms, rhythm.alive) {
                    tracing::info!(run = %attempt.run, %failure, "declined an offer");
                    line.send(FromAgent::Declined { attempt, failure, side_effects: None }).await?;
                }
            }
            FromController::Cancel(attempt) => self.parts.runs.stop(attempt, StopCause::Cancelled),
            FromController::Ack { up_to } => self.parts.journal.acknowledged(up_to),
            FromController::Desired(desired) => self.parts.executor.desired(&desired),
            FromController::Ask(ask) => self.parts.executor.ask(ask),
            FromController::OAuth(order) => self.parts.oauth.heard(order),
            FromController::Keyring(frame) => self.parts.keyring.heard(frame),
            FromController::Catalogue(catalogue) => self.parts.chain.heard(catalogue),
            FromController::GoAway { reason, reconnect_after } => {
                self.sent_away(reason, reconnect_after);
                return Ok(false);
            }
            FromController::Welcome(_) => return Err(Broken::Nonsense("a second welcome".to_owned())),
        }
        Ok(true)
    }

    /// As [`Self::send_results`], after what the controller has forgotten in a restore. The numbers of that are lower,
    /// so that an acknowledgement says nothing of what waits.
    async fn send_all_results(&mut self, line: &mut Line, epoch: u64) -> Result<(), Broken> {
        let waiting = self.parts.journal.next_result(0).map(|finished| finished.report.seq);
        let forgotten = self.past.welcomed(Epoch::from_bits(epoch), waiting);
        if !forgotten.is_empty() {
            tracing::info!(results = forgotten.len(), "the controller was restored from a copy: repeating results");
        }
        for report in forgotten {
            line.send(FromAgent::Result(report)).await?;
        }
        self.send_results(line).await
    }

    /// Sends every result that the line has not carried yet, in order.
    async fn send_results(&mut self, line: &mut Line) -> Result<(), Broken> {
        while let Some(finished) = self.parts.journal.next_result(line.sent) {
            let mut report = finished.report.clone();
            report.answer = self.parts.executor.answer(report.attempt);
            let (seq, attempt) = (report.seq, report.attempt);
            self.past.sent(&report);
            if let Some(cursor) = finished.cursor.clone() {
                line.send(FromAgent::Checkpoint { attempt, cursor, states: Vec::new() }).await?;
            }
            line.send(FromAgent::Result(report)).await?;
            line.sent = seq;
        }
        Ok(())
    }

    async fn say_goodbye(&mut self, line: Line) {
        // The controller knows everything already; a lost goodbye costs it a timeout.
        drop(line.send(FromAgent::Goodbye { reason: "the agent stops".to_owned() }).await);
        line.close().await;
        self.drained();
    }

    pub(super) fn sent_away(&mut self, reason: GoAwayReason, reconnect_after: Duration) {
        match reason {
            GoAwayReason::Drain => {
                tracing::info!(?reconnect_after, "the controller asks to come back later");
                self.tell(Event::GoAway { reconnect_after, jitter: jitter() });
            }
            GoAwayReason::Superseded => {
                tracing::error!(
                    "another process connected with this agent's identity: was the data folder copied? only one may run"
                );
                self.tell(Event::Superseded { jitter: jitter() });
            }
            GoAwayReason::Locked => self.failed(FailureKind::Final(LOCKED)),
            GoAwayReason::Removed => self.failed(FailureKind::Final(REMOVED)),
        }
    }

    pub(super) fn broken(&mut self, broken: &Broken) {
        match broken {
            Broken::Status(status) => {
                let refused = peer::refused(status);
                tracing::info!(code = %refused.code, reason = %refused, "the stream to the controller broke");
                self.failed(peer::judge(status));
            }
            Broken::Ended => {
                tracing::info!("the controller ended the stream");
                self.lost();
            }
            Broken::Silent => {
                tracing::info!("the controller does not answer");
                self.lost();
            }
            Broken::Nonsense(what) => {
                tracing::warn!(what, "the controller sent something that means nothing");
                self.lost();
            }
        }
    }
}
