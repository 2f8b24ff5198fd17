//! The component's exports: finds the activity that is asked for, and translates its failures.

use serde_json::json;

use crate::bindings::exports::wherry::connector::{activities, meta};
use crate::bindings::wherry::connector::invocations::Invocation;
use crate::bindings::wherry::connector::rows::{Reader, Writer};
use crate::bindings::wherry::connector::types::{Error, ErrorKind};
use crate::config::Connection;
use crate::failure::{Failure, Kind};
use crate::plan::Request;
use crate::url::Base;
use crate::{DESCRIPTOR, source, target, wire};
use activities::{Outcome, Status};

/// This connector.
pub(crate) struct Http;

impl meta::Guest for Http {
    fn describe() -> String {
        DESCRIPTOR.to_owned()
    }
}

impl activities::Guest for Http {
    fn test(inv: &Invocation) -> Result<String, Error> {
        Ok(test(&Connection::parse(&inv.connection())?)?)
    }

    fn invoke(inv: &Invocation, input: Option<&Reader>, output: Option<&Writer>) -> Result<Outcome, Error> {
        let base = Base::parse(&Connection::parse(&inv.connection())?.url)?;
        let document = match (inv.activity().as_str(), input, output) {
            ("query", _, Some(output)) => source::query(&base, inv, output)?,
            ("execute", _, Some(output)) => source::execute(&base, inv, output)?,
            ("send" | "send.keyed", Some(input), _) => target::send(&base, inv, input)?,
            ("query" | "execute", _, None) => return Err(unsupported("this activity needs somewhere to put records")),
            ("send" | "send.keyed", None, _) => return Err(unsupported("this activity needs records")),
            _ => return Err(unsupported("the connector http has the activities query, send, send.keyed and execute")),
        };
        Ok(Outcome { status: Status::Complete, output: Some(document.to_string()) })
    }
}

/// Without a path of its own, the test asks whether somebody answers and accepts the credentials; with one, the
/// answer must be a good one.
fn test(connection: &Connection) -> Result<String, Failure> {
    let path = connection.options.test_path.as_deref();
    let target = Base::parse(&connection.url)?.target(path.unwrap_or("/"), &[])?;
    let answer = wire::exchange(&Request::get(target))?;
    match answer.check_status(wire::now()) {
        Err(failure) if path.is_some() || !failure.is_about_path() => Err(failure),
        Ok(()) | Err(_) => Ok(json!({ "status": answer.status }).to_string()),
    }
}

fn unsupported(message: &str) -> Error {
    Failure::new(Kind::Unsupported, "http.unsupported", message).into()
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            Kind::Config => ErrorKind::Config,
            Kind::Auth => ErrorKind::Auth,
            Kind::Forbidden => ErrorKind::Forbidden,
            Kind::NotFound => ErrorKind::NotFound,
            Kind::Throttled => ErrorKind::Throttled,
            Kind::Transient => ErrorKind::Transient,
            Kind::Data => ErrorKind::Data,
            Kind::Cancelled => ErrorKind::Cancelled,
            Kind::Unsupported => ErrorKind::Unsupported,
        };
        let Failure { code, message, retry_after_ms, details, .. } = failure;
        Self { kind, code: code.to_owned(), message, retry_after_ms, details }
    }
}
