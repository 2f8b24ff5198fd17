//! The boundary of the box as Rust types, generated from `plugins/expr/wit`.

mod generated {
    wasmtime::component::bindgen!({
        path: "../expr/wit",
        world: "wherry:expr/expr",
        exports: { default: async },
    });
}

pub(super) use generated::exports::wherry::expr::programs;
pub(super) use generated::{Expr, ExprPre};
