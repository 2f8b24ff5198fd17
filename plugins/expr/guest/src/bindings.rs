//! The boundary as Rust functions and types, generated from `plugins/expr/wit`.

wit_bindgen::generate!({
    path: "../wit",
    world: "expr",
});

/// The exported functions, generated too: the boundary of a component is raw memory.
#[expect(unsafe_code, reason = "generated")]
mod exported {
    use crate::exported::Programs;

    super::export!(Programs with_types_in super);
}
