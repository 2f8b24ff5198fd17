//! Compiles and loads connectors.

use std::path::Path;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::bindings::ConnectorCorePre;
use crate::connector::Connector;
use crate::engine::Machine;
use crate::error::HostError;
use crate::imports::{self, Guest};
use crate::settings::HostSettings;
use crate::{admission, text};

const REASON_BYTES: usize = 400;

/// An engine with everything linked that a connector may import. One per process is enough; it is cheap to clone.
#[derive(Clone)]
pub struct Host {
    machine: Arc<Machine>,
    settings: Arc<HostSettings>,
    linker: Arc<Linker<Guest>>,
}

impl Host {
    /// Starts the engine and the thread that interrupts running connectors.
    pub fn new(settings: HostSettings) -> Result<Self, HostError> {
        let machine = Machine::new(&settings)?;
        let mut linker = Linker::new(&machine.engine);
        imports::link(&mut linker)?;
        Ok(Self { machine: Arc::new(machine), settings: Arc::new(settings), linker: Arc::new(linker) })
    }

    /// Checks a component and compiles it to code that [`Host::load`] accepts on a host with the same
    /// [`Host::compatibility`].
    ///
    /// Large components take seconds and hundreds of megabytes: call it in a process of its own.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, HostError> {
        let component = self.translate(wasm)?;
        self.admit(&component)?;
        component.serialize().map_err(|error| HostError::Engine(brief(&error)))
    }

    /// Which compiled code this host accepts, as 16 hexadecimal digits: part of the key of a cache.
    pub fn compatibility(&self) -> String {
        self.machine.compatibility()
    }

    /// Loads compiled code.
    ///
    /// The file becomes part of this process as it is, mapped and not read: the caller has verified that this agent
    /// wrote it, and replaces it by renaming another over it, never by writing into it.
    pub fn load(&self, compiled: &Path) -> Result<Connector, HostError> {
        self.admit(&deserialize(&self.machine.engine, compiled)?)
    }

    /// Compiles and loads in this process: for tests and for the harness of connector developers.
    pub fn load_wasm(&self, wasm: &[u8]) -> Result<Connector, HostError> {
        self.admit(&self.translate(wasm)?)
    }

    fn translate(&self, wasm: &[u8]) -> Result<Component, HostError> {
        admission::check_bytes(wasm, &self.settings)?;
        Component::from_binary(&self.machine.engine, wasm).map_err(|error| HostError::InvalidComponent(brief(&error)))
    }

    fn admit(&self, component: &Component) -> Result<Connector, HostError> {
        admission::check_component(&self.machine.engine, component, &self.settings)?;
        let pre = self
            .linker
            .instantiate_pre(component)
            .and_then(ConnectorCorePre::new)
            .map_err(|error| HostError::ContractMismatch(brief(&error)))?;
        Ok(Connector::new(Arc::clone(&self.machine), Arc::clone(&self.settings), pre))
    }
}

/// Loads compiled code into an engine, with the duties that [`Host::load`] names.
pub(crate) fn deserialize(engine: &Engine, compiled: &Path) -> Result<Component, HostError> {
    let unreadable = |error: std::io::Error| HostError::Unreadable {
        path: compiled.display().to_string(),
        reason: error.to_string(),
    };
    std::fs::metadata(compiled).map_err(unreadable)?;
    // SAFETY: the caller vouches for the file: it is the output of `compile` on this machine, sealed with a MAC
    // that was checked before this call, in a folder that only the agent can write.
    #[expect(unsafe_code, reason = "the one place where compiled code becomes part of the process")]
    let component = unsafe { Component::deserialize_file(engine, compiled) };
    component.map_err(|error| HostError::StaleCode(brief(&error)))
}

pub(crate) fn brief(error: &wasmtime::Error) -> String {
    text::one_line(&format!("{error:#}"), REASON_BYTES)
}
