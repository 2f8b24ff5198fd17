//! What the controller's refusals mean: the only place where gRPC codes are judged.

use std::error::Error as _;

use rustls::AlertDescription;
use tonic::{Code as Grpc, Status};
use wherry_daemon::exit::Exit;
use wherry_domain::{failure::Code, session::FailureKind};

use crate::{causes, identity::IdentityError, link::LinkError};

/// Metadata key of the controller's stable code.
const CODE: &str = "wherry-code";
/// Longest text of a peer that is shown.
const MAX_TEXT: usize = 300;

/// A refusal in the controller's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Its stable code, or one of ours if it sent none.
    pub code: Code,
    /// What it said, cut and on one line.
    pub message: String,
    /// Whether trying again is useless.
    pub is_final: bool,
}

impl Refused {
    /// What the process exits with if it gives up over this.
    pub const fn exit(&self) -> Exit {
        if self.is_final { Exit::Permission } else { Exit::Unavailable }
    }
}

/// What a status on the session's stream means for the next attempt to open one.
pub fn judge(status: &Status) -> FailureKind {
    let refused = refused(status);
    if refused.is_final { FailureKind::Final(refused.code) } else { FailureKind::Transient }
}

/// Whether the server turned our certificate down because it has run out.
pub fn certificate_expired(status: &Status) -> bool {
    let alert = causes::of(status).find_map(|error| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).or_else(|| error.downcast_ref());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
            Some(_) | None => None,
        }
    });
    alert == Some(AlertDescription::CertificateExpired)
}

/// The failure of a single call.
pub fn call_failed(status: &Status) -> IdentityError {
    let code = matches!(status.code(), Grpc::Unavailable | Grpc::Unknown | Grpc::Internal | Grpc::Cancelled);
    if code && status.source().is_some() {
        IdentityError::Link(LinkError::Http(shown(status.message())))
    } else {
        IdentityError::Refused(refused(status))
    }
}

/// The refusal behind a status.
pub fn refused(status: &Status) -> Refused {
    let sent = status.metadata().get(CODE).and_then(|value| value.to_str().ok()).filter(|code| is_code(code));
    let (is_final, own) = verdict(status.code());
    Refused { code: sent.map_or(Code::new(own), Code::received), message: shown(status.message()), is_final }
}

/// Which codes are final, and why. Everything else may pass: a restart, an upgrade, a full disk.
const fn verdict(code: Grpc) -> (bool, &'static str) {
    match code {
        // Locked, removed, or another organisation's: until a person acts, the answer stays the same.
        Grpc::PermissionDenied => (true, "identity.refused"),
        // Our certificate was not taken. It may have run out, and can then be recovered.
        Grpc::Unauthenticated => (false, "identity.unauthenticated"),
        // The versions do not fit; the controller may be rolled back or forward any minute.
        Grpc::Unimplemented | Grpc::FailedPrecondition => (false, "controller.incompatible"),
        Grpc::ResourceExhausted => (false, "controller.busy"),
        Grpc::InvalidArgument | Grpc::NotFound | Grpc::AlreadyExists | Grpc::OutOfRange => {
            (false, "controller.refused")
        }
        Grpc::Ok
        | Grpc::Cancelled
        | Grpc::Unknown
        | Grpc::DeadlineExceeded
        | Grpc::Aborted
        | Grpc::Internal
        | Grpc::Unavailable
        | Grpc::DataLoss => (false, "controller.unavailable"),
    }
}

fn is_code(text: &str) -> bool {
    text.contains('.') && Code::received(text).as_str() == text
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_good_keeps_the_controllers_code() {
        let mut locked = Status::permission_denied("this agent is locked: lost laptop");
        locked.metadata_mut().insert(CODE, "agent.locked".parse().unwrap());
        assert_eq!(judge(&locked), FailureKind::Final(Code::new("agent.locked")));
        let refused = refused(&locked);
        assert_eq!((refused.message.as_str(), refused.exit()), ("this agent is locked: lost laptop", Exit::Permission));
    }

    #[test]
    fn whatever_may_pass_is_tried_again() {
        for code in [Grpc::Unavailable, Grpc::Unauthenticated, Grpc::Unimplemented, Grpc::ResourceExhausted] {
            assert_eq!(judge(&Status::new(code, "x")), FailureKind::Transient, "{code:?}");
        }
    }

    #[test]
    fn a_peers_text_is_cut_and_cleaned() {
        let status = Status::internal(format!("\u{1b}[31m{}", "x".repeat(1_000)));
        let refused = refused(&status);
        assert!(refused.message.len() <= MAX_TEXT && !refused.message.contains('\u{1b}'));
        assert_eq!(refused.code.as_str(), "controller.unavailable");
    }
}
