//! What a connector says of itself: its descriptor, parsed and checked.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wherry_domain::effects::SideEffects;
use wherry_domain::name::Name;

use crate::codes;
use crate::settings::contract::COUNTERS;
use crate::text;

/// The version of the document itself.
const SCHEMA_VERSION: u32 = 1;
/// More activities than any known system offers.
const ACTIVITIES: usize = 256;
const AUTH_SCHEMES: usize = 32;
const NAME_BYTES: usize = 63;
const TITLE_BYTES: usize = 200;
const DESCRIPTION_BYTES: usize = 4 << 10;
const PARALLEL: u32 = 64;
const NAME_OF_COUNTER_BYTES: usize = 64;

/// A connector's descriptor. Unknown fields are ignored, because newer connectors may say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The version of this document.
    pub schema_version: u32,
    /// The connector's name.
    pub name: Name,
    /// The connector's version.
    pub version: Version,
    /// The name for people.
    #[serde(default)]
    pub title: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its licence, as an SPDX expression.
    #[serde(default)]
    pub license: String,
    /// What a connection to the system looks like.
    pub connection: ConnectionShape,
    /// Codes of its own errors that may leave the agent, at most 128. Under any other code, an error is told without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What it can do.
    pub activities: Vec<Activity>,
}

/// What a connection to the system looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionShape {
    /// JSON Schema of the connection's `options`.
    pub config_schema: Map<String, Value>,
    /// The ways to authenticate.
    #[serde(default)]
    pub auth: Vec<AuthScheme>,
}

/// One way to authenticate. The host carries it out; the connector never sees credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthScheme {
    /// Its name in a connection.
    pub id: String,
    /// The method, such as `basic`, `header` or `oauth2`.
    #[serde(rename = "type")]
    pub method: String,
    /// What the method needs, such as the name of a header or the addresses of an OAuth server.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// Which way records flow through an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivityKind {
    /// Yields records.
    Source,
    /// Takes records.
    Target,
}

/// One activity type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Its name, such as `query` or `incident.create`.
    pub name: String,
    /// Which way records flow.
    pub kind: ActivityKind,
    /// The name for people.
    #[serde(default)]
    pub title: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// What happens outside when it runs.
    pub side_effects: SideEffects,
    /// How many instances of a target may share one input, 1 to 64.
    #[serde(default = "one")]
    pub max_parallel: u32,
    /// Counters whose sums may leave the agent, at most 64. What a connector counts under any other name stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<String>,
    /// JSON Schema of its parameters.
    pub config_schema: Map<String, Value>,
    /// JSON Schema of the records it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Map<String, Value>>,
    /// JSON Schema of the records it yields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
}

const fn one() -> u32 {
    1
}

/// Why a descriptor is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidDescriptor {
    /// It is not the JSON of a descriptor.
    #[error("it is not well-formed: {0}")]
    Malformed(String),
    /// A field is outside its limits.
    #[error("{field} is unacceptable: {why}")]
    Unacceptable {
        /// The field.
        field: String,
        /// What is wrong and what is accepted.
        why: String,
    },
    /// It names another connector or version than its release does.
    #[error("it says {said}, but its release is {released}")]
    OtherRelease {
        /// Name and version in the descriptor.
        said: String,
        /// Name and version of the release.
        released: String,
    },
}

impl Descriptor {
    /// Parses and checks what a connector returned.
    pub fn parse(json: &str) -> Result<Self, InvalidDescriptor> {
        let descriptor: Self = serde_json::from_str(json)
            .map_err(|error| InvalidDescriptor::Malformed(text::one_line(&error.to_string(), 200)))?;
        descriptor.check()?;
        Ok(descriptor)
    }

    /// Refuses a connector that says it is another one than its signed release.
    pub fn belongs_to(&self, name: &Name, version: &Version) -> Result<(), InvalidDescriptor> {
        if self.name == *name && self.version == *version {
            return Ok(());
        }
        Err(InvalidDescriptor::OtherRelease {
            said: format!("{} {}", self.name, self.version),
            released: format!("{name} {version}"),
        })
    }

    /// The activity of that name.
    pub fn activity(&self, name: &str) -> Option<&Activity> {
        self.activities.iter().find(|activity| activity.name == name)
    }

    fn check(&self) -> Result<(), InvalidDescriptor> {
        require(self.schema_version == SCHEMA_VERSION, "schemaVersion", || format!("only {SCHEMA_VERSION} is known"))?;
        check_words("connector", &self.title, &self.description)?;
        let count = self.activities.len();
        require((1..=ACTIVITIES).contains(&count), "activities", || format!("1 to {ACTIVITIES} are accepted"))?;
        require(self.connection.auth.len() <= AUTH_SCHEMES, "auth", || format!("at most {AUTH_SCHEMES} are accepted"))?;
        unique("activities", self.activities.iter().map(|activity| activity.name.as_str()))?;
        require(self.errors.len() <= codes::MOST, "errors", || format!("at most {} are accepted", codes::MOST))?;
        let odd = self.errors.iter().find(|code| !codes::may_be_declared(code));
        require(odd.is_none(), "errors", || {
            let shown: String = odd.iter().flat_map(|code| text::clip(code, codes::LONGEST).escape_default()).collect();
            format!(
                "{shown} is no code of a connector: 3 to {} lower-case letters, digits, hyphens, underscores, with a dot after \
                 a first part that agent and controller do not use themselves",
                codes::LONGEST
            )
        })?;
        unique("auth", self.connection.auth.iter().map(|scheme| scheme.id.as_str()))?;
        self.activities.iter().try_for_each(Activity::check)
    }
}

