//! The folder in which a demo keeps everything: data, logs, keys, the example project.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::codes;
use crate::error::{CliError, Outcome, unwritable};
use crate::exit::Exit;

/// The example project; compiled in, so that an installed `wherry` needs no source tree.
const EXAMPLE: &[(&str, &str)] = &[
    ("wherry.yaml", include_str!("../../../examples/service-desk/wherry.yaml")),
    ("connections/jira.yaml", include_str!("../../../examples/service-desk/connections/jira.yaml")),
    ("operations/hand-over.yaml", include_str!("../../../examples/service-desk/operations/hand-over.yaml")),
    ("operations/report-failure.yaml", include_str!("../../../examples/service-desk/operations/report-failure.yaml")),
    ("operations/count-open.yaml", include_str!("../../../examples/service-desk/operations/count-open.yaml")),
];
/// Where the example expects the simulated system.
const EXAMPLE_URL: &str = "http://127.0.0.1:7070";

/// The folder of one demo.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes a temporary folder, or takes the one that was asked for if nothing is in it.
    pub(super) fn prepare(asked: Option<PathBuf>, keep: bool) -> Outcome<Self> {
        let keep = keep || asked.is_some();
        let name = format!("wherry-demo-{}", uuid::Uuid::new_v4().simple());
        let path = asked.unwrap_or_else(|| std::env::temp_dir().join(name));
        make(&path)?;
        let path = path.canonicalize().map_err(|error| unwritable(&path, error))?;
        let mut entries = fs::read_dir(&path).map_err(|error| unwritable(&path, error))?;
        if entries.next().is_some() {
            return Err(CliError::new(
                Exit::Conflict,
                codes::DEMO_FOLDER_IN_USE,
                "there is something in this folder already",
            )
            .at(path.display().to_string())
            .fix("name a new or empty folder with --dir"));
        }
        Ok(Self { path, keep })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder for the logs of all processes.
    pub(super) fn logs(&self) -> Outcome<PathBuf> {
        self.folder("logs")
    }

    /// A folder in it, made if need be.
    pub(super) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.path.join(name);
        make(&path)?;
        Ok(path)
    }

    /// Writes a file in it; the folder itself is closed to others.
    pub(super) fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).map_err(|error| unwritable(&path, error))?;
        Ok(path)
    }

    /// Writes the example project, with the address of the simulated system.
    pub(super) fn example(&self, url: &str) -> Outcome<PathBuf> {
        let project = self.folder("service-desk")?;
        for part in ["connections", "operations"] {
            make(&project.join(part))?;
        }
        for (name, text) in EXAMPLE {
            let path = project.join(name);
            fs::write(&path, text.replace(EXAMPLE_URL, url)).map_err(|error| unwritable(&path, error))?;
        }
        Ok(project)
    }

    /// Removes the folder, unless the person wants it or needs it to find out what went wrong.
    pub(super) fn clear(self, failed: bool) {
        if !self.keep && !failed {
            // What cannot be removed from a temporary folder is left to the system.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn make(path: &Path) -> Outcome {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unwritable(path, error))
}
