//! The contract as Rust functions and types, generated from `plugins/wit/v1`.

wit_bindgen::generate!({
    path: "../wit/v1",
    world: "connector",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_connector",
    default_bindings_module: "wherry_sdk::wasm::bindings",
});
