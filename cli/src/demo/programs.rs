//! Where the other programs of Wherry are, and the connector that the demo publishes.

use std::path::{Path, PathBuf};

use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;

/// The name of the component, as cargo builds it.
const CONNECTOR: &str = "wherry_connector_jira_service_management.wasm";
const DESCRIPTOR: &str = "wherry_connector_jira_service_management.json";
/// Everything that the demo starts or publishes.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) controller: PathBuf,
    pub(super) agent: PathBuf,
    pub(super) sandbox: PathBuf,
    pub(super) connector: PathBuf,
    /// The connector's descriptor beside it. Without one the demo takes the descriptor this tool was built with.
    pub(super) descriptor: Option<PathBuf>,
}

impl Programs {
    pub(super) fn find() -> Outcome<Self> {
        let exe = std::env::current_exe().and_then(|exe| exe.canonicalize()).unwrap_or_default();
        let beside = exe.parent().unwrap_or(Path::new(".")).to_owned();
        let bin = set("WHERRY_BIN_DIR").unwrap_or_else(|| beside.clone());
        let connectors = match set("WHERRY_CONNECTORS") {
            Some(folder) => vec![folder],
            None => vec![beside.clone(), beside.join("connectors"), beside.join("../wasm32-wasip2/connector")],
        };
        let connector = connectors.iter().map(|folder| folder.join(CONNECTOR)).find(|path| path.is_file());
        let connector = connector.ok_or_else(|| no_connector(&connectors))?;
        let descriptor = Some(connector.with_file_name(DESCRIPTOR)).filter(|path| path.is_file());
        Ok(Self {
            controller: program(&bin, "wherry-controller")?,
            agent: program(&bin, "wherry-agent")?,
            sandbox: program(&bin, "wherry-sandbox")?,
            descriptor,
            connector,
        })
    }
}

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn program(folder: &Path, name: &str) -> Outcome<PathBuf> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(CliError::new(Exit::Failed, codes::DEMO_PROGRAM_MISSING, format!("the demo needs {name}, which is not here"))
        .at(folder.display().to_string())
        .fix("build it (cargo build -p wherry-controller -p wherry-agent -p wherry-sandbox), or set WHERRY_BIN_DIR"))
}

fn no_connector(folders: &[PathBuf]) -> CliError {
    let looked = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    CliError::new(Exit::Failed, codes::DEMO_CONNECTOR_MISSING, format!("the demo needs {CONNECTOR}, which is not here"))
        .at(looked)
        .fix("build it (cargo xtask wasm), or set WHERRY_CONNECTORS to its folder")
}
