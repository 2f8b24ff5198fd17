//! Names that say nothing: a module called by them collects what has no other home.

use super::Finding;
use super::tree::{File, Tree};

const EMPTY_WORDS: [&str; 7] = ["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Checks every file and folder with Rust in it.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().filter_map(check_file).collect()
}

fn check_file(file: &File) -> Option<Finding> {
    let stems = file.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let word = stems.into_iter().find(|stem| EMPTY_WORDS.contains(stem))?;
    Some(Finding::fault(&file.path, 1, format!("`{word}` says nothing: name the module after what it does")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_refused_as_files_and_as_folders() {
        for bad in ["a/src/utils.rs", "a/src/helpers/x.rs", "a/src/manager.rs", "a/tests/common/mod.rs"] {
            assert_eq!(check(&Tree::of(&[(bad, "")])).len(), 1, "{bad}");
        }
        for good in ["a/src/lease.rs", "a/src/common_name.rs", "docs/utils.md"] {
            assert_eq!(check(&Tree::of(&[(good, "")])).len(), 0, "{good}");
        }
    }
}
