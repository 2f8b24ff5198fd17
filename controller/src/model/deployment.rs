//! Deployments.

use serde::{Deserialize, Serialize};
use wherry_domain::{
    digest::Digest,
    id::{DeploymentId, EnvironmentId},
    name::Name,
};

/// A deployment. Its snapshot is a file under its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// What.
    pub project: Name,
    /// Counts up from 1 for a project in an environment.
    pub number: u64,
    /// SHA-256 of the snapshot's canonical bytes.
    pub digest: Digest,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Name of the token that deployed it.
    pub created_by: String,
    /// Unix milliseconds when the project was taken out of the environment, if this was its last deployment there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_ms: Option<u64>,
    /// The envelope in which an operator signed it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}
