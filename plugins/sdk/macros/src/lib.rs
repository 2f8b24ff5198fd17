//! Says what to do where the compiler could only say that a file is missing.

use std::path::Path;

use proc_macro::TokenStream;

/// The text of `src/descriptor.json` of the package that is compiled; without the file, an error that says how to make
/// it.
#[proc_macro]
pub fn descriptor(_: TokenStream) -> TokenStream {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let tokens = if Path::new(&package).join("src").join("descriptor.json").is_file() {
        r#"::core::include_str!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/src/descriptor.json"))"#
    } else {
        r#"::core::compile_error!("src/descriptor.json is missing: run the tests once with UPDATE=1, they write it (UPDATE=1 cargo test)")"#
    };
    tokens.parse().unwrap_or_default()
}
