//! Files that hold a private key: made once, readable by their owner alone.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;

/// A key as text has at most some 200 characters.
const LIMIT: u64 = 4 * 1024;

/// Makes a new file of mode 0600, durable. An existing file is never overwritten: it may be the only copy of a key.
pub(crate) fn create(path: &Path, text: &str) -> Outcome {
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = "this file exists, and it may be the only copy of a key";
            Err(CliError::new(Exit::Conflict, codes::FILE_EXISTS, message)
                .at(path.display().to_string())
                .fix("choose another name"))
        }
        Err(error) => Err(unwritable(path, error)),
    }
}

/// The text of a key file. One that others may read is refused.
pub(crate) fn read(path: &Path) -> Outcome<Zeroizing<String>> {
    let file = fs::File::open(path).map_err(|error| unreadable(path, error))?;
    if file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        return Err(CliError::new(Exit::Denied, codes::KEY_EXPOSED, "others may read this private key")
            .at(path.display().to_string())
            .fix(format!("chmod 600 {}, and make a new key if the machine is shared", path.display())));
    }
    // Reserved at once: a growing string would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(LIMIT).unwrap_or_default()));
    file.take(LIMIT).read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
    Ok(text)
}
