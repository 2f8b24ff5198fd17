//! Tests against software and descriptions that others wrote: mock servers from npm, clients from PyPI, API descriptions
//! of vendors, proxies and Request Tracker from Debian, a compiler of components from npm.

mod languages;
mod proxies;
mod request_tracker;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::Run;
use crate::layout::Layout;

/// The mock server that checks every request against an API description.
const PRISM: &str = "@stoplight/prism-cli@5.16.0";

/// A certified provider of OAuth 2.0 and OpenID Connect, which rotates refresh tokens and notices their reuse.
const OIDC: &str = "oidc-provider@9.13.3";

/// From PyPI: the client that drives the sandbox, two judges of OAuth 1.0a signatures, a SOAP server and a SOAP client.
const PYTHON_PACKAGES: [&str; 5] =
    ["jira==3.10.5", "oauthlib[signedtoken]==4.0.1", "authlib==1.9.9", "spyne==2.14.0", "zeep==4.3.3"];
/// What only works if all of them do.
const PYTHON_WORKS: &str = "import jira, oauthlib.oauth1, cryptography, authlib.oauth1, spyne.server.wsgi, zeep";

/// What third-party tests need, or why they cannot run here.
pub(crate) struct ThirdParty {
    described: Described,
    /// The folder of the provider of OAuth 2.0, or why there is none.
    oidc: std::result::Result<PathBuf, String>,
    /// Or why there are none.
    proxies: std::result::Result<(), String>,
    /// Or why there is none.
    request_tracker: std::result::Result<(), String>,
    /// The folder of modules that make components of JavaScript, or why there is none.
    javascript: std::result::Result<PathBuf, String>,
}

/// What tests against API descriptions need, or why they cannot run here.
enum Described {
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
    /// Installs what can be installed.
    pub(crate) fn prepare(layout: &Layout) -> Result<Self> {
        let request_tracker = request_tracker::prepare()?;
        let (described, oidc) = (Described::prepare(layout)?, oidc(layout)?);
        let javascript = languages::javascript(layout)?;
        Ok(Self { described, oidc, proxies: proxies::prepare()?, request_tracker, javascript })
    }

    /// Tells the tests where things are, or why they are left out.
    pub(crate) fn describe(&self, run: Run) -> Run {
        let run = self.described.describe(run);
        let run = match &self.javascript {
            Ok(modules) => run.env("WHERRY_COMPONENTIZE_JS", modules),
            Err(why) => {
                eprintln!("skipped: third-party tests with connectors in JavaScript, {why}");
                run
            }
        };
        let run = match &self.oidc {
            Ok(folder) => run.env("WHERRY_OIDC", folder),
            Err(why) => {
                eprintln!("skipped: third-party tests with a provider of OAuth 2.0, {why}");
                run
            }
        };
        let run = match &self.request_tracker {
            Ok(()) => run.env("WHERRY_REQUEST_TRACKER", "1"),
            Err(why) => {
                eprintln!("skipped: third-party tests with Request Tracker, {why}");
                run
            }
        };
        match &self.proxies {
            Ok(()) => run.env("WHERRY_PROXIES", "1"),
            Err(why) => {
                eprintln!("skipped: third-party tests with proxies, {why}");
                run
            }
        }
    }

    /// Whether any of these tests can run.
    pub(crate) fn has_any(&self) -> bool {
        self.proxies.is_ok()
            || self.request_tracker.is_ok()
            || self.oidc.is_ok()
            || self.javascript.is_ok()
            || matches!(self.described, Described::Ready { .. })
    }

    /// The filter for nextest that leaves these tests out where they cannot run, so that they count as skipped.
    pub(crate) fn filter(&self) -> Option<String> {
        let proxies = self.proxies.is_err().then_some(EXCEPT_PROXIES);
        let oidc = self.oidc.is_err().then_some(EXCEPT_OIDC);
        let tracker = self.request_tracker.is_err().then_some(EXCEPT_REQUEST_TRACKER);
        let javascript = self.javascript.is_err().then_some(EXCEPT_JAVASCRIPT);
        let described = self.described.filter().into_iter();
        let filters: Vec<&str> = described.chain(proxies).chain(oidc).chain(tracker).chain(javascript).collect();
        (!filters.is_empty()).then(|| filters.join(" and "))
    }

