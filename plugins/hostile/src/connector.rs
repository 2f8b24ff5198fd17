//! The exports: a lying descriptor, and the choice of a misdeed.

use serde_json::{Value, json};

use crate::bindings::exports::wherry::connector::{activities, meta};
use crate::bindings::wherry::connector::invocations::Invocation;
use crate::bindings::wherry::connector::rows::{Reader, Writer};
use crate::bindings::wherry::connector::types::{Error, ErrorKind};
use crate::{exhaustion, misuse, requests};
use activities::{Outcome, Status};

/// Misdeeds that a release may declare; an agent runs no others.
const DECLARED: [&str; 16] = [
    "spin",
    "good",
    "count",
    "sleep",
    "memory",
    "stack",
    "handles",
    "panic",
    "abort",
    "big-batch",
    "lying-batch",
    "big-cursor",
    "not-json",
    "get",
    "get-and-lie",
    "gossip",
];
/// A target that tells on its records.
const TARGET: &str = "gossip-about";

/// This connector.
pub(crate) struct Hostile;

impl meta::Guest for Hostile {
    /// It says that it is another connector.
    fn describe() -> String {
        let activity = |name| json!({ "name": name, "kind": "source", "sideEffects": "read", "configSchema": {} });
        let target = json!({ "name": TARGET, "kind": "target", "sideEffects": "idempotent", "configSchema": {} });
        json!({
            "schemaVersion": 1, "name": "http", "version": "1.0.0", "connection": { "configSchema": {} },
            "errors": ["hostile.gossip", "hostile.http", "hostile.oops", "hostile.unknown"],
            "activities": DECLARED.map(activity).into_iter().chain([target]).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// What an activity works with.
pub(crate) struct Scene<'a> {
    pub(crate) inv: &'a Invocation,
    pub(crate) input: Option<&'a Reader>,
    pub(crate) output: Option<&'a Writer>,
    pub(crate) params: Value,
}

impl Scene<'_> {
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.params.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.params.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn reader(&self) -> Result<&Reader, Error> {
        self.input.ok_or_else(|| error(ErrorKind::Internal, "hostile.no_input", "no input"))
    }

    pub(crate) fn writer(&self) -> Result<&Writer, Error> {
        self.output.ok_or_else(|| error(ErrorKind::Internal, "hostile.no_output", "no output"))
    }
}

pub(crate) fn error(kind: ErrorKind, code: &str, message: impl Into<String>) -> Error {
    Error { kind, code: code.into(), message: message.into(), retry_after_ms: None, details: None }
}

impl activities::Guest for Hostile {
    fn test(inv: &Invocation) -> Result<String, Error> {
        Ok(json!({ "connection": inv.connection() }).to_string())
    }

    fn invoke(inv: &Invocation, input: Option<&Reader>, output: Option<&Writer>) -> Result<Outcome, Error> {
        let params = serde_json::from_str(&inv.params()).unwrap_or(Value::Null);
        let scene = Scene { inv, input, output, params };
        let activity = inv.activity();
        let document = exhaustion::run(&activity, &scene)
            .or_else(|| misuse::run(&activity, &scene))
            .or_else(|| requests::run(&activity, &scene))
            .unwrap_or_else(|| Err(error(ErrorKind::Unsupported, "hostile.unknown", activity)))?;
        Ok(Outcome { status: Status::Complete, output: Some(document) })
    }
}
