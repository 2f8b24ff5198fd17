//! What environments say of projects.

use serde::{Deserialize, Serialize};
use wherry_domain::{id::EnvironmentId, name::Name, project::Mapping};

/// What an environment says of a project: aliases and variables, for its next deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MappingRecord {
    /// Where.
    pub environment: EnvironmentId,
    /// Of what.
    pub project: Name,
    /// What.
    pub mapping: Mapping,
}
