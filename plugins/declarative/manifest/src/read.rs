//! Reads a manifest and finds every fault in it, each with its place.

mod activity;
mod errors;
mod node;
mod paging;
mod request;
mod schema;
mod top;

use std::cell::RefCell;

use serde_json::Value;

use crate::model::Manifest;
use node::Node;

/// Faults that are reported at once; whoever has more fixes these first.
const FAULTS: usize = 100;

/// Something that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The keys on the way to it, numbers for elements of lists.
    pub path: Vec<String>,
    /// What is wrong and what is right.
    pub message: String,
}

/// Reads a manifest.
///
/// # Errors
/// Every fault, at most 100, in the order of the document.
pub fn read(manifest: &Value) -> Result<Manifest, Vec<Fault>> {
    let faults = RefCell::default();
    let read = top::manifest(&Node::root(manifest, &faults));
    let mut faults = faults.into_inner();
    faults.truncate(FAULTS);
    match read {
        Some(manifest) if faults.is_empty() => Ok(manifest),
        Some(_) | None => Err(faults),
    }
}

#[cfg(test)]
mod tests;
