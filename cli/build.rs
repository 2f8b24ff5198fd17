//! Lists the error codes that `docs/errors` explains, so that no error points to a page that nobody wrote.

use std::{env, fs, io, path::PathBuf};

const PAGES: &str = "../docs/errors";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PAGES}");
    let mut codes = Vec::new();
    for entry in fs::read_dir(PAGES)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        codes.extend(file.strip_suffix(".md").filter(|code| code.contains('.')).map(str::to_owned));
    }
    codes.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names no folder"))?);
    fs::write(out.join("pages.rs"), format!("{codes:?}"))
}
