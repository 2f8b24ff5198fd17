//! Reaching other machines: TCP, and through the agent's proxies.

pub mod proxy;
pub mod tcp;
mod web_address;

pub use proxy::{Proxy, ProxyError};
pub use tcp::TcpError;
pub use web_address::WebAddress;
