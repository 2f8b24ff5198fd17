//! Compiled connectors that outlive a test: compiling takes seconds, and most tests are about something else.
//!
//! The agents of all tests share one machine key, without which compiled code of another agent is worth nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Apart for each build of the agent.
fn folder(program: &str) -> PathBuf {
    let built = fs::metadata(program).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compiled-{built}"))
}

/// Gives an agent everything that earlier tests compiled.
pub(crate) fn give(program: &str, data: &Path) {
    let warm = folder(program);
    if warm.exists() {
        fs::copy(warm.join("local-key"), data.join("local-key")).unwrap();
        copy(&warm.join("compiled"), &data.join("compiled"));
    }
}

/// Keeps what the first agent compiled.
pub(crate) fn take(program: &str, data: &Path) {
    let (warm, compiled) = (folder(program), data.join("compiled"));
    let whole = |file: &fs::DirEntry| file.path().extension().is_some_and(|end| end == "cwasm");
    let any = fs::read_dir(&compiled).is_ok_and(|files| files.flatten().any(|file| whole(&file)));
    if warm.exists() || !any {
        return;
    }
    let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::copy(data.join("local-key"), fresh.path().join("local-key")).unwrap();
    copy(&compiled, &fresh.path().join("compiled"));
    // Whoever comes first makes it; the others use that one.
    if fs::rename(fresh.path(), &warm).is_ok() {
        let _renamed = fresh.keep();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
