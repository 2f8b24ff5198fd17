//! The other programs of Wherry, which stand beside this one.

use std::path::{Path, PathBuf};

use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;

/// The program of that name in `$WHERRY_BIN_DIR`, or else beside this one.
pub(crate) fn find(name: &str) -> Outcome<PathBuf> {
    let named = std::env::var_os("WHERRY_BIN_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| {
        let exe = std::env::current_exe().and_then(|exe| exe.canonicalize()).unwrap_or_default();
        exe.parent().unwrap_or(Path::new(".")).to_owned()
    });
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let message = format!("this needs {name}, which is not beside this program");
    Err(CliError::new(Exit::Failed, codes::PROGRAM_MISSING, message)
        .at(folder.display().to_string())
        .fix(format!("install {name} there, or set WHERRY_BIN_DIR to its folder")))
}
