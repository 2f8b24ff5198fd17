//! App registrations.

use serde::{Deserialize, Serialize};
use wherry_domain::project::application::Application;

/// An app registration with its past.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppRegistration {
    /// What is registered.
    pub application: Application,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Name of the token that registered it.
    pub created_by: String,
}
