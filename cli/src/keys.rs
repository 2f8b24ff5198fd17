//! Key files: Ed25519 private keys in PEM, readable by their owner alone.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use wherry_trust::keys::SigningKey;
use zeroize::Zeroizing;

use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;

/// A key in PEM has about 120 characters.
const LIMIT: u64 = 4 * 1024;

/// Makes a key in a new file of mode 0600. An existing file is never overwritten: it may be the only copy of a key.
pub(crate) fn create(path: &Path) -> Outcome<SigningKey> {
    let unavailable =
        |error: wherry_trust::CryptoUnavailable| CliError::new(Exit::Failed, error.code(), error.to_string());
    let key = SigningKey::generate().map_err(unavailable)?;
    let pem = key.to_pem().map_err(unavailable)?;
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = "this file exists, and it may be the only copy of a key";
            Err(CliError::new(Exit::Conflict, codes::FILE_EXISTS, message)
                .at(path.display().to_string())
                .fix("choose another name"))
        }
        Err(error) => Err(unwritable(path, error)),
    }
}

/// Reads a key file.
pub(crate) fn read(path: &Path) -> Outcome<SigningKey> {
    let file = fs::File::open(path).map_err(|error| unreadable(path, error))?;
    if file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        return Err(CliError::new(Exit::Denied, codes::KEY_EXPOSED, "others may read this private key")
            .at(path.display().to_string())
            .fix(format!("chmod 600 {}, and make a new key if the machine is shared", path.display())));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT).read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
    SigningKey::from_pem(&text)
        .map_err(|error| CliError::new(Exit::Invalid, error.code(), error.to_string()).at(path.display().to_string()))
}
