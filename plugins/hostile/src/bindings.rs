//! The contract as Rust functions and types, generated from `plugins/wit/v1`.

wit_bindgen::generate!({
    path: "../wit/v1",
    world: "connector",
    generate_all,
});

/// The exported functions, generated too: the boundary of a component is raw memory.
#[expect(unsafe_code, reason = "generated")]
mod exported {
    use crate::connector::Hostile;

    super::export!(Hostile with_types_in super);
}
