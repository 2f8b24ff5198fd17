//! Reaching other machines: TCP, and through the agent's proxies.

pub mod proxy;
mod stream;
pub mod tcp;
mod trace;
mod web_address;

pub use proxy::{Proxy, ProxyError};
pub use stream::{Hop, Layer};
pub use tcp::TcpError;
pub use trace::{Dial, Trace};
pub use web_address::WebAddress;
