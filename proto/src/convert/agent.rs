//! Frames from agents.

use core::time::Duration;

use super::{
    Invalid, action, ask, attempt, catalogue, class, counts, ending, failure, in_flight, keyring, log_lines, names,
    oauth, parse, ran, state, wire_counts, wire_ending, wire_failure, wire_in_flight, wire_log,
};
use crate::{
    MAX_CURSOR, MAX_SLOTS,
    frame::{Attempt, FromAgent, Heartbeat, Hello, Report},
    wire::{self, agent_frame::Kind},
};

/// Most names of secrets or digests of connectors in a hello.
const MAX_NAMES: usize = 5_000;

impl FromAgent {
    /// Reads a frame; `None` if it is of a kind that this build does not know.
    ///
    /// # Errors
    /// If the frame means nothing.
    pub fn from_wire(frame: wire::AgentFrame) -> Result<Option<Self>, Invalid> {
        let Some(kind) = frame.kind else { return Ok(None) };
        Ok(Some(match kind {
            Kind::Hello(wire) => Self::Hello(hello(wire)?),
            Kind::Heartbeat(wire) => Self::Heartbeat(Heartbeat {
                number: wire.number,
                in_flight: in_flight(wire.in_flight)?,
                free_slots: wire.free_slots.min(MAX_SLOTS),
            }),
            Kind::Result(wire) => Self::Result(report(wire)?),
            Kind::Declined(wire) => Self::Declined {
                attempt: attempt(&wire.run_id, wire.fence)?,
                side_effects: class::class(wire.side_effects()),
                failure: failure(wire.failure.ok_or(Invalid::missing("failure"))?),
            },
            Kind::Progress(wire) => Self::Progress {
                attempt: attempt(&wire.run_id, wire.fence)?,
                counts: counts(wire.counts),
                earlier: counts(wire.earlier),
            },
            Kind::Checkpoint(wire) => {
                if wire.cursor.len() > MAX_CURSOR {
                    return Err(Invalid::new("cursor", format!("it is longer than {MAX_CURSOR} bytes")));
                }
                let states = state::states(wire.states)?;
                Self::Checkpoint { attempt: attempt(&wire.run_id, wire.fence)?, cursor: wire.cursor, states }
            }
            Kind::Log(wire) => Self::Log { attempt: attempt(&wire.run_id, wire.fence)?, lines: log_lines(wire.lines)? },
            Kind::Answer(wire) => Self::Answer(ask::answer(wire)?),
            Kind::KeyringReport(wire) => Self::Keyring(keyring::report(wire)?),
            Kind::Inventory(wire) => Self::Inventory(catalogue::inventory(wire)?),
            Kind::Oauth(wire) => return Ok(oauth::report(wire)?.map(Self::OAuth)),
            Kind::Goodbye(wire) => Self::Goodbye { reason: wire.reason.chars().take(200).collect() },
        }))
    }

    /// The frame for the wire.
    pub fn into_wire(self) -> wire::AgentFrame {
        let run_id = |attempt: Attempt| attempt.run.to_string();
        let kind = match self {
            Self::Hello(hello) => Kind::Hello(wire_hello(hello)),
            Self::Heartbeat(beat) => Kind::Heartbeat(wire::Heartbeat {
                number: beat.number,
                in_flight: wire_in_flight(beat.in_flight),
                free_slots: beat.free_slots,
            }),
            Self::Result(report) => Kind::Result(wire_report(report)),
            Self::Declined { attempt, failure, side_effects } => Kind::Declined(wire::Declined {
                side_effects: class::wire_class(side_effects),
                run_id: run_id(attempt),
                fence: attempt.fence.bits(),
                failure: Some(wire_failure(failure)),
            }),
            Self::Progress { attempt, counts, earlier } => Kind::Progress(wire::Progress {
                run_id: run_id(attempt),
                fence: attempt.fence.bits(),
                counts: Some(wire_counts(counts)),
                earlier: Some(wire_counts(earlier)),
            }),
            Self::Checkpoint { attempt, cursor, states } => Kind::Checkpoint(wire::Checkpoint {
                run_id: run_id(attempt),
                fence: attempt.fence.bits(),
                cursor,
                states: state::wire_states(states),
            }),
            Self::Log { attempt, lines } => Kind::Log(wire::LogChunk {
                run_id: run_id(attempt),
                fence: attempt.fence.bits(),
                lines: wire_log(lines),
            }),
            Self::Answer(answer) => Kind::Answer(ask::wire_answer(answer)),
            Self::Keyring(report) => Kind::KeyringReport(keyring::wire_report(report)),
            Self::OAuth(report) => Kind::Oauth(oauth::wire_report(report)),
            Self::Inventory(inventory) => Kind::Inventory(catalogue::wire_inventory(inventory)),
            Self::Goodbye { reason } => Kind::Goodbye(wire::Goodbye { reason }),
        };
        wire::AgentFrame { kind: Some(kind) }
    }
}

