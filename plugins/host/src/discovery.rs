//! The optional interface for questions: looked for when a component is loaded, called when somebody asks.

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, Resource};

use crate::bindings::types::Error;
use crate::imports::Guest;
use crate::imports::invocation::Invocation;

/// A later minor version of it is found by this name too.
const INTERFACE: &str = "wherry:connector/discovery@1.0.0";

/// The function of a component that answers questions, if it has one.
pub(crate) fn find(component: &Component) -> Option<ComponentExportIndex> {
    let interface = component.get_export_index(None, INTERFACE)?;
    component.get_export_index(Some(&interface), "discover")
}

/// Asks it.
pub(crate) async fn call(
    store: &mut Store<Guest>,
    instance: &Instance,
    function: &ComponentExportIndex,
    invocation: Resource<Invocation>,
    question: &str,
) -> wasmtime::Result<Result<String, Error>> {
    let discover =
        instance.get_typed_func::<(Resource<Invocation>, &str), (Result<String, Error>,)>(&mut *store, function)?;
    let (answer,) = discover.call_async(&mut *store, (invocation, question)).await?;
    Ok(answer)
}
