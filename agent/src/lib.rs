//! The agent: runs a customer's operations inside the customer's own network.
//!
//! | module | what it is for |
//! |---|---|
//! | [`app`] | puts the parts together and runs them |
//! | [`auth`] | how requests prove who they are |
//! | [`certificates`] | private keys and certificates out of PEM and PKCS#12 |
//! | [`commands`] | what `wherry-agent` can be told to do |
//! | [`config`] | what an agent owner can set |
//! | [`connectors`] | fetched, believed, compiled, loaded |
//! | [`controller`] | fetches besides the session |
//! | [`deployments`] | what to run, by digest |
//! | [`egress`] | the only way out for connectors |
//! | [`executor`] | carries out runs |
//! | [`identity`] | keys and certificates: enrol, renew, recover |
//! | [`journal`] | what survives the process, and results until they are acknowledged |
//! | [`keyring`] | the keys of the agent's group |
//! | [`link`] | the connection to the controller |
//! | [`net`] | TCP and proxies |
//! | [`oauth`] | tokens of OAuth 2.0 |
//! | [`paths`] | the data folder |
//! | [`peer`] | what the controller's refusals mean |
//! | [`policy`] | what the owner allows at all |
//! | [`presence`] | `ready.json` |
//! | [`private_file`] | files for the agent's own user only |
//! | [`recent`] | a bounded map |
//! | [`runs`] | attempts in flight and their leases |
//! | [`secrets`] | sealed secrets |
//! | [`session`] | the conversation with the controller |
//! | [`slots`] | permits for runs |
//! | [`transforms`] | the box for transformations |

pub mod actions;
pub mod app;
pub mod auth;
mod causes;
pub mod certificates;
pub mod commands;
pub mod config;
pub mod connectors;
pub mod controller;
pub mod deployments;
pub mod egress;
pub mod executor;
pub mod identity;
pub mod journal;
pub mod keyring;
pub mod link;
pub mod net;
pub mod oauth;
pub mod paths;
pub mod peer;
pub mod policy;
pub mod presence;
pub mod private_file;
pub mod recent;
pub mod runs;
pub mod secrets;
pub mod session;
pub mod slots;
pub mod transforms;

/// The version of this agent.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