fn hello(wire: wire::Hello) -> Result<Hello, Invalid> {
    if wire.secret_names.len() > MAX_NAMES || wire.connector_digests.len() > MAX_NAMES {
        return Err(Invalid::new("hello", format!("it lists more than {MAX_NAMES} secrets or connectors")));
    }
    Ok(Hello {
        protocol_min: wire.protocol_min,
        protocol_max: wire.protocol_max,
        version: wire.version.chars().take(64).collect(),
        instance: parse("instance", &wire.instance)?,
        in_flight: in_flight(wire.in_flight)?,
        next_seq: wire.next_seq,
        slots: wire.slots.min(MAX_SLOTS),
        free_slots: wire.free_slots.min(MAX_SLOTS),
        secret_names: wire.secret_names,
        connectors: wire
            .connector_digests
            .iter()
            .map(|text| parse("connector_digests", text))
            .collect::<Result<_, _>>()?,
        journal_lost: wire.journal_lost,
        asks: wire.asks,
        oauth: wire.oauth,
        catalogue: wire.catalogue,
    })
}

fn wire_hello(hello: Hello) -> wire::Hello {
    wire::Hello {
        protocol_min: hello.protocol_min,
        protocol_max: hello.protocol_max,
        version: hello.version,
        instance: hello.instance.to_string(),
        in_flight: wire_in_flight(hello.in_flight),
        next_seq: hello.next_seq,
        slots: hello.slots,
        free_slots: hello.free_slots,
        secret_names: hello.secret_names,
        connector_digests: hello.connectors.iter().map(ToString::to_string).collect(),
        journal_lost: hello.journal_lost,
        asks: hello.asks,
        oauth: hello.oauth,
        catalogue: hello.catalogue,
    }
}

fn report(wire: wire::Result) -> Result<Report, Invalid> {
    if wire.seq == 0 || wire.seq == u64::MAX {
        return Err(Invalid::new("seq", "it is not the number of a result"));
    }
    Ok(Report {
        seq: wire.seq,
        attempt: attempt(&wire.run_id, wire.fence)?,
        ending: ending(wire.outcome.ok_or(Invalid::missing("outcome"))?)?,
        counts: counts(wire.counts),
        duration: Duration::from_millis(wire.duration_ms),
        log: log_lines(wire.log)?,
        earlier: counts(wire.earlier),
        states: state::states(wire.states)?,
        trial: names("trial", &wire.trial)?,
        answer: action::answer(wire.answer)?,
        ran: wire.ran.map(ran::ran).transpose()?,
    })
}

fn wire_report(report: Report) -> wire::Result {
    wire::Result {
        seq: report.seq,
        run_id: report.attempt.run.to_string(),
        fence: report.attempt.fence.bits(),
        outcome: Some(wire_ending(report.ending)),
        counts: Some(wire_counts(report.counts)),
        duration_ms: u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        log: wire_log(report.log),
        states: state::wire_states(report.states),
        earlier: Some(wire_counts(report.earlier)),
        trial: report.trial.iter().map(ToString::to_string).collect(),
        answer: report.answer,
        ran: report.ran.map(ran::wire_ran),
    }
}
