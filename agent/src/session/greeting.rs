//! Hello and welcome: what the agent has, and what becomes of it.

use wherry_domain::{session::Event, time::Timestamp};
use wherry_proto::{
    MAX_IN_FLIGHT, PROTOCOL_MAX, PROTOCOL_MIN,
    frame::{Attempt, Decision, FromAgent, FromController, Hello, InFlight, Welcome},
};

use super::{
    Session,
    line::{Broken, Line},
};
use crate::{VERSION, runs::StopCause};

/// Most secrets and most connectors that a hello names; it must fit into one frame.
const MAX_NAMES: usize = 2_000;

impl Session {
    pub(super) fn hello(&self) -> FromAgent {
        FromAgent::Hello(Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            version: VERSION.to_owned(),
            instance: self.parts.instance,
            in_flight: self.in_flight(),
            next_seq: self.parts.journal.next_seq(),
            slots: self.parts.slots.total(),
            free_slots: self.free_slots(),
            secret_names: self.parts.secrets.names().into_iter().take(MAX_NAMES).collect(),
            connectors: self.parts.executor.connectors().into_iter().take(MAX_NAMES).collect(),
            journal_lost: self.parts.journal.lost_its_past(),
            asks: true,
            oauth: true,
            catalogue: true,
        })
    }

    /// Everything the controller must not take for lost.
    pub(super) fn in_flight(&self) -> Vec<InFlight> {
        let mut all = self.parts.runs.in_flight();
        // An attempt whose result was just written may still be in both lists.
        let finished = self.parts.journal.waiting();
        all.retain(|item| !finished.iter().any(|other| other.attempt == item.attempt));
        all.extend(finished);
        all.truncate(MAX_IN_FLIGHT);
        all
    }

    pub(super) fn free_slots(&self) -> u32 {
        if self.parts.shutdown.is_stopping() { 0 } else { self.parts.slots.free() }
    }

    /// Waits for the welcome, then lives on the line until it breaks.
    pub(super) async fn greet(&mut self, mut line: Line) {
        let Some(until) = self.machine.deadline() else { return };
        let said_hello = line.said_hello;
        let answer = tokio::select! {
            () = self.parts.shutdown.cancelled() => return self.drained(),
            () = self.parts.clock.sleep_until(until) => Err(Broken::Silent),
            answer = line.next() => answer,
        };
        match answer {
            Ok(FromController::Welcome(welcome)) => {
                self.tell(Event::Welcomed);
                self.parts.journal.loss_was_told();
                self.welcomed(&welcome, said_hello);
                self.live(line, welcome, said_hello).await;
                self.parts.controller.disconnected();
                self.parts.oauth.connected(false);
                self.parts.executor.connected(false);
                self.parts.presence.connected(false);
            }
            Ok(FromController::GoAway { reason, reconnect_after }) => self.sent_away(reason, reconnect_after),
            Ok(
                FromController::HeartbeatAck { .. }
                | FromController::Offer(_)
                | FromController::Cancel(_)
                | FromController::Desired(_)
                | FromController::Ask(_)
                | FromController::Keyring(_)
                | FromController::Catalogue(_)
                | FromController::OAuth(_)
                | FromController::Ack { .. },
            ) => self.broken(&Broken::Nonsense("a frame before the welcome".to_owned())),
            Err(broken) => self.broken(&broken),
        }
    }

    fn welcomed(&mut self, welcome: &Welcome, said_hello: Timestamp) {
        let mut kept: Vec<Attempt> = Vec::with_capacity(welcome.verdicts.len());
        for (attempt, decision) in &welcome.verdicts {
            match decision {
                Decision::Keep => kept.push(*attempt),
                // The outbox sends every result anyway.
                Decision::Report => {}
                Decision::Drop => {
                    self.parts.runs.stop(*attempt, StopCause::Dropped);
                    self.parts.journal.forget(*attempt);
                }
            }
        }
        self.parts.runs.renewed(&kept, said_hello);
        self.parts.executor.desired(&welcome.desired);
        self.parts.keyring.welcomed();
        self.parts.oauth.connected(true);
        self.parts.executor.connected(true);
        self.parts.presence.connected(true);
        tracing::info!(epoch = welcome.epoch, kept = kept.len(), "connected to the controller");
    }
}
