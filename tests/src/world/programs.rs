//! Where the programs and connectors under test are: `$WHERRY_BIN_DIR` and `$WHERRY_CONNECTORS`, which
//! `cargo xtask test` sets, or the target folder this test was built into.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const PLUGINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");

/// The folders of programs and connectors.
#[derive(Clone, Debug)]
pub struct Programs {
    binaries: PathBuf,
    connectors: PathBuf,
}

impl Programs {
    /// Looks in the environment, then beside this test.
    ///
    /// # Errors
    /// If this test does not know where it lies itself.
    pub fn find() -> Result<Self> {
        let own = env::current_exe()?;
        let beside = own.parent().and_then(Path::parent).context("the test lies in no target folder")?;
        let binaries = env::var_os("WHERRY_BIN_DIR").map_or_else(|| beside.to_owned(), PathBuf::from);
        let target = beside.parent().context("the test lies in no target folder")?;
        let built = target.join("wasm32-wasip2").join("connector");
        let connectors = env::var_os("WHERRY_CONNECTORS").map_or(built, PathBuf::from);
        Ok(Self { binaries, connectors })
    }

    /// A program by name.
    ///
    /// # Errors
    /// If it was not built.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.binaries.join(name);
        if !path.is_file() {
            bail!("{} is missing: build it with `cargo build --workspace --bins`", path.display());
        }
        Ok(path)
    }

    /// The folder of the components.
    pub fn connectors(&self) -> &Path {
        &self.connectors
    }

    /// The component of a connector.
    ///
    /// # Errors
    /// If it was not built.
    pub fn component(&self, connector: &str) -> Result<Vec<u8>> {
        let path = self.connectors.join(format!("wherry_connector_{}.wasm", connector.replace('-', "_")));
        fs::read(&path).with_context(|| format!("{} is missing: build it with `cargo xtask wasm`", path.display()))
    }

    /// What a connector of this workspace says of itself.
    ///
    /// # Errors
    /// If there is no such connector.
    pub fn descriptor(&self, connector: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.descriptor_text(connector)?)?)
    }

    /// The same, as it stands in the file.
    ///
    /// # Errors
    /// If there is no such connector.
    pub fn descriptor_text(&self, connector: &str) -> Result<String> {
        let places = [Path::new(PLUGINS).join(connector), Path::new(PLUGINS).join("examples").join(connector)];
        let path = places.map(|place| place.join("src").join("descriptor.json"));
        let path = path.iter().find(|path| path.is_file()).context("there is no such connector")?;
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A folder that outlives the test and goes with the target folder.
    pub(super) fn scratch(&self) -> PathBuf {
        self.binaries.join("wherry-tests")
    }
}
