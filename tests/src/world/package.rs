//! Connector packages: what a publisher signs and hands over.

use anyhow::{Context, Result};
use semver::Version;
use serde_json::Value;
use wherry_domain::{effects::SideEffects, name::Name};
use wherry_trust::{
    keys::SigningKey,
    release::{Activity, CONTRACT, Capabilities, DescriptorDigest, FORMAT, Release, Wasm, one_line, sign_release},
};

use super::programs::Programs;

/// A connector before it is signed.
#[derive(Clone, Debug)]
pub struct Package {
    /// What will be signed.
    pub release: Release,
    /// The component.
    pub component: Vec<u8>,
    /// What it says of itself, as one line, if that goes with it.
    pub descriptor: Option<String>,
}

impl Package {
    /// A connector of this workspace, with what it says of itself.
    ///
    /// # Errors
    /// If it was not built.
    pub fn of(programs: &Programs, connector: &str) -> Result<Self> {
        let descriptor = programs.descriptor(connector)?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let listed = descriptor.get("activities").and_then(Value::as_array).context("it has no activities")?;
        let activity = |one: &Value| -> Result<Activity> {
            let kind = serde_json::from_value(one.get("kind").cloned().unwrap_or_default())?;
            let side_effects = serde_json::from_value(one.get("sideEffects").cloned().unwrap_or_default())?;
            Ok(Activity { name: text(one, "name"), kind, side_effects })
        };
        let activities = listed.iter().map(activity).collect::<Result<_>>()?;
        let schemes = descriptor.pointer("/connection/auth").and_then(Value::as_array);
        let auth = schemes.into_iter().flatten().map(|scheme| text(scheme, "type")).collect();
        let package =
            Self::new(&text(&descriptor, "name"), &text(&descriptor, "version"), programs.component(connector)?)?;
        Ok(Self { release: Release { activities, auth, ..package.release }, ..package })
    }

    /// With what the connector says of itself, as `wherry connector package` sends it along.
    ///
    /// # Errors
    /// If there is no such connector.
    pub fn described(mut self, programs: &Programs) -> Result<Self> {
        let line = one_line(&programs.descriptor_text(self.release.name.as_str())?);
        self.release.descriptor = Some(DescriptorDigest::of(&line));
        self.descriptor = Some(line);
        Ok(self)
    }

    /// A connector of these bytes, without activities.
    ///
    /// # Errors
    /// If name or version are none.
    pub fn new(name: &str, version: &str, component: Vec<u8>) -> Result<Self> {
        let release = Release {
            v: FORMAT,
            name: name.parse::<Name>()?,
            version: version.parse()?,
            wasm: Wasm::of(&component),
            descriptor: None,
            contract: CONTRACT.to_owned(),
            capabilities: Capabilities::default(),
            min_agent: Version::new(0, 1, 0),
            activities: Vec::new(),
            auth: [].into(),
            notes: String::new(),
        };
        Ok(Self { release, component, descriptor: None })
    }

    /// The same code under another version of as many characters: its own text about itself says so, too.
    ///
    /// # Errors
    /// If it is no version, or a longer or shorter one.
    pub fn at(mut self, version: &str) -> Result<Self> {
        let (was, now) = (self.release.version.to_string(), version.as_bytes());
        anyhow::ensure!(was.len() == now.len(), "a text inside a component cannot grow");
        let mut places = Vec::new();
        for (at, part) in self.component.windows(was.len()).enumerate() {
            // The contract's own version stands behind an @, those of crates behind a hyphen.
            let before = at.checked_sub(1).and_then(|before| self.component.get(before));
            if part == was.as_bytes() && !before.is_some_and(|byte| b"@-".contains(byte)) {
                places.push(at);
            }
        }
        for at in places {
            if let Some(place) = self.component.get_mut(at..at + now.len()) {
                place.copy_from_slice(now);
            }
        }
        self.release.version = version.parse()?;
        self.release.wasm = Wasm::of(&self.component);
        // Its text about itself is another one now, and nobody signed it.
        (self.release.descriptor, self.descriptor) = (None, None);
        Ok(self)
    }

    /// With an activity, or with another side-effect class of an activity that it has.
    #[must_use]
    pub fn declaring(mut self, activity: Activity) -> Self {
        self.release.activities.retain(|known| known.name != activity.name);
        self.release.activities.push(activity);
        self
    }

    /// With another side-effect class of an activity.
    #[must_use]
    pub fn whose(mut self, activity: &str, side_effects: SideEffects) -> Self {
        for known in self.release.activities.iter_mut().filter(|known| known.name == activity) {
            known.side_effects = side_effects;
        }
        self
    }

    /// The package: one line with the signed release, one with the descriptor if there is one, then the component.
    ///
    /// # Errors
    /// If the release is unacceptable.
    pub fn signed_by(&self, key: &SigningKey) -> Result<Vec<u8>> {
        let mut bytes = sign_release(&self.release, key)?.to_json();
        bytes.push(b'\n');
        if let Some(descriptor) = &self.descriptor {
            bytes.extend_from_slice(descriptor.as_bytes());
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(&self.component);
        Ok(bytes)
    }
}
