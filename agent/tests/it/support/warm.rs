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

/// Keeps what an agent compiled and no earlier one did.
pub(crate) fn take(program: &str, data: &Path) {
    let (warm, compiled) = (folder(program), data.join("compiled"));
    let codes: Vec<PathBuf> = fs::read_dir(&compiled).into_iter().flatten().flatten().map(|file| file.path()).collect();
    let codes = codes.into_iter().filter(|path| path.extension().is_some_and(|end| end == "cwasm"));
    if !data.join("local-key").exists() {
        return; // it never ran
    }
    if !warm.exists() {
        let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::copy(data.join("local-key"), fresh.path().join("local-key")).unwrap();
        fs::create_dir(fresh.path().join("compiled")).unwrap();
        // Whoever comes first makes it; the others use that one.
        if fs::rename(fresh.path(), &warm).is_ok() {
            let _renamed = fresh.keep();
        }
    }
    let read = |folder: &Path| fs::read(folder.join("local-key")).unwrap();
    if read(data) != read(&warm) {
        return; // worth nothing to the others
    }
    for code in codes {
        let name = code.file_name().unwrap();
        // Code and its seal belong together: two compilations of one component need not be equal.
        if fs::create_dir(warm.join(name)).is_ok() {
            for file in [code.with_extension("mac"), code.clone()] {
                let fresh = tempfile::NamedTempFile::new_in(&warm).unwrap();
                fs::copy(&file, fresh.path()).unwrap();
                fresh.persist(warm.join("compiled").join(file.file_name().unwrap())).unwrap();
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
