//! The descriptor of a connector: what its component says of itself, made part of the signed release by its digest.
//!
//! Digest and length are of the text without white space between its words, which is what a package carries as one
//! line. The text is taken as the component says it: no number is rewritten and no field moved, so two machines need
//! no common idea of canonical JSON to agree.

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wherry_domain::digest::Digest;
use wherry_domain::effects::SideEffects;
use wherry_domain::name::Name;

use super::{Activity, ActivityKind, Capabilities, Release, ReleaseError};
use crate::keys::sha256;

/// Longest descriptor in bytes: what a host reads of a component.
pub const DESCRIPTOR_LIMIT: u64 = 256 << 10;

/// The bytes of a descriptor, named so that a component can be held to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescriptorDigest {
    /// SHA-256 of the descriptor on one line, see [`one_line`].
    pub sha256: Digest,
    /// Its length in bytes, 1 to [`DESCRIPTOR_LIMIT`].
    pub length: u64,
}

impl DescriptorDigest {
    /// Names a descriptor, however it is laid out.
    #[must_use]
    pub fn of(descriptor: &str) -> Self {
        Self::of_line(one_line(descriptor).as_bytes())
    }

    /// Whether a component that says this says what was signed.
    #[must_use]
    pub fn matches(&self, descriptor: &str) -> bool {
        *self == Self::of(descriptor)
    }

    fn of_line(line: &[u8]) -> Self {
        Self { sha256: sha256(line), length: line.len() as u64 }
    }
}

/// A JSON text without the white space between its words, and so without line ends.
#[must_use]
pub fn one_line(json: &str) -> String {
    let (mut line, mut quoted, mut escaped) = (String::with_capacity(json.len()), false, false);
    for character in json.chars() {
        match (quoted, character) {
            (false, ' ' | '\t' | '\n' | '\r') => continue,
            (false, '"') => quoted = true,
            (true, '"') if !escaped => quoted = false,
            (false | true, _) => {}
        }
        escaped = quoted && !escaped && character == '\\';
        line.push(character);
    }
    line
}

/// What a connector says of itself. Unknown fields are ignored, because newer connectors may say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    /// The connector.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// The name for people.
    #[serde(default)]
    pub title: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What a connection to the system looks like.
    #[serde(default)]
    pub connection: DescribedConnection,
    /// What it can do.
    pub activities: Vec<DescribedActivity>,
    /// What it asks for beyond its connection's own hosts.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// What a connection to the system looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribedConnection {
    /// JSON Schema of the connection's `options`.
    #[serde(default)]
    pub config_schema: Map<String, Value>,
    /// The ways to authenticate.
    #[serde(default)]
    pub auth: Vec<DescribedAuth>,
}

/// One way to authenticate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedAuth {
    /// Its name in a connection.
    #[serde(default)]
    pub id: String,
    /// The method, such as `basic`.
    #[serde(rename = "type")]
    pub method: String,
    /// What the method needs.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// One activity type with its schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribedActivity {
    /// Its name, such as `query` or `incident.create`.
    pub name: String,
    /// Which way records flow.
    pub kind: ActivityKind,
    /// What happens outside when it runs.
    pub side_effects: SideEffects,
    /// The name for people.
    #[serde(default)]
    pub title: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its parameters.
    #[serde(default)]
    pub config_schema: Map<String, Value>,
    /// JSON Schema of the records it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Map<String, Value>>,
    /// JSON Schema of the records it yields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
}

impl Described {
    /// Reads a descriptor of at most [`DESCRIPTOR_LIMIT`] bytes.
    ///
    /// # Errors
    /// If it is too long or not the JSON of a descriptor.
    pub fn parse(json: &[u8]) -> Result<Self, ReleaseError> {
        if json.len() as u64 > DESCRIPTOR_LIMIT {
            let why = format!("{} bytes, at most {DESCRIPTOR_LIMIT}", json.len());
            return Err(ReleaseError::Unacceptable { field: "descriptor", why });
        }
        serde_json::from_slice(json).map_err(|error| {
            let why = format!("it is not well-formed: {}", super::shown(&error.to_string()));
            ReleaseError::Unacceptable { field: "descriptor", why }
        })
    }

    /// The activity type of that name.
    #[must_use]
    pub fn activity(&self, name: &str) -> Option<&DescribedActivity> {
        self.activities.iter().find(|activity| activity.name == name)
    }

    /// Whether this is the descriptor of that release: the same connector, and each activity the release declares is
    /// here, of the same kind, with no stricter side-effect class than declared.
    fn supports(&self, release: &Release) -> Result<(), ReleaseError> {
        let unlike = |why: String| Err(ReleaseError::Unacceptable { field: "descriptor", why });
        if self.name != release.name || self.version != release.version {
            let (name, version) = (&self.name, &self.version);
            return unlike(format!(
                "it is that of {name} {version}, the release is {} {}",
                release.name, release.version
            ));
        }
        let kept = |declared: &Activity| {
            let offered = self.activity(&declared.name);
            offered
                .is_some_and(|offered| offered.kind == declared.kind && declared.side_effects >= offered.side_effects)
        };
        match release.activities.iter().find(|declared| !kept(declared)) {
            Some(activity) => unlike(format!("it does not keep what the release declares of {}", activity.name)),
            None => Ok(()),
        }
    }
}

/// What follows the envelope in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents<'a> {
    /// The descriptor on one line, if the release names one.
    pub descriptor: Option<&'a [u8]>,
    /// The component.
    pub component: &'a [u8],
}

