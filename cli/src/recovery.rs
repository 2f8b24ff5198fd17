//! Recovery keys: files that open a group's secrets when every agent of it is lost.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wherry_domain::name::Name;
use wherry_trust::sealing::key::SealingKey;
use zeroize::Zeroizing;

use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;

/// The file has about 200 characters.
const LIMIT: u64 = 4 * 1024;
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
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
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

/// Reads such a file.
pub(crate) fn read(path: &Path) -> Outcome<SealingKey> {
    let file = fs::File::open(path).map_err(|error| unreadable(path, error))?;
    if file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        return Err(CliError::new(Exit::Denied, codes::KEY_EXPOSED, "others may read this private key")
            .at(path.display().to_string())
            .fix(format!("chmod 600 {}, and make a new key if the machine is shared", path.display())));
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(LIMIT).unwrap_or_default()));
    file.take(LIMIT).read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
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
