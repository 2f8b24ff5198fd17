//! The box for transformations and conditions: programs that a stranger wrote run over records.
//!
//! It differs from the box of connectors: nothing at all can be called from inside it, not even a clock, and its
//! programs recurse deeply. So it has an engine of its own, with a larger stack. The component is the agent's own
//! (`plugins/expr/guest`); what is hostile are the programs inside.

mod bindings;
mod fault;
mod message;
mod settings;
mod transformer;

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, Linker};

use crate::engine::Machine;
use crate::error::HostError;
use crate::host::{brief, deserialize};
use crate::settings::HostSettings;
use bindings::ExprPre;
pub use fault::{Part, Place, RecordFault, TransformFault};
pub use message::{Transformation, Transformed};
pub use settings::TransformSettings;
use transformer::Inside;
pub use transformer::Transformer;

/// Where Rust's hash maps get their seed; its version follows the toolchain.
const SEED: &str = "wasi:random/insecure-seed@";

/// An engine for transformations. One per process is enough; it is cheap to clone.
#[derive(Clone)]
pub struct TransformHost {
    machine: Arc<Machine>,
    settings: Arc<TransformSettings>,
}

impl TransformHost {
    /// Starts the engine and the thread that interrupts running programs.
    ///
    /// # Errors
    /// If the engine does not start.
    pub fn new(settings: TransformSettings) -> Result<Self, HostError> {
        let machine = Machine::new(&HostSettings { stack_bytes: settings.stack_bytes, ..HostSettings::default() })?;
        Ok(Self { machine: Arc::new(machine), settings: Arc::new(settings) })
    }

    /// Compiles the component to code that [`TransformHost::load`] accepts on a host with the same
    /// [`TransformHost::compatibility`]. It takes seconds: call it in a process of its own.
    ///
    /// # Errors
    /// If this is not the box.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, HostError> {
        let component = self.translate(wasm)?;
        self.admit(&component)?;
        component.serialize().map_err(|error| HostError::Engine(brief(&error)))
    }

    /// Which compiled code this host accepts, as 16 hexadecimal digits.
    pub fn compatibility(&self) -> String {
        self.machine.compatibility()
    }

    /// Loads compiled code, with the same duties of the caller as [`Host::load`](crate::Host::load).
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn load(&self, compiled: &Path) -> Result<Transformer, HostError> {
        self.admit(&deserialize(&self.machine.engine, compiled)?)
    }

    /// Compiles and loads in this process: for tests and for trying a program.
    ///
    /// # Errors
    /// If this is not the box.
    pub fn load_wasm(&self, wasm: &[u8]) -> Result<Transformer, HostError> {
        self.admit(&self.translate(wasm)?)
    }

    fn translate(&self, wasm: &[u8]) -> Result<Component, HostError> {
        Component::from_binary(&self.machine.engine, wasm).map_err(|error| HostError::InvalidComponent(brief(&error)))
    }

    /// Whatever the component imports ends the program that calls it. Only the seed of hash maps is there, and is
    /// always the same: the same record gives the same results.
    fn admit(&self, component: &Component) -> Result<Transformer, HostError> {
        let mut linker = Linker::new(&self.machine.engine);
        let pre = define_seed(&mut linker, component)
            .and_then(|()| linker.define_unknown_imports_as_traps(component))
            .and_then(|()| linker.instantiate_pre(component))
            .and_then(ExprPre::new)
            .map_err(|error| HostError::InvalidComponent(brief(&error)))?;
        Ok(Transformer::new(Arc::clone(&self.machine), Arc::clone(&self.settings), pre))
    }
}

fn define_seed(linker: &mut Linker<Inside>, component: &Component) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (name, _) in component.component_type().imports(&engine).filter(|(name, _)| name.starts_with(SEED)) {
        linker.instance(name)?.func_wrap("insecure-seed", |_, ()| Ok(((0_u64, 0_u64),)))?;
    }
    Ok(())
}
