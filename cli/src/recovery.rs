//! Recovery keys: files that open a group's secrets when every agent of it is lost.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wherry_domain::name::Name;
use wherry_trust::sealing::key::SealingKey;
use zeroize::Zeroizing;

use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::key_file;

const PREFIX: &str = "x25519-secret:";

/// Makes a key in a new file of mode 0600; an existing file is never overwritten.
pub(crate) fn create(path: &Path, group: &Name) -> Outcome<SealingKey> {
    let key = SealingKey::generate().map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.reveal()));
    // Reserved at once: a growing string would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(512));
    for part in ["# wherry recovery key of group ", group.as_str(), "\n", PREFIX, &secret, "\n"] {
        text.push_str(part);
    }
    key_file::create(path, &text)?;
    Ok(key)
}

/// Reads such a file.
pub(crate) fn read(path: &Path) -> Outcome<SealingKey> {
    let text = key_file::read(path)?;
    let secret = text.lines().find_map(|line| line.trim().strip_prefix(PREFIX));
    let mut bytes = Zeroizing::new([0u8; 32]);
    let length = secret.and_then(|secret| URL_SAFE_NO_PAD.decode_slice(secret, bytes.as_mut_slice()).ok());
    let invalid = || {
        CliError::new(Exit::Invalid, codes::RECOVERY_KEY_INVALID, "this file is not a recovery key")
            .at(path.display().to_string())
            .fix("give the file that `wherry key recovery` made")
    };
    if length != Some(bytes.len()) {
        return Err(invalid());
    }
    SealingKey::from_bytes(&bytes).map_err(|_| invalid())
}
