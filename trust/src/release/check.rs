//! The limits of a release: what a receiver accepts even from a publisher it trusts.

use std::collections::BTreeSet;

use super::{CONTRACT, DESCRIPTOR_LIMIT, FORMAT, Release, ReleaseError, shown};

/// Largest component: beyond this, compiling takes an agent's memory and minutes.
pub const WASM_LIMIT: u64 = 32 * 1024 * 1024;
/// More activity types than any known system offers.
const ACTIVITIES_LIMIT: usize = 256;
/// A person reads this list before agreeing to an upgrade.
const CAPABILITIES_LIMIT: usize = 64;
/// As many as a descriptor may name.
const AUTH_LIMIT: usize = 32;
/// Longest host name in the DNS.
const CAPABILITY_LENGTH: usize = 253;
/// A page of release notes.
const NOTES_LIMIT: usize = 16 * 1024;

impl Release {
    /// Checks every field against its limits.
    pub fn check(&self) -> Result<(), ReleaseError> {
        let unacceptable = |field, why: String| Err(ReleaseError::Unacceptable { field, why });
        if self.v != FORMAT {
            return unacceptable("v", format!("{} is unknown, only {FORMAT} is", self.v));
        }
        if self.contract != CONTRACT {
            return unacceptable("contract", format!("built against another than {CONTRACT}"));
        }
        if self.wasm.length == 0 || self.wasm.length > WASM_LIMIT {
            return unacceptable("wasm.length", format!("{} bytes, at most {WASM_LIMIT}", self.wasm.length));
        }
        if self.descriptor.is_some_and(|descriptor| descriptor.length == 0 || descriptor.length > DESCRIPTOR_LIMIT) {
            return unacceptable("descriptor.length", format!("1 to {DESCRIPTOR_LIMIT} bytes are accepted"));
        }
        if self.notes.len() > NOTES_LIMIT {
            return unacceptable("notes", format!("{} bytes, at most {NOTES_LIMIT}", self.notes.len()));
        }
        self.check_capabilities()?;
        self.check_auth()?;
        self.check_activities()
    }

    fn check_capabilities(&self) -> Result<(), ReleaseError> {
        let unacceptable = |why| Err(ReleaseError::Unacceptable { field: "capabilities", why });
        let count = self.capabilities.entries().count();
        if count > CAPABILITIES_LIMIT {
            return unacceptable(format!("{count} entries, at most {CAPABILITIES_LIMIT}"));
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:".contains(&byte);
        let fits = |entry: &String| !entry.is_empty() && entry.len() <= CAPABILITY_LENGTH && entry.bytes().all(allowed);
        match self.capabilities.entries().find(|entry| !fits(entry)) {
            Some(entry) => unacceptable(format!("{} is no host, grant or interface", shown(entry))),
            None => Ok(()),
        }
    }

    fn check_auth(&self) -> Result<(), ReleaseError> {
        let unacceptable = |why| Err(ReleaseError::Unacceptable { field: "auth", why });
        if self.auth.len() > AUTH_LIMIT {
            return unacceptable(format!("{} entries, at most {AUTH_LIMIT}", self.auth.len()));
        }
        match self.auth.iter().find(|scheme| !is_activity_name(scheme)) {
            Some(scheme) => unacceptable(format!("{} is no scheme", shown(scheme))),
            None => Ok(()),
        }
    }

    fn check_activities(&self) -> Result<(), ReleaseError> {
        let unacceptable = |why| Err(ReleaseError::Unacceptable { field: "activities", why });
        let count = self.activities.len();
        if count == 0 || count > ACTIVITIES_LIMIT {
            return unacceptable(format!("{count} of them, 1 to {ACTIVITIES_LIMIT} are accepted"));
        }
        let mut seen = BTreeSet::new();
        for activity in &self.activities {
            if !is_activity_name(&activity.name) {
                return unacceptable(format!("{} is no activity name", shown(&activity.name)));
            }
            if !seen.insert(activity.name.as_str()) {
                return unacceptable(format!("{} is there twice", activity.name));
            }
        }
        Ok(())
    }
}

/// Dotted words of lower-case letters, digits, `_` and `-`, at most 64 bytes in all.
fn is_activity_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    text.len() <= 64 && text.split('.').all(|word| !word.is_empty() && word.bytes().all(allowed))
}
