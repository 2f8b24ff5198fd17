//! What the controller remembers, as stored.
//!
//! Every record is JSON behind the store's envelope; a field may be added with a default, never
//! renamed or given another meaning.

use wherry_daemon::store::Space;

mod access;
mod agent;
mod alias;
mod application;
mod catalogue;
mod connector;
mod deployment;
mod keyring;
mod memory;
mod oauth;
mod policy;
mod rollout;
mod run;

pub use access::{AccessToken, AuditEntry, Scope};
pub use agent::{Agent, EnrolmentToken, Environment, Group, Redeemed};
pub use alias::MappingRecord;
pub use application::AppRegistration;
pub use catalogue::{CatalogueVersions, RevokedKeys, SignedDocument};
pub use connector::{Connector, Publisher};
pub use deployment::Deployment;
pub use keyring::{ForgottenRosters, RosterEntry, SecretRecord, StoredWrap};
pub use memory::Memory;
pub use oauth::{Account, StoredCopy, TokenRecord};
pub use policy::PolicyRecord;
pub use rollout::{LockChange, Moved, RolloutRecord, verdict_word};
pub use run::{Called, Happened, LogEntry, RunRecord, RunSpec, Tied};

/// Version of the records; a controller refuses newer ones.
pub const SCHEMA: u8 = 1;

/// Single values: organisation, restore generation, counters.
pub const META: Space = Space(1);
/// Environments, groups, agents, tokens, publishers, connectors, deployments: a prefix each.
pub const DEFINITIONS: Space = Space(2);
/// Runs that are not over, by id.
pub const ACTIVE: Space = Space(3);
/// Runs that are over, by id, which sorts by time of submission.
pub const HISTORY: Space = Space(4);
/// Log chunks, by run id and number.
pub const LOGS: Space = Space(5);
/// Results that came too late, by run id and fence.
pub const LATE: Space = Space(6);
/// Idempotency keys, by digest.
pub const KEYS: Space = Space(7);
/// The audit chain, by number.
pub const AUDIT: Space = Space(8);
/// What connections remember, by environment, project and name.
pub const MEMORIES: Space = Space(10);
/// Groups' rosters, wrapped keys and sealed secrets, by kind and group.
pub const KEYRINGS: Space = Space(12);
