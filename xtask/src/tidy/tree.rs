//! The files of the checkout that belong to the project: tracked, or about to be.

use std::path::Path;

use anyhow::Result;

use super::source::Source;
use crate::command::Run;

/// One text file.
pub(super) struct File {
    /// Its path from the top folder, with `/`.
    pub(super) path: String,
    /// Its content.
    pub(super) text: String,
}

impl File {
    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether the file as a whole is test code.
    pub(super) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The file as Rust source.
    pub(super) fn source(&self) -> Source {
        Source::new(&self.text)
    }
}

/// All text files.
pub(super) struct Tree(Vec<File>);

impl Tree {
    /// Asks git, which knows what is ignored. Files that are not text are left out.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let listing = Run::program("git", ["-C"]).arguments([root]).arguments(["ls-files", "-z"]);
        let listing = listing.arguments(["--cached", "--others", "--exclude-standard", "--deduplicate"]).output()?;
        let paths = listing.split('\0').filter(|path| !path.is_empty());
        let read = |path: &str| {
            let text = String::from_utf8(std::fs::read(root.join(path)).ok()?).ok()?;
            Some(File { path: path.to_owned(), text })
        };
        Ok(Self(paths.filter_map(read).collect()))
    }

    /// A tree for tests.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self(files.iter().map(file).collect())
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.0.iter()
    }

    /// Those in Rust.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_called_tests_and_those_below_are_test_code() {
        let paths = ["trust/tests/it/main.rs", "tests/src/lib.rs", "trust/src/run/tests.rs", "xtask/src/test.rs"];
        let verdicts: Vec<_> = Tree::of(&paths.map(|path| (path, ""))).files().map(File::is_test).collect();
        assert_eq!(verdicts, [true, true, true, false]);
    }
}
