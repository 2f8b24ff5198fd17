//! Key files: Ed25519 private keys in PEM, readable by their owner alone.

use std::path::Path;

use wherry_trust::keys::SigningKey;

use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::key_file;

/// Makes a key in a new file of mode 0600. An existing file is never overwritten: it may be the only copy of a key.
pub(crate) fn create(path: &Path) -> Outcome<SigningKey> {
    let unavailable =
        |error: wherry_trust::CryptoUnavailable| CliError::new(Exit::Failed, error.code(), error.to_string());
    let key = SigningKey::generate().map_err(unavailable)?;
    let pem = key.to_pem().map_err(unavailable)?;
    key_file::create(path, &pem)?;
    Ok(key)
}

/// Reads a key file.
pub(crate) fn read(path: &Path) -> Outcome<SigningKey> {
    let text = key_file::read(path)?;
    SigningKey::from_pem(&text)
        .map_err(|error| CliError::new(Exit::Invalid, error.code(), error.to_string()).at(path.display().to_string()))
}
