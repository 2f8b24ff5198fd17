//! The kit for writing connectors: typed options and activities, an HTTP client with paging, records in and out, and
//! a bench that runs an activity natively.
//!
//! A connector is a type that implements [`Connector`] and is handed to [`export!`]. The JSON Schemas of its
//! descriptor, their descriptions and defaults come from the Rust types. `docs/guides/write-a-connector.md` walks
//! through a whole one.
//!
//! The same code runs in two places. As a WebAssembly component it reaches the world through the contract in
//! `plugins/wit`; in unit tests it runs as plain Rust against [`testing::Bench`]. What differs stands behind the seams
//! in [`host`], and generated bindings exist only for WebAssembly.
//!
//! ```
//! use wherry_sdk::prelude::*;
//!
//! struct Acme;
//!
//! /// # Query contacts
//! ///
//! /// Reads all contacts in one state.
//! #[derive(Deserialize, JsonSchema)]
//! struct Query {
//!     /// Which contacts.
//!     #[serde(default = "active")]
//!     state: String,
//! }
//!
//! fn active() -> String {
//!     "active".into()
//! }
//!
//! impl Connector for Acme {
//!     const NAME: &'static str = "acme-crm";
//!     const VERSION: &'static str = "1.0.0";
//!     const TITLE: &'static str = "Acme CRM";
//!     type Options = NoOptions;
//!
//!     fn test(cx: &Context<NoOptions>) -> Result<Value> {
//!         let answer = cx.http().get("/me").send()?;
//!         Ok(json!({ "status": answer.status() }))
//!     }
//!
//!     fn activities() -> Activities<Self> {
//!         Activities::new().source::<Query>("contact.query", SideEffects::Read, query)
//!     }
//! }
//!
//! fn query(cx: &Context<NoOptions>, params: Query, out: &mut Writer) -> Result<Done> {
//!     let request = || cx.http().get("/contacts").query("state", &params.state);
//!     let summary = Pages::of(cx, Paging::page("page").size("per_page", 100), request)?.records("items").write_to(out)?;
//!     Ok(Done::with(summary))
//! }
//!
//! wherry_sdk::export!(Acme);
//!
//! # use wherry_sdk::testing::{Bench, Reply};
//! # let ran = Bench::<Acme>::new()
//! #     .on("GET", "/contacts?page=1&per_page=100&state=active", Reply::json(json!({ "items": [{ "id": 1 }] })))
//! #     .run("contact.query", json!({}));
//! # assert_eq!(ran.records(), [json!({ "id": 1 })]);
//! ```

pub mod activities;
pub mod auth;
pub mod blobs;
pub mod calendar;
pub mod connector;
pub mod context;
#[cfg(not(target_family = "wasm"))]
pub mod descriptor;
pub mod error;
pub mod host;
pub mod http;
pub mod json;
pub mod log;
pub mod paging;
pub mod reader;
pub mod run;
pub mod secret;
pub mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[cfg(target_family = "wasm")]
pub mod wasm;
pub mod writer;
pub mod xml;

pub use activities::{Activities, Done, SideEffects};
pub use auth::Auth;
pub use connector::{Connector, Discover, NoOptions};
pub use context::Context;
pub use error::{Error, Kind, Result};
pub use paging::{Pages, Paging};
pub use reader::{Reader, Record};
pub use secret::Secret;
pub use writer::Writer;

/// For [`export!`].
#[doc(hidden)]
pub mod __private {
    pub use serde_json::Value;
    pub use wherry_sdk_macros::descriptor;
}

/// Everything an author usually needs, with the crates whose macros it is used with.
pub mod prelude {
    pub use crate::{
        Activities, Auth, Connector, Context, Discover, Done, Error, Kind, NoOptions, Pages, Paging, Reader, Record,
        Result, Secret, SideEffects, Writer,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};
}

/// Makes a type that implements [`Connector`] the component. With `, discovery` the component also exports the
/// optional interface for questions, which [`Discover`] answers.
///
/// The component carries the descriptor as the file `src/descriptor.json`, which is also what is packaged with it. In
/// native builds the macro adds a test that compares the file with the types; `UPDATE=1 cargo test` writes it.
#[macro_export]
macro_rules! export {
    ($connector:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::__private::Value = $crate::descriptor::describe::<$connector>;

        #[cfg(all(test, not(target_family = "wasm")))]
        #[test]
        fn the_descriptor_is_what_the_types_say() {
            let path = ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/src/descriptor.json");
            $crate::testing::check_descriptor::<$connector>(path);
        }

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            impl $crate::wasm::Described for $connector {
                fn descriptor() -> ::std::string::String {
                    $crate::__private::descriptor!().to_owned()
                }
            }

            type WherryComponent = $crate::wasm::Component<$connector>;
    $crate::wasm::bindings::export_connector!(WherryComponent with_types_in $crate::wasm::bindings);
        };
    };
    ($connector:ty, discovery) => {
        $crate::export!($connector);

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type WherryComponent = $crate::wasm::Component<$connector>;
    $crate::wasm::discovery::export_discovery!(WherryComponent with_types_in $crate::wasm::discovery);
        };
    };
}
