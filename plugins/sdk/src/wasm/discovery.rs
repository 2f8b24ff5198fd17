//! The optional interface for questions, generated from the same contract: a world of its own with that one export,
//! which is joined with the rest when the component is made.

wit_bindgen::generate!({
    inline: "
        package wherry:sdk;

        world discovery {
            export wherry:connector/discovery@1.0.0;
        }
    ",
    path: "../wit/v1",
    world: "wherry:sdk/discovery",
    pub_export_macro: true,
    export_macro_name: "export_discovery",
    default_bindings_module: "wherry_sdk::wasm::discovery",
    with: {
        "wherry:connector/types@1.0.0": crate::wasm::bindings::wherry::connector::types,
        "wherry:connector/invocations@1.0.0": crate::wasm::bindings::wherry::connector::invocations,
    },
});
