//! What a component says of itself, heard in the box.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use tokio::runtime::{Builder, Runtime};
use wherry_host::{Connector, Descriptor, Host, HostSettings};

use super::Ended;

/// Prints the descriptor's text as the component returns it, after the checks that an agent makes.
pub(super) fn describe(component: &Path) -> Result<(), Ended> {
    let connector = load(component)?;
    let text = runtime()?.block_on(connector.describe_text())?;
    Descriptor::parse(&text).map_err(wherry_host::HostError::from)?;
    std::io::stdout().write_all(text.as_bytes()).map_err(Ended::System)
}

/// The component, compiled in this process.
pub(super) fn load(component: &Path) -> Result<Connector, Ended> {
    let settings = HostSettings::default();
    // One byte more than is accepted: the host says what is too much.
    let limit = settings.component_bytes as u64 + 1;
    let mut wasm = Vec::new();
    let file = File::open(component).map_err(Ended::Unreadable)?;
    file.take(limit).read_to_end(&mut wasm).map_err(Ended::Unreadable)?;
    Ok(Host::new(settings)?.load_wasm(&wasm)?)
}

pub(super) fn runtime() -> Result<Runtime, Ended> {
    Builder::new_current_thread().enable_all().build().map_err(Ended::System)
}
