//! What both processes, controller and agent, share.
//!
//! | module | what it is for |
//! |---|---|
//! | [`audits`] | looking through the whole store once a day |
//! | [`clock`] | the only reader of clocks; turned by hand in tests |
//! | [`config`] | defaults, file, environment and flags in one value, with all faults at once |
//! | [`exit`] | exit codes and the last line a process prints |
//! | [`ids`] | new identifiers |
//! | [`limits`] | what the system lets the process have |
//! | [`notify`] | readiness for systemd |
//! | [`redaction`] | cutting secrets in use out of logs |
//! | [`shutdown`] | the end in two stages: stop, then cancel |
//! | [`store`] | the durable key-value store (the only user of sled) and content-addressed files |
//! | [`tasks`] | named background tasks that never end unnoticed |
//! | [`telemetry`] | logs |
//! | [`tls`] | the cryptography provider, certificates and keys from files |

pub mod audits;
pub mod clock;
pub mod config;
pub mod exit;
pub mod ids;
pub mod limits;
pub mod notify;
pub mod redaction;
pub mod shutdown;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod tls;
