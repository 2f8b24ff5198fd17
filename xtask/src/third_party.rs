//! Tests against software and descriptions that others wrote: mock servers from npm, clients from PyPI, API descriptions
//! of vendors.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::Run;
use crate::layout::Layout;

/// The mock server that checks every request against an API description.
const PRISM: &str = "@stoplight/prism-cli@5.16.0";

/// The client that drives the sandbox.
const JIRA_CLIENT: &str = "jira==3.10.5";

/// What third-party tests need, or why they cannot run here.
pub(crate) enum ThirdParty {
    /// Everything is there.
    Ready {
        /// The folder of API descriptions and recorded answers.
        specs: PathBuf,
        /// The mock server's program.
        prism: PathBuf,
        /// A Python that has the client, or why there is none.
        python: std::result::Result<PathBuf, String>,
    },
    /// Something is missing.
    Missing(String),
}

impl ThirdParty {
    /// Installs what can be installed. The descriptions cannot: their licences keep them out of this repository.
    pub(crate) fn prepare(layout: &Layout) -> Result<Self> {
        let beside = layout.root().join("..").join("shared").join("specs");
        let specs = std::env::var_os("WHERRY_SPECS").map_or(beside, PathBuf::from);
        let Ok(specs) = specs.canonicalize() else {
            return Ok(Self::Missing(format!("no API descriptions in {}, set WHERRY_SPECS", specs.display())));
        };
        let folder = layout.target().join("third-party");
        let prism = folder.join("node_modules").join(".bin").join("prism");
        if !prism.exists() {
            if !Run::program("npm", ["--version"]).succeeds() {
                return Ok(Self::Missing("npm is not installed".to_owned()));
            }
            std::fs::create_dir_all(&folder)?;
            let install = Run::program("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]);
            install.arguments([&folder]).arguments([PRISM]).quiet_stdout().check()?;
        }
        Ok(Self::Ready { specs, prism, python: python(&folder)? })
    }

    /// Tells the tests where things are, or why they are left out.
    pub(crate) fn describe(&self, run: Run) -> Run {
        match self {
            Self::Ready { specs, prism, python } => {
                let run = run.env("WHERRY_THIRD_PARTY", "1").env("WHERRY_SPECS", specs).env("WHERRY_PRISM", prism);
                match python {
                    Ok(python) => run.env("WHERRY_PYTHON", python),
                    Err(why) => {
                        eprintln!("skipped: third-party tests with Python, {why}");
                        run
                    }
                }
            }
            Self::Missing(why) => {
                eprintln!("skipped: third-party tests, {why}");
                run
            }
        }
    }

    /// The filter for nextest that leaves these tests out where they cannot run, so that they count as skipped.
    pub(crate) fn filter(&self) -> Option<&'static str> {
        match self {
            Self::Ready { python: Ok(_), .. } => None,
            Self::Ready { python: Err(_), .. } => Some(EXCEPT_PYTHON),
            Self::Missing(_) => Some(EXCEPT_THIRD_PARTY),
        }
    }

    /// The filter that selects these tests, as far as they can run.
    pub(crate) fn selection(&self) -> String {
        match self.filter() {
            None => ONLY_THIRD_PARTY.to_owned(),
            Some(except) => format!("{ONLY_THIRD_PARTY} and ({except})"),
        }
    }
}

/// A Python of our own with the client in it.
fn python(folder: &Path) -> Result<std::result::Result<PathBuf, String>> {
    let own = folder.join("python");
    let python = own.join("bin").join("python");
    let works = || Run::program(&python, ["-c", "import jira"]).succeeds();
    if works() {
        return Ok(Ok(python));
    }
    if !Run::program("python3", ["-c", "import venv, ensurepip"]).succeeds() {
        return Ok(Err("python3 with venv is not installed".to_owned()));
    }
    let make = Run::program("python3", ["-m", "venv"]).arguments([&own]).quiet_stdout();
    let install =
        Run::program(&python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", JIRA_CLIENT]);
    if make.status()?.success() && install.quiet_stdout().status()?.success() && works() {
        return Ok(Ok(python));
    }
    Ok(Err(format!("{JIRA_CLIENT} could not be installed")))
}

/// Selects the tests of modules named `third_party`.
const ONLY_THIRD_PARTY: &str = "test(/(^|::)third_party::/)";
/// Leaves out those of them that need Python.
const EXCEPT_PYTHON: &str = "not test(/(^|::)third_party::python::/)";
/// Selects all others.
pub(crate) const EXCEPT_THIRD_PARTY: &str = "not test(/(^|::)third_party::/)";
