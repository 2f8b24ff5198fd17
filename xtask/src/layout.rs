//! Where things are: the checkout, the target folder, and the environment the programs and tests expect.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::command::Run;

/// How the programs were built, which is also the name of their folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// Worth measuring.
    Release,
}

/// The folders of this checkout.
pub(crate) struct Layout {
    root: PathBuf,
    target: PathBuf,
    members: Vec<String>,
}

impl Layout {
    /// Asks cargo, which knows the configured target folder.
    pub(crate) fn find() -> Result<Self> {
        let metadata = Run::cargo(["metadata", "--no-deps", "--format-version", "1"]).output()?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
        let folder = |key: &str| {
            let path = metadata.get(key).and_then(Value::as_str);
            path.map(PathBuf::from).ok_or_else(|| anyhow!("cargo metadata names no {key}"))
        };
        let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
        let members = packages.filter_map(|package| Some(package.get("name")?.as_str()?.to_owned())).collect();
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")?, members })
    }

    /// The workspace's top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Whether the workspace has a package of this name.
    pub(crate) fn has_member(&self, name: &str) -> bool {
        self.members.iter().any(|member| member == name)
    }

    /// Where the programs are.
    pub(crate) fn binaries(&self, profile: Profile) -> PathBuf {
        self.target.join(match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        })
    }

    /// Where the connectors are.
    pub(crate) fn connectors(&self) -> PathBuf {
        self.target.join("wasm32-wasip2").join("connector")
    }

    /// Tells a child where to find programs and connectors.
    pub(crate) fn describe(&self, run: Run, profile: Profile) -> Run {
        run.env("WHERRY_BIN_DIR", self.binaries(profile)).env("WHERRY_CONNECTORS", self.connectors())
    }
}
