//! The only way out for connectors: requests of one connection, to its own host, with its credential.
//!
//! A request passes these gates in order: destination equal to the connection's own, headers that carry credentials
//! or frame messages refused, every resolved address judged, then connected to exactly the address that was judged.
//! The credential is added last, outside the sandbox. Redirects are answers like any other.

mod address;
mod body;
mod client;
mod connector;
mod destination;
mod endpoint;
mod endpoints;
mod headers;
mod look;
mod replay;
mod resolver;
mod tls;

pub use address::{AddressRules, InvalidAllowance};
pub use client::Limits;
pub use destination::{Destination, InvalidUrl};
pub use endpoint::Endpoint;
pub(crate) use endpoint::StillMay;
pub(crate) use endpoints::Identity;
pub use endpoints::{EgressSettings, Endpoints, NoProxy};
pub(crate) use headers::{check as check_headers, protected as protected_headers};
pub use resolver::{Found, Resolver};
pub use tls::{TlsChoice, TlsFault, TlsRefusal, TlsRules};
