//! Name lookup and TCP connections within a time limit.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time};

/// More addresses than this of one name are not tried.
const MAX_ADDRESSES: usize = 8;

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TcpError {
    /// The name leads nowhere.
    #[error("the host name {host} cannot be resolved: {reason}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody listens.
    #[error("{host}:{port} refused the connection")]
    Refused {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
    /// Nobody answered.
    #[error("{host}:{port} did not accept a connection within {limit_ms} ms")]
    Timeout {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// The limit.
        limit_ms: u64,
    },
    /// There is no way there.
    #[error("{host}:{port} cannot be reached: {reason}")]
    Unreachable {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// What the system said.
        reason: String,
    },
}

/// The addresses behind `host`, which may be a literal (IPv6 with or without brackets).
///
/// # Errors
/// If there is none, or the lookup takes longer than `limit`.
pub async fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, TcpError> {
    resolve_by(host, port, limit, |name| tokio::net::lookup_host((name.to_owned(), port))).await
}

/// The same with another resolver, which is asked for names only.
///
/// # Errors
/// If there is none, or the lookup takes longer than `limit`.
pub async fn resolve_by<A, F>(
    host: &str,
    port: u16,
    limit: Duration,
    look_up: impl FnOnce(&str) -> F,
) -> Result<Vec<SocketAddr>, TcpError>
where
    A: IntoIterator<Item = SocketAddr>,
    F: Future<Output = io::Result<A>>,
{
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(literal) = bare.parse() {
        return Ok(vec![SocketAddr::new(literal, port)]);
    }
    let failed = |reason: String| TcpError::Dns { host: host.to_owned(), reason };
    let found = time::timeout(limit, look_up(bare))
        .await
        .map_err(|_| failed(format!("the resolver did not answer within {} ms", limit.as_millis())))?
        .map_err(|error| failed(error.to_string()))?;
    let addresses: Vec<SocketAddr> = found.into_iter().take(MAX_ADDRESSES).collect();
    if addresses.is_empty() { Err(failed("it has no address".to_owned())) } else { Ok(addresses) }
}

/// Connects to one of `addresses`, in their order; `host` is for messages only.
///
/// # Errors
/// That of the last address tried.
pub async fn connect(host: &str, addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, TcpError> {
    let mut failure = nowhere(host);
    // Each address gets an equal share, so that a silent first one leaves time for the others.
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    for address in addresses {
        match time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small frames must not wait for an acknowledgement; without it things only get slower.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Ok(Err(error)) => failure = failed(host, address.port(), &error),
            Err(_) => failure = timed_out(host, address.port(), limit),
        }
    }
    Err(failure)
}

/// The failure of a host without an address.
pub(super) fn nowhere(host: &str) -> TcpError {
    TcpError::Dns { host: host.to_owned(), reason: "it has no address".to_owned() }
}

fn failed(host: &str, port: u16, error: &io::Error) -> TcpError {
    let host = host.to_owned();
    if error.kind() == io::ErrorKind::ConnectionRefused {
        TcpError::Refused { host, port }
    } else {
        TcpError::Unreachable { host, port, reason: error.to_string() }
    }
}

fn timed_out(host: &str, port: u16, limit: Duration) -> TcpError {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    TcpError::Timeout { host: host.to_owned(), port, limit_ms }
}
