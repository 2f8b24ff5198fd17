//! Tests against software and descriptions that others wrote: mock servers from npm, API descriptions of vendors.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::Run;
use crate::layout::Layout;

/// The mock server that checks every request against an API description.
const PRISM: &str = "@stoplight/prism-cli@5.16.0";

/// What third-party tests need, or why they cannot run here.
pub(crate) enum ThirdParty {
    /// Everything is there.
    Ready {
        /// The folder of API descriptions and recorded answers.
        specs: PathBuf,
        /// The mock server's program.
        prism: PathBuf,
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
        Ok(Self::Ready { specs, prism })
    }

    /// Tells the tests where things are, or why they are left out.
    pub(crate) fn describe(&self, run: Run) -> Run {
        match self {
            Self::Ready { specs, prism } => {
                run.env("WHERRY_THIRD_PARTY", "1").env("WHERRY_SPECS", specs).env("WHERRY_PRISM", prism)
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
            Self::Ready { .. } => None,
            Self::Missing(_) => Some(EXCEPT_THIRD_PARTY),
        }
    }
}

/// Selects the tests of modules named `third_party`.
pub(crate) const ONLY_THIRD_PARTY: &str = "test(/(^|::)third_party::/)";
/// Selects all others.
pub(crate) const EXCEPT_THIRD_PARTY: &str = "not test(/(^|::)third_party::/)";
