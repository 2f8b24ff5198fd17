//! What `wherry connector new` writes: the examples of this repository under another name, so that what a newcomer gets
//! is what our own tests run.

use std::path::Path;

use wherry_domain::name::Name;

/// The language of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// With the kit; small components, quick to build.
    Rust,
    /// Through componentize-js.
    #[value(alias = "javascript")]
    Js,
    /// Does not work yet, and says why.
    Python,
}

/// A file and its text.
pub(crate) type File = (&'static str, String);

macro_rules! example {
    ($file:literal) => {
        include_str!(concat!("../../plugins/examples/", $file))
    };
}

macro_rules! wit {
    ($($file:literal),*) => { [$((concat!("wit/", $file), include_str!(concat!("../../plugins/wit/v1/", $file)))),*] };
}

const IGNORED: &str = include_str!("../templates/gitignore.in");
const RUST_MANIFEST: &str = include_str!("../templates/rust/Cargo.toml.in");
const RUST_README: &str = include_str!("../templates/rust/README.md.in");
const JAVASCRIPT_README: &str = include_str!("../templates/javascript.md.in");
const CONTACTS: [(&str, &str); 9] = [
    ("src/lib.rs", example!("contacts/src/lib.rs")),
    ("src/tests.rs", example!("contacts/src/tests.rs")),
    ("src/descriptor.json", example!("contacts/src/descriptor.json")),
    ("tests/query.yaml", example!("contacts/tests/query.yaml")),
    ("tests/query.http.json", example!("contacts/tests/query.http.json")),
    ("tests/upsert.yaml", example!("contacts/tests/upsert.yaml")),
    ("tests/upsert.http.json", example!("contacts/tests/upsert.http.json")),
    ("tests/signed-out.yaml", example!("contacts/tests/signed-out.yaml")),
    ("tests/signed-out.http.json", example!("contacts/tests/signed-out.http.json")),
];
const JAVASCRIPT: [(&str, &str); 7] = [
    ("connector.js", example!("tickets-javascript/connector.js")),
    ("build.mjs", example!("tickets-javascript/build.mjs")),
    ("package.json", example!("tickets-javascript/package.json")),
    ("tests/query.yaml", example!("tickets-javascript/tests/query.yaml")),
    ("tests/query.http.json", example!("tickets-javascript/tests/query.http.json")),
    ("tests/refused.yaml", example!("tickets-javascript/tests/refused.yaml")),
    ("tests/refused.http.json", example!("tickets-javascript/tests/refused.http.json")),
];
const WIT: [(&str, &str); 9] = wit!(
    "connector.wit",
    "deps/LICENSE",
    "deps/cli.wit",
    "deps/clocks.wit",
    "deps/filesystem.wit",
    "deps/http.wit",
    "deps/io.wit",
    "deps/random.wit",
    "deps/sockets.wit"
);

/// The files of a new connector, or nothing in a language that does not work yet. `sdk` is the folder of the kit, for Rust.
pub(crate) fn files(name: &Name, language: Language, sdk: &Path) -> Option<Vec<File>> {
    let ignored = (".gitignore", IGNORED.to_owned());
    match language {
        Language::Rust => {
            let fill = |text: &str| {
                let text =
                    text.replace("{{name}}", name.as_str()).replace("{{crate}}", &name.as_str().replace('-', "_"));
                text.replace("{{sdk}}", &sdk.display().to_string())
            };
            let own = [("Cargo.toml", fill(RUST_MANIFEST)), ("README.md", fill(RUST_README)), ignored];
            let contacts = CONTACTS.iter().map(|(path, text)| (*path, renamed(path, text, name)));
            Some(own.into_iter().chain(contacts).collect())
        }
        Language::Js => Some(javascript(name, ignored)),
        Language::Python => None,
    }
}

fn javascript(name: &Name, ignored: File) -> Vec<File> {
    let readme = ("README.md", JAVASCRIPT_README.replace("{{name}}", name.as_str()));
    let renamed = JAVASCRIPT.iter().map(|(path, text)| (*path, text.replace("tickets-javascript", name.as_str())));
    let wit = WIT.iter().map(|(path, text)| (*path, (*text).to_owned()));
    renamed.chain(wit).chain([readme, ignored]).collect()
}

/// The example under its new name. What the imaginary CRM calls its contacts stays.
fn renamed(path: &str, text: &str, name: &Name) -> String {
    match path {
        "src/lib.rs" => text
            .replace("NAME: &'static str = \"contacts\"", &format!("NAME: &'static str = \"{name}\""))
            .replace(": `docs/guides/write-a-connector.md` explains it line by line.", "; change it piece by piece."),
        "src/descriptor.json" => text.replace("\"name\": \"contacts\",\n", &format!("\"name\": \"{name}\",\n")),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wherry_trust::release::Described;

    #[test]
    fn a_new_connector_carries_its_name_everywhere_and_no_other() {
        let name: Name = "acme-crm".parse().unwrap();
        for language in [Language::Rust, Language::Js] {
            let files = files(&name, language, Path::new("../wherry/plugins/sdk")).unwrap();
            let whole: String = files.iter().map(|(_, text)| text.as_str()).collect();
            assert!(
                whole.contains("acme-crm") && !whole.contains("{{name}}") && !whole.contains("{{sdk}}"),
                "{language:?}"
            );
            assert!(!whole.contains("tickets-javascript"), "{language:?}");
            for wanted in ["README.md", ".gitignore", "tests/query.yaml", "tests/query.http.json"] {
                assert!(files.iter().any(|(path, _)| *path == wanted), "{language:?} lacks {wanted}");
            }
        }
        assert!(files(&name, Language::Python, Path::new("/x")).is_none());
        let files = files(&name, Language::Rust, Path::new("/x")).unwrap();
        let of = |wanted: &str| files.iter().find(|(path, _)| *path == wanted).unwrap().1.clone();
        assert_eq!(Described::parse(of("src/descriptor.json").as_bytes()).unwrap().name, name);
        assert!(of("src/lib.rs").contains("NAME: &'static str = \"acme-crm\""));
        assert!(of("README.md").contains("connector/acme_crm.wasm"));
    }
}
