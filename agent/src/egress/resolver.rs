//! Where names of systems become addresses: the machine's own resolver, or one that a test plays.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use crate::net::{TcpError, tcp};

/// An answer that is on its way.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Asks for the addresses of a name. Literals are never asked for.
#[derive(Clone, Default)]
pub struct Resolver(Option<Arc<LookUp>>);

type LookUp = dyn Fn(&str, u16) -> Found + Send + Sync;

impl Resolver {
    /// A resolver that answers as `look_up` says.
    pub fn new(look_up: impl Fn(&str, u16) -> Found + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look_up)))
    }

    /// The addresses behind `host`.
    ///
    /// # Errors
    /// If there is none, or the answer takes longer than `limit`.
    pub(super) async fn resolve(&self, host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, TcpError> {
        match &self.0 {
            None => tcp::resolve(host, port, limit).await,
            Some(look_up) => tcp::resolve_by(host, port, limit, |name| look_up(name, port)).await,
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Resolver(other)" } else { "Resolver(system)" })
    }
}