    /// The filter that selects these tests, as far as they can run.
    pub(crate) fn selection(&self) -> String {
        match self.filter() {
            None => ONLY_THIRD_PARTY.to_owned(),
            Some(except) => format!("{ONLY_THIRD_PARTY} and {except}"),
        }
    }
}

impl Described {
    /// Installs what can be installed. The descriptions cannot: their licences keep them out of this repository.
    fn prepare(layout: &Layout) -> Result<Self> {
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

    fn describe(&self, run: Run) -> Run {
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

    /// What leaves out those that cannot run.
    fn filter(&self) -> Option<&'static str> {
        match self {
            Self::Ready { python: Ok(_), .. } => None,
            Self::Ready { python: Err(_), .. } => Some(EXCEPT_PYTHON),
            Self::Missing(_) => Some(EXCEPT_DESCRIBED),
        }
    }
}

/// The provider of OAuth 2.0.
fn oidc(layout: &Layout) -> Result<std::result::Result<PathBuf, String>> {
    let folder = layout.target().join("third-party");
    let provider = folder.join("node_modules").join("oidc-provider");
    if provider.exists() {
        return Ok(Ok(provider));
    }
    if !Run::program("npm", ["--version"]).succeeds() {
        return Ok(Err("npm is not installed".to_owned()));
    }
    std::fs::create_dir_all(&folder)?;
    let install = Run::program("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]);
    let installed = install.arguments([&folder]).arguments([OIDC]).quiet_stdout().status()?.success();
    Ok(if installed { Ok(provider) } else { Err(format!("{OIDC} could not be installed")) })
}

/// A Python of our own with the client in it.
fn python(folder: &Path) -> Result<std::result::Result<PathBuf, String>> {
    let own = folder.join("python");
    let python = own.join("bin").join("python");
    let works = || Run::program(&python, ["-c", PYTHON_WORKS]).succeeds();
    if works() {
        return Ok(Ok(python));
    }
    if !Run::program("python3", ["-c", "import venv, ensurepip"]).succeeds() {
        return Ok(Err("python3 with venv is not installed".to_owned()));
    }
    let make = Run::program("python3", ["-m", "venv"]).arguments([&own]).quiet_stdout();
    let install = Run::program(&python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    if make.status()?.success() && install.arguments(PYTHON_PACKAGES).quiet_stdout().status()?.success() && works() {
        return Ok(Ok(python));
    }
    Ok(Err(format!("{} could not be installed", PYTHON_PACKAGES.join(", "))))
}

/// Selects the tests of modules named `third_party`.
const ONLY_THIRD_PARTY: &str = "test(/(^|::)third_party::/)";
/// Leaves out those of them that need Python.
const EXCEPT_PYTHON: &str = "not test(/(^|::)third_party::(python|oauth1|soap)::/)";
/// Leaves out those of them that need API descriptions.
const EXCEPT_DESCRIBED: &str =
    "(not test(/(^|::)third_party::/) or test(/(^|::)(proxies|oauth|declarative|kit)::third_party::/))";
/// Leaves out those of them that need a provider of OAuth 2.0.
const EXCEPT_OIDC: &str = "not test(/(^|::)oauth::third_party::/)";
/// Leaves out those of them that need Request Tracker.
const EXCEPT_REQUEST_TRACKER: &str = "not test(/(^|::)declarative::third_party::/)";
/// Leaves out those of them that make components of JavaScript.
const EXCEPT_JAVASCRIPT: &str = "not test(/(^|::)kit::third_party::/)";
/// Leaves out those of them that need proxies.
const EXCEPT_PROXIES: &str = "not test(/(^|::)proxies::third_party::/)";
/// Selects all others.
pub(crate) const EXCEPT_THIRD_PARTY: &str = "not test(/(^|::)third_party::/)";
