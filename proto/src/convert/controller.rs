//! Frames from the controller.

use core::time::Duration;

use wherry_domain::lease::LeaseTerms;

use super::{
    Invalid, action, ask, attempt, catalogue, class, keyring, names, oauth, parse, policy, publishers, state,
    wire_publishers,
};
use crate::{
    MAX_CURSOR,
    frame::{Decision, Desired, FromController, GoAwayReason, Offer, Welcome},
    wire::{self, controller_frame::Kind},
};

impl FromController {
    /// Reads a frame; `None` if it is of a kind that this build does not know.
    ///
    /// # Errors
    /// If the frame means nothing.
    pub fn from_wire(frame: wire::ControllerFrame) -> Result<Option<Self>, Invalid> {
        let Some(kind) = frame.kind else { return Ok(None) };
        Ok(Some(match kind {
            Kind::Welcome(wire) => Self::Welcome(welcome(wire)?),
            Kind::HeartbeatAck(wire) => Self::HeartbeatAck { number: wire.number },
            Kind::Offer(wire) => Self::Offer(offer(wire)?),
            Kind::Cancel(wire) => Self::Cancel(attempt(&wire.run_id, wire.fence)?),
            Kind::Ack(wire) => Self::Ack { up_to: wire.up_to },
            Kind::Desired(wire) => Self::Desired(desired(wire)?),
            // A question of a kind that this build does not know.
            Kind::Ask(wire::Ask { question: None, .. }) => return Ok(None),
            Kind::Ask(wire) => Self::Ask(ask::ask(wire)?),
            Kind::Keyring(wire) => Self::Keyring(keyring::keyring(wire)?),
            Kind::Catalogue(wire) => Self::Catalogue(catalogue::catalogue(wire)?),
            Kind::Oauth(wire) => return Ok(oauth::order(wire)?.map(Self::OAuth)),
            Kind::GoAway(wire) => Self::GoAway {
                reason: match wire.reason() {
                    wire::go_away::Reason::Unspecified | wire::go_away::Reason::Drain => GoAwayReason::Drain,
                    wire::go_away::Reason::Superseded => GoAwayReason::Superseded,
                    wire::go_away::Reason::Locked => GoAwayReason::Locked,
                    wire::go_away::Reason::Removed => GoAwayReason::Removed,
                },
                reconnect_after: Duration::from_millis(wire.reconnect_after_ms),
            },
        }))
    }

