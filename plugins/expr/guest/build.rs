//! Gives the box a stack that fits the longest program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let wasm = std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    if wasm {
        // Compiling recurses with every `|` and `,` of a program. The default of 1 MiB is used up by some hundred.
        println!("cargo::rustc-link-arg-cdylib=-zstack-size=8388608");
    }
}
