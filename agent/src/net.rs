//! Reaching other machines: TCP, and through the agent's proxies.

pub mod proxy;
pub mod tcp;

pub use proxy::{Proxy, ProxyError};
pub use tcp::TcpError;