impl Release {
    /// The release of a component that says `descriptor` of itself: what both tell is taken from there.
    ///
    /// # Errors
    /// If it is not a descriptor.
    pub fn of(component: &[u8], descriptor: &str, min_agent: Version, notes: String) -> Result<Self, ReleaseError> {
        let described = Described::parse(descriptor.as_bytes())?;
        let activity = |DescribedActivity { name, kind, side_effects, .. }| Activity { name, kind, side_effects };
        Ok(Self {
            v: super::FORMAT,
            name: described.name,
            version: described.version,
            wasm: super::Wasm::of(component),
            descriptor: Some(DescriptorDigest::of(descriptor)),
            contract: super::CONTRACT.to_owned(),
            capabilities: described.capabilities,
            min_agent,
            activities: described.activities.into_iter().map(activity).collect(),
            auth: described.connection.auth.into_iter().map(|scheme| scheme.method).collect(),
            notes,
        })
    }

    /// Takes apart what follows the envelope in a package and compares it with what was signed.
    ///
    /// # Errors
    /// [`ReleaseError::Altered`] if a byte differs, [`ReleaseError::Unacceptable`] if the descriptor is another
    /// connector's.
    pub fn contents<'a>(&self, rest: &'a [u8]) -> Result<Contents<'a>, ReleaseError> {
        let (descriptor, component) = match &self.descriptor {
            None => (None, rest),
            Some(signed) => {
                let end = usize::try_from(signed.length).unwrap_or(usize::MAX);
                let (line, rest) = rest.split_at_checked(end).ok_or(ReleaseError::Altered("descriptor"))?;
                let component = rest.strip_prefix(b"\n").ok_or(ReleaseError::Altered("descriptor"))?;
                if DescriptorDigest::of_line(line) != *signed {
                    return Err(ReleaseError::Altered("descriptor"));
                }
                Described::parse(line)?.supports(self)?;
                (Some(line), component)
            }
        };
        if !self.wasm.matches(component) {
            return Err(ReleaseError::Altered("component"));
        }
        Ok(Contents { descriptor, component })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTOR: &str = r#"{ "name": "crm", "version": "1.2.0", "title": "a \" b \\",
        "connection": { "configSchema": {}, "auth": [ {"id": "key", "type": "bearer", "header": "x"} ] },
        "activities": [ {"name": "query", "kind": "source", "sideEffects": "read", "configSchema": {"n": 1.50}} ] }"#;

    fn release() -> Release {
        Release::of(b"component", DESCRIPTOR, Version::new(0, 1, 0), "first".to_owned()).unwrap()
    }

    fn rest(descriptor: &str, component: &[u8]) -> Vec<u8> {
        [one_line(descriptor).as_bytes(), b"\n", component].concat()
    }

    #[test]
    fn only_white_space_outside_of_texts_is_left_out() {
        assert_eq!(one_line("{ \"a b\" :\t[ 1.50 ,\r\n \" \\\" \\\\\" , 2 ] }\n"), r#"{"a b":[1.50," \" \\",2]}"#);
        let line = one_line(DESCRIPTOR);
        assert!(line.contains(r#""title":"a \" b \\","connection""#) && line.contains("1.50"), "{line}");
        assert_eq!(one_line(&line), line);
    }

    #[test]
    fn a_release_made_from_a_descriptor_says_what_it_says() {
        let release = release();
        assert_eq!((release.name.as_str(), release.version.to_string().as_str()), ("crm", "1.2.0"));
        assert_eq!(release.auth, ["bearer".to_owned()].into());
        assert_eq!(release.activities[0].name, "query");
        assert!(release.descriptor.unwrap().matches(&DESCRIPTOR.replace(", ", ",\n")));
        assert!(!release.descriptor.unwrap().matches(&DESCRIPTOR.replace("1.50", "1.5")));
        let text = serde_json::to_string(&release).unwrap();
        assert_eq!(serde_json::from_str::<Release>(&text).unwrap(), release);
    }

    #[test]
    fn every_altered_byte_behind_the_envelope_is_noticed() {
        let whole = rest(DESCRIPTOR, b"component");
        let contents = release().contents(&whole).unwrap();
        assert_eq!(
            (contents.component, contents.descriptor),
            (&b"component"[..], Some(one_line(DESCRIPTOR).as_bytes()))
        );
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(release().contents(&altered).is_err(), "byte {at}");
        }
        assert_eq!(release().contents(b"component"), Err(ReleaseError::Altered("descriptor")));
        let old = Release { descriptor: None, ..release() };
        assert_eq!(old.contents(b"component").unwrap().descriptor, None);
    }

    #[test]
    fn a_descriptor_of_another_connector_or_a_laxer_release_is_refused() {
        let other = DESCRIPTOR.replace("1.2.0", "1.3.0");
        let signed = Release { descriptor: Some(DescriptorDigest::of(&other)), ..release() };
        let why = signed.contents(&rest(&other, b"component")).unwrap_err().to_string();
        assert!(why.contains("it is that of crm 1.3.0, the release is crm 1.2.0"), "{why}");
        let unsafe_one = DESCRIPTOR.replace("\"read\"", "\"unsafe\"");
        let laxer = Release { descriptor: Some(DescriptorDigest::of(&unsafe_one)), ..release() };
        let why = laxer.contents(&rest(&unsafe_one, b"component")).unwrap_err().to_string();
        assert!(why.contains("does not keep what the release declares of query"), "{why}");
    }

    #[test]
    fn a_long_descriptor_is_refused_before_it_is_read() {
        let long = vec![b' '; usize::try_from(DESCRIPTOR_LIMIT).unwrap() + 1];
        assert!(Described::parse(&long).unwrap_err().to_string().contains("at most 262144"));
        assert!(Described::parse(b"{").unwrap_err().to_string().contains("not well-formed"));
    }
}
