//! Refusals as gRPC statuses. The stable code travels in the metadata `wherry-code`.

use tonic::{Code, Status, metadata::MetadataValue};

use crate::engine::{Kind, Refusal};

/// Metadata key of the stable code.
pub(super) const CODE: &str = "wherry-code";

pub(super) fn of(refusal: &Refusal) -> Status {
    let code = match refusal.kind {
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::AlreadyExists,
        Kind::Invalid => Code::InvalidArgument,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Incompatible => Code::FailedPrecondition,
        Kind::Full | Kind::Throttled => Code::ResourceExhausted,
        Kind::Busy => Code::Unavailable,
    };
    coded(code, refusal.code.as_str(), refusal.message.clone())
}

pub(super) fn unauthenticated(code: &'static str, message: &str) -> Status {
    coded(Code::Unauthenticated, code, message.to_owned())
}

pub(super) fn invalid(code: &'static str, message: impl Into<String>) -> Status {
    coded(Code::InvalidArgument, code, message.into())
}

pub(super) fn coded(kind: Code, code: &str, message: String) -> Status {
    let mut status = Status::new(kind, message);
    if let Ok(value) = MetadataValue::try_from(code) {
        status.metadata_mut().insert(CODE, value);
    }
    status
}
