//! The component: exports that call the connector, and the contract's imports behind the seams of [`host`](crate::host).

#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod bindings;
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod discovery;
mod invocation;
mod rows;
mod transport;

use std::marker::PhantomData;

use crate::connector::{Connector, Discover};
use crate::error::{Error, Kind};
use crate::run;
use bindings::exports::wherry::connector::{activities, meta};
use bindings::wherry::connector::invocations::Invocation;
use bindings::wherry::connector::rows::{Reader, Writer};
use bindings::wherry::connector::types;
use invocation::Guest;
use rows::{Input, Output};

/// A connector as a component; [`export!`](crate::export) names it.
pub struct Component<C>(PhantomData<C>);

/// What a connector says of itself, as text.
pub trait Described {
    /// The descriptor.
    fn descriptor() -> String;
}

impl<C: Connector + Described> meta::Guest for Component<C> {
    fn describe() -> String {
        C::descriptor()
    }
}

impl<C: Connector> activities::Guest for Component<C> {
    fn test(inv: &Invocation) -> Result<String, types::Error> {
        Ok(run::test::<C>(&Guest::new(inv))?)
    }

    fn invoke(
        inv: &Invocation,
        input: Option<&Reader>,
        output: Option<&Writer>,
    ) -> Result<activities::Outcome, types::Error> {
        let input = input.map(|reader| Box::new(Input(reader)) as Box<_>);
        let output = output.map(|writer| Box::new(Output(writer)) as Box<_>);
        let outcome = run::invoke::<C>(&Guest::new(inv), input, output)?;
        let status = if outcome.more { activities::Status::More } else { activities::Status::Complete };
        Ok(activities::Outcome { status, output: outcome.output })
    }
}

impl<C: Discover> discovery::exports::wherry::connector::discovery::Guest for Component<C> {
    fn discover(inv: &Invocation, question: String) -> Result<String, types::Error> {
        Ok(run::discover::<C>(&Guest::new(inv), &question)?)
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            Kind::Config => types::ErrorKind::Config,
            Kind::Auth => types::ErrorKind::Auth,
            Kind::Forbidden => types::ErrorKind::Forbidden,
            Kind::NotFound => types::ErrorKind::NotFound,
            Kind::Throttled => types::ErrorKind::Throttled,
            Kind::Transient => types::ErrorKind::Transient,
            Kind::Data => types::ErrorKind::Data,
            Kind::Cancelled => types::ErrorKind::Cancelled,
            Kind::Unsupported => types::ErrorKind::Unsupported,
            Kind::Internal => types::ErrorKind::Internal,
        };
        Self {
            kind,
            code: error.code.into_owned(),
            message: error.message,
            retry_after_ms: error.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            details: error.details.map(|details| details.to_string()),
        }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        let kind = match error.kind {
            types::ErrorKind::Config => Kind::Config,
            types::ErrorKind::Auth => Kind::Auth,
            types::ErrorKind::Forbidden => Kind::Forbidden,
            types::ErrorKind::NotFound => Kind::NotFound,
            types::ErrorKind::Throttled => Kind::Throttled,
            types::ErrorKind::Transient => Kind::Transient,
            types::ErrorKind::Data => Kind::Data,
            types::ErrorKind::Cancelled => Kind::Cancelled,
            types::ErrorKind::Unsupported => Kind::Unsupported,
            types::ErrorKind::Internal => Kind::Internal,
        };
        let details = error.details.and_then(|details| serde_json::from_str(&details).ok());
        let mut own = Self::new(kind, error.code, error.message)
            .after(error.retry_after_ms.map(std::time::Duration::from_millis));
        own.details = details;
        own
    }
}
