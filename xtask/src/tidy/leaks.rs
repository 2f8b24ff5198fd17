//! Traces of one machine in files that others read: its folders, and the package hosts it happens to use.

use super::Finding;
use super::tree::{File, Tree};

/// Spelt in two halves, so that this file is no finding of its own.
const FOLDERS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Use", "rs/"), concat!("/wo", "rk/")];
const HOSTS: [&str; 7] = [
    concat!("artifac", "tory"),
    concat!("codearti", "fact"),
    concat!("index.crates", ".io"),
    concat!("jfr", "og.io"),
    concat!("pk", "g.dev"),
    concat!("registry.npm", "js.org"),
    concat!("static.crates", ".io"),
];

/// Checks every file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in file.text.lines().enumerate() {
        if let Some(folder) = FOLDERS.into_iter().find(|folder| names_folder(text, folder)) {
            let text = format!("`{folder}` is a folder of one machine: use a relative path");
            findings.push(Finding::fault(&file.path, line + 1, text));
        }
        if let Some(host) = HOSTS.into_iter().find(|host| text.contains(host)) {
            let text = format!("`{host}` names a package host: leave the choice to each machine's own settings");
            findings.push(Finding::fault(&file.path, line + 1, text));
        }
    }
    findings
}

/// Whether `folder` stands at the beginning of a path, and not in the middle of a URL or of a longer path.
fn names_folder(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || ".-_~}>)*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_one_machine_are_faults() {
        let [home, root, ..] = FOLDERS;
        for bad in [format!("cd {home}me"), format!("\"{root}x\""), format!("a={home}me"), format!("file://{root}x")] {
            assert_eq!(findings(&bad), 1, "{bad}");
        }
        for good in [format!("https://x.example{home}me"), format!("${{HOME}}{home}x"), "/var/lib/wherry".to_owned()] {
            assert_eq!(findings(&good), 0, "{good}");
        }
    }

    #[test]
    fn package_hosts_are_faults() {
        let [.., npm, _] = HOSTS;
        assert_eq!(findings(&format!("\"resolved\": \"https://{npm}/a\"")), 1);
        assert_eq!(findings("registry+https://github.com/rust-lang/crates.io-index"), 0);
    }

    fn findings(text: &str) -> usize {
        check(&Tree::of(&[("a.md", text)])).len()
    }
}