    /// The frame for the wire.
    pub fn into_wire(self) -> wire::ControllerFrame {
        let kind = match self {
            Self::Welcome(welcome) => Kind::Welcome(wire_welcome(welcome)),
            Self::HeartbeatAck { number } => Kind::HeartbeatAck(wire::HeartbeatAck { number }),
            Self::Offer(offer) => Kind::Offer(wire_offer(offer)),
            Self::Cancel(attempt) => {
                Kind::Cancel(wire::Cancel { run_id: attempt.run.to_string(), fence: attempt.fence.bits() })
            }
            Self::Ack { up_to } => Kind::Ack(wire::Ack { up_to }),
            Self::Ask(ask) => Kind::Ask(ask::wire_ask(ask)),
            Self::OAuth(order) => Kind::Oauth(oauth::wire_order(order)),
            Self::Keyring(keyring) => Kind::Keyring(keyring::wire_keyring(keyring)),
            Self::Catalogue(catalogue) => Kind::Catalogue(catalogue::wire_catalogue(catalogue)),
            Self::Desired(desired) => Kind::Desired(wire_desired(desired)),
            Self::GoAway { reason, reconnect_after } => {
                let reason = match reason {
                    GoAwayReason::Drain => wire::go_away::Reason::Drain,
                    GoAwayReason::Superseded => wire::go_away::Reason::Superseded,
                    GoAwayReason::Locked => wire::go_away::Reason::Locked,
                    GoAwayReason::Removed => wire::go_away::Reason::Removed,
                };
                Kind::GoAway(wire::GoAway { reason: reason.into(), reconnect_after_ms: millis(reconnect_after) })
            }
        };
        wire::ControllerFrame { kind: Some(kind) }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn welcome(wire: wire::Welcome) -> Result<Welcome, Invalid> {
    let duration = |field, value: u64| match value {
        1..=86_400_000 => Ok(Duration::from_millis(value)),
        _ => Err(Invalid::new(field, "it is not between 1 ms and a day")),
    };
    Ok(Welcome {
        protocol: wire.protocol,
        epoch: wire.epoch,
        lease: LeaseTerms {
            term: duration("lease_ms", wire.lease_ms)?,
            grace: duration("grace_ms", wire.grace_ms)?,
            margin: duration("margin_ms", wire.margin_ms)?,
        },
        heartbeat: duration("heartbeat_ms", wire.heartbeat_ms)?,
        verdicts: wire.verdicts.into_iter().map(verdict).collect::<Result<_, _>>()?,
        desired: desired(wire.desired.ok_or(Invalid::missing("desired"))?)?,
    })
}

fn desired(wire: wire::Desired) -> Result<Desired, Invalid> {
    let environments = wire.environments.iter().map(|name| parse("environments", name)).collect::<Result<_, _>>()?;
    let policies = policy::policies(wire.policies)?;
    Ok(Desired { publishers: publishers(wire.publishers), environments, policies })
}

fn wire_desired(desired: Desired) -> wire::Desired {
    let environments = desired.environments.iter().map(ToString::to_string).collect();
    let policies = policy::wire_policies(desired.policies);
    wire::Desired { publishers: wire_publishers(desired.publishers), environments, policies }
}

fn verdict(wire: wire::Verdict) -> Result<(crate::frame::Attempt, Decision), Invalid> {
    let decision = match wire.decision() {
        wire::verdict::Decision::Unspecified => return Err(Invalid::missing("decision")),
        wire::verdict::Decision::Keep => Decision::Keep,
        wire::verdict::Decision::Drop => Decision::Drop,
        wire::verdict::Decision::Report => Decision::Report,
    };
    Ok((attempt(&wire.run_id, wire.fence)?, decision))
}

fn wire_welcome(welcome: Welcome) -> wire::Welcome {
    wire::Welcome {
        protocol: welcome.protocol,
        epoch: welcome.epoch,
        lease_ms: millis(welcome.lease.term),
        grace_ms: millis(welcome.lease.grace),
        margin_ms: millis(welcome.lease.margin),
        heartbeat_ms: millis(welcome.heartbeat),
        verdicts: welcome.verdicts.into_iter().map(wire_verdict).collect(),
        desired: Some(wire_desired(welcome.desired)),
    }
}

fn wire_verdict((attempt, decision): (crate::frame::Attempt, Decision)) -> wire::Verdict {
    let decision = match decision {
        Decision::Keep => wire::verdict::Decision::Keep,
        Decision::Drop => wire::verdict::Decision::Drop,
        Decision::Report => wire::verdict::Decision::Report,
    };
    wire::Verdict { run_id: attempt.run.to_string(), fence: attempt.fence.bits(), decision: decision.into() }
}

fn offer(wire: wire::Offer) -> Result<Offer, Invalid> {
    if wire.cursor.as_ref().is_some_and(|cursor| cursor.len() > MAX_CURSOR) {
        return Err(Invalid::new("cursor", format!("it is longer than {MAX_CURSOR} bytes")));
    }
    Ok(Offer {
        side_effects: class::class(wire.side_effects()),
        attempt: attempt(&wire.run_id, wire.fence)?,
        deployment: parse("deployment_digest", &wire.deployment_digest)?,
        operation: parse("operation", &wire.operation)?,
        variables: wire.variables,
        cursor: wire.cursor,
        key: wire.key,
        states: state::states(wire.states)?,
        lock_version: wire.lock_version,
        trial: names("trial", &wire.trial)?,
        action: wire.action.map(action::action).transpose()?,
    })
}

fn wire_offer(offer: Offer) -> wire::Offer {
    wire::Offer {
        side_effects: class::wire_class(offer.side_effects),
        run_id: offer.attempt.run.to_string(),
        fence: offer.attempt.fence.bits(),
        deployment_digest: offer.deployment.to_string(),
        operation: offer.operation.to_string(),
        variables: offer.variables,
        cursor: offer.cursor,
        key: offer.key,
        states: state::wire_states(offer.states),
        lock_version: offer.lock_version,
        trial: offer.trial.iter().map(ToString::to_string).collect(),
        action: offer.action.map(action::wire_action),
    }
}
