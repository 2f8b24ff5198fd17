//! `wherry connector new`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use wherry_domain::name::Name;

use super::Context;
use crate::codes;
use crate::error::{CliError, Outcome, unwritable};
use crate::exit::Exit;
use crate::scaffold::{self, Language};

/// The packages that a connector in Rust is built with out of a checkout; cargo takes no second one of such a name.
const OF_THE_KIT: [&str; 2] = ["wherry-sdk", "wherry-sdk-macros"];
/// Where the kit is in a checkout.
const KIT: &str = "plugins/sdk";
/// The crate that this program was compiled from; a target folder may be outside of its checkout.
const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// Makes a connector that builds, with tests and recorded answers.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Its name, such as acme-crm.
    name: Name,
    /// Its language.
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// A checkout of Wherry, which has the kit for Rust [default: the one this program was built in].
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
    /// The folder to make [default: NAME].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl New {
    pub(super) fn run(self, context: &Context) -> Outcome {
        if self.lang == Language::Rust {
            suitable(&self.name)?;
        }
        let folder = self.folder.clone().unwrap_or_else(|| PathBuf::from(self.name.as_str()));
        if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let error = CliError::new(Exit::Conflict, codes::CONNECTOR_FOLDER, "this folder is not empty");
            return Err(error.at(folder.display().to_string()).fix("name another one with --folder"));
        }
        let checkout = match self.lang {
            Language::Rust => Some(self.checkout()?),
            Language::Js | Language::Python => None,
        };
        let kit = checkout.as_ref().map(|checkout| checkout.join(KIT)).unwrap_or_default();
        let files = scaffold::files(&self.name, self.lang, &kit).ok_or_else(not_yet)?;
        for (path, text) in files {
            write(&folder.join(path), text.as_bytes())?;
        }
        // The same compiler and the same versions of everything as the kit is tested with.
        for name in ["rust-toolchain.toml", "Cargo.lock"] {
            if let Some(text) = checkout.as_ref().and_then(|checkout| fs::read(checkout.join(name)).ok()) {
                write(&folder.join(name), &text)?;
            }
        }
        let place = folder.display();
        let first = match self.lang {
            Language::Rust => "cargo test",
            Language::Js | Language::Python => "npm install",
        };
        let sentence = format!("{} is in {place}; next, in there: {first}, then wherry connector test", self.name);
        context.screen.done(&sentence, &json!({ "name": self.name, "folder": folder.display().to_string() }));
        Ok(())
    }

    fn checkout(&self) -> Outcome<PathBuf> {
        let has_kit = |folder: &&Path| folder.join(KIT).join("Cargo.toml").is_file();
        let missing = |place: String| {
            CliError::new(Exit::Invalid, codes::CONNECTOR_SDK, "there is no kit for connectors in Rust here")
                .at(place)
                .fix("get a checkout of Wherry and name it: --sdk DIR; the kit is in no registry")
        };
        if let Some(named) = &self.sdk {
            let found = named.canonicalize().ok().and_then(|named| named.ancestors().find(has_kit).map(Path::to_owned));
            return found.ok_or_else(|| missing(named.display().to_string()));
        }
        let exe = std::env::current_exe().and_then(|exe| exe.canonicalize()).unwrap_or_default();
        let found = exe.ancestors().chain(Path::new(SOURCE).ancestors()).find(has_kit).map(Path::to_owned);
        found.ok_or_else(|| missing(exe.display().to_string()))
    }
}

/// Refuses a name that cargo or the compiler would refuse, which they say only when the package is built.
fn suitable(name: &Name) -> Outcome {
    let unsuitable = |why: &str, fix: &'static str| {
        Err(CliError::new(Exit::Invalid, codes::CONNECTOR_NAME, format!("{name} {why}")).fix(fix))
    };
    if name.as_str().starts_with(|c: char| c.is_ascii_digit()) {
        return unsuitable(
            "begins with a digit: a connector in Rust is a package, whose name cannot",
            "begin the name with a letter",
        );
    }
    if OF_THE_KIT.contains(&name.as_str()) {
        return unsuitable(
            "is a package of the kit, and a connector in Rust is a package beside it",
            "take another name",
        );
    }
    Ok(())
}

fn not_yet() -> CliError {
    let message = "connectors in Python do not work yet: componentize-py 0.25 makes components that import files and \
                   sockets, which no connector may use, or with --stub-wasi components that cannot make a request";
    CliError::new(Exit::Invalid, codes::CONNECTOR_LANGUAGE, message)
        .fix("--lang rust or --lang js; many REST systems need no code: docs/guides/declarative-connectors.md")
}

fn write(path: &Path, content: &[u8]) -> Outcome {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    fs::write(path, content).map_err(|error| unwritable(path, error))
}
