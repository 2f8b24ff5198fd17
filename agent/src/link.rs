//! The way to the controller: TCP or the agent's proxy, TLS 1.3 with the pinned authorities only, HTTP/2.
//!
//! One dial makes one connection. A connection that broke is not mended behind anyone's back: the session decides
//! when to dial again.

mod address;
mod error;
mod tls;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

pub use self::{
    address::Address,
    error::LinkError,
    tls::{anonymous, client_config, finish, known_controller},
};
use crate::VERSION;

/// TCP, proxy and TLS, each.
const STEP: Duration = Duration::from_secs(10);
/// Silence after which a ping goes out.
const PING_AFTER: Duration = Duration::from_secs(20);
/// Longest wait for its answer.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Longest time of a single call.
pub const CALL: Duration = Duration::from_secs(30);

/// Opens a connection to the controller.
///
/// # Errors
/// With the step that failed.
pub async fn dial(address: &Address, config: Arc<ClientConfig>) -> Result<Channel, LinkError> {
    let stream = address.connect(config, STEP).await?;
    let endpoint = Endpoint::from_shared(address.origin())
        .and_then(|endpoint| endpoint.user_agent(format!("wherry-agent/{VERSION}")))
        .map_err(|error| LinkError::Http(error.to_string()))?
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN)
        .keep_alive_while_idle(true);
    let stream = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
    let once = tower::service_fn(move |_| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::future::ready(stream.ok_or(Closed))
    });
    endpoint.connect_with_connector(once).await.map_err(|error| LinkError::of_http(&error))
}

/// A request that ends after `limit`.
pub fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// The connection is gone; nobody dials behind the session's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the controller is closed")]
struct Closed;
