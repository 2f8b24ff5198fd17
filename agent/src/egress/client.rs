//! The HTTP client of one destination, with its pool of connections.

use std::{error::Error, io, time::Duration};

use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use wherry_host::{Body, EgressError};

use super::{
    connector::{Connector, Route},
    tls,
};
use crate::causes;

/// Connections kept for the next run.
const IDLE_CONNECTIONS: usize = 64;
/// Shorter than what common servers and firewalls allow, so that we close first.
const IDLE_TIME: Duration = Duration::from_secs(55);
/// Largest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// Sizes and times of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Name lookup, connection and TLS handshake, each.
    pub connect: Duration,
    /// From the last byte sent to the head of the answer.
    pub first_byte: Duration,
    /// Longest silence within a body.
    pub idle: Duration,
    /// Largest body of an answer, in bytes.
    pub response_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            response_bytes: 10 << 20,
        }
    }
}

pub(super) type HttpClient = Client<Connector, Body>;

pub(super) fn build(route: Route) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(MAX_HEAD)
        .build(Connector::new(route))
}

/// What went wrong, from the most exact cause in the chain.
pub(super) fn translate(host: &str, error: &legacy::Error) -> EgressError {
    let host = host.to_owned();
    if let Some(own) = find::<EgressError>(error) {
        return own.clone();
    }
    if let Some(refused) = find::<io::Error>(error).and_then(|error| tls::refused_certificate(&host, error)) {
        return refused;
    }
    let reason = causes::root(error).to_string();
    match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_parse() => EgressError::Protocol { host, reason },
        Some(hyper) if hyper.is_user() || hyper.is_body_write_aborted() => EgressError::RequestAborted,
        Some(_) | None => EgressError::ResponseIncomplete { host, reason },
    }
}

/// The same for a body that broke off.
pub(super) fn translate_body(host: &str, error: &hyper::Error) -> EgressError {
    EgressError::ResponseIncomplete { host: host.to_owned(), reason: causes::root(error).to_string() }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes::of(error).find_map(|error| error.downcast_ref())
}
