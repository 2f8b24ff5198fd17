//! The connector `jira-service-management` in the box, against the look-alike of Jira in the sandbox.

mod answers;
mod creating;
mod reading;

use serde_json::{Value, json};

use crate::support::components::jira;
use crate::support::sandbox::Sandbox;
