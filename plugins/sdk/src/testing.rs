//! A bench for unit tests: runs an activity natively against scripted answers, and tells everything it did.
//!
//! ```
//! # use wherry_sdk::prelude::*;
//! # use wherry_sdk::testing::{Bench, Reply};
//! # struct Acme;
//! # #[derive(Deserialize, JsonSchema)]
//! # struct Query {}
//! # impl Connector for Acme {
//! #     const NAME: &'static str = "acme";
//! #     const VERSION: &'static str = "1.0.0";
//! #     const TITLE: &'static str = "Acme";
//! #     type Options = NoOptions;
//! #     fn test(_: &Context<NoOptions>) -> Result<Value> { Ok(json!({})) }
//! #     fn activities() -> Activities<Self> {
//! #         Activities::new().source::<Query>("query", SideEffects::Read, |cx, _, out| {
//! #             Ok(Done::with(Pages::of(cx, Paging::token("after", "next"), || cx.http().get("/contacts"))?
//! #                 .records("items").write_to(out)?))
//! #         })
//! #     }
//! # }
//! let ran = Bench::<Acme>::new()
//!     .on("GET", "/contacts", Reply::json(json!({ "items": [{ "id": 1 }], "next": "t" })))
//!     .on("GET", "/contacts?after=t", Reply::json(json!({ "items": [{ "id": 2 }] })))
//!     .run("query", json!({}));
//! assert_eq!(ran.records(), [json!({ "id": 1 }), json!({ "id": 2 })]);
//! assert_eq!(ran.output()["complete"], true);
//! ```

mod bench;
mod scene;
mod script;

pub use bench::{Bench, Ran};
pub use script::{Reply, Sent};

use std::path::Path;

use serde_json::Value;

use crate::connector::Connector;
use crate::descriptor;

/// Compares the descriptor that a connector's types make with the file that is packaged with it. With the environment
/// variable `UPDATE=1` the file is written instead.
pub fn check_descriptor<C: Connector>(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let made = descriptor::describe::<C>();
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{made:#}\n");
        let written = std::fs::write(path, text);
        assert!(written.is_ok(), "{} cannot be written: {written:?}", path.display());
        return;
    }
    let kept = std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let place = path.display();
    assert!(kept.is_some(), "{place} is missing or no JSON; run this test once with UPDATE=1");
    let kept = kept.unwrap_or_default();
    let differing = differences(&made, &kept, "");
    assert!(differing.is_empty(), "{place} is not what the types say; run this test with UPDATE=1:\n{differing}");
}

/// The places where two documents differ, one per line.
fn differences(made: &Value, kept: &Value, place: &str) -> String {
    match (made, kept) {
        (Value::Object(made), Value::Object(kept)) => {
            let mut names: Vec<_> = made.keys().chain(kept.keys()).collect();
            names.sort();
            names.dedup();
            let null = Value::Null;
            let of = |object: &serde_json::Map<String, Value>, name: &String| object.get(name).unwrap_or(&null).clone();
            names.iter().map(|name| differences(&of(made, name), &of(kept, name), &format!("{place}/{name}"))).collect()
        }
        (Value::Array(made), Value::Array(kept)) if made.len() == kept.len() => {
            let pairs = made.iter().zip(kept).enumerate();
            pairs.map(|(at, (made, kept))| differences(made, kept, &format!("{place}/{at}"))).collect()
        }
        (made, kept) if made == kept => String::new(),
        (made, kept) => format!("{place}: the types say {made}, the file says {kept}\n"),
    }
}