impl Activity {
    fn check(&self) -> Result<(), InvalidDescriptor> {
        check_words(&self.name, &self.title, &self.description)?;
        require((1..=PARALLEL).contains(&self.max_parallel), "maxParallel", || {
            format!("1 to {PARALLEL} are accepted")
        })?;
        require(self.counters.len() <= COUNTERS, "counters", || format!("at most {COUNTERS} are accepted"))?;
        // As they are counted: a name of another form would never be met.
        let proper = |name: &&String| (1..=NAME_OF_COUNTER_BYTES).contains(&name.len()) && text::code(name) == **name;
        let proper = self.counters.iter().all(|name| proper(&name));
        require(proper, "counters", || {
            format!("a name has 1 to {NAME_OF_COUNTER_BYTES} lower-case letters, digits, dots, hyphens, underscores")
        })
    }
}

fn check_words(owner: &str, title: &str, description: &str) -> Result<(), InvalidDescriptor> {
    let clean = |text: &str| !text.chars().any(|c| c.is_control() && c != '\n');
    require(title.len() <= TITLE_BYTES && clean(title), "title", || {
        format!("that of {owner} has more than {TITLE_BYTES} bytes or control characters")
    })?;
    require(description.len() <= DESCRIPTION_BYTES && clean(description), "description", || {
        format!("that of {owner} has more than {DESCRIPTION_BYTES} bytes or control characters")
    })
}

fn unique<'a>(field: &str, names: impl Iterator<Item = &'a str>) -> Result<(), InvalidDescriptor> {
    let mut seen = BTreeSet::new();
    for name in names {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
        let proper = (1..=NAME_BYTES).contains(&name.len()) && name.chars().all(allowed);
        require(proper, field, || {
            let shown: String = text::clip(name, NAME_BYTES).escape_default().collect();
            format!("{shown:?} is not a name of 1 to {NAME_BYTES} lower-case letters, digits, dots, hyphens")
        })?;
        require(seen.insert(name), field, || format!("{name} is there twice"))?;
    }
    Ok(())
}

fn require(holds: bool, field: &str, why: impl FnOnce() -> String) -> Result<(), InvalidDescriptor> {
    if holds { Ok(()) } else { Err(InvalidDescriptor::Unacceptable { field: field.to_owned(), why: why() }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "schemaVersion": 1, "name": "acme-crm", "version": "2.3.1", "newField": true,
            "connection": { "configSchema": {}, "auth": [{ "id": "key", "type": "header", "header": "x-api-key" }] },
            "activities": [{ "name": "incident.create", "kind": "target", "sideEffects": "keyed", "configSchema": {} }],
        })
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut document = document();
        change(&mut document);
        Descriptor::parse(&document.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn a_good_descriptor_is_read_whole() {
        let descriptor = Descriptor::parse(&document().to_string()).unwrap();
        let activity = descriptor.activity("incident.create").unwrap();
        assert_eq!((activity.kind, activity.side_effects), (ActivityKind::Target, SideEffects::Keyed));
        assert_eq!(activity.max_parallel, 1);
        assert_eq!(descriptor.connection.auth[0].settings["header"], "x-api-key");
    }

    #[test]
    fn a_connector_cannot_pass_for_another() {
        let descriptor = Descriptor::parse(&document().to_string()).unwrap();
        let name: Name = "acme-crm".parse().unwrap();
        assert_eq!(descriptor.belongs_to(&name, &Version::new(2, 3, 1)), Ok(()));
        let refused = descriptor.belongs_to(&name, &Version::new(2, 3, 2)).unwrap_err();
        assert_eq!(refused.to_string(), "it says acme-crm 2.3.1, but its release is acme-crm 2.3.2");
    }

    #[test]
    fn faults_are_named() {
        assert!(refusal(|d| d["schemaVersion"] = json!(2)).contains("schemaVersion"));
        assert!(refusal(|d| d["name"] = json!("../evil")).contains("lower-case"));
        assert!(refusal(|d| d["version"] = json!("1")).contains("not well-formed"));
        assert!(refusal(|d| d["activities"] = json!([])).contains("1 to 256"));
        assert!(refusal(|d| d["activities"][0]["name"] = json!("a b")).contains("not a name"));
        assert!(refusal(|d| d["activities"][0]["sideEffects"] = json!("none")).contains("not well-formed"));
        assert!(refusal(|d| d["activities"][0]["maxParallel"] = json!(0)).contains("maxParallel"));
        assert!(refusal(|d| d["title"] = json!("\u{1b}[31m")).contains("title"));
        assert!(refusal(|d| d["errors"] = json!(["crm.odd", "worker.died"])).contains("worker.died is no code"));
        assert!(refusal(|d| d["errors"] = json!(vec!["crm.odd"; 129])).contains("at most 128"));
        let twice = refusal(|d| {
            let again = d["activities"][0].clone();
            d["activities"].as_array_mut().unwrap().push(again);
        });
        assert!(twice.contains("incident.create is there twice"));
    }
}
