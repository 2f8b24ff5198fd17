//! The engine of declarative connectors: it runs the manifest that packing has put into its component.
//!
//! `wherry_manifest` says what manifests are and checks them; here they become requests. The engine without a manifest
//! is no connector: it says so and does nothing.

mod check;
mod embedded;
mod expand;
mod refusal;
mod request;
mod shape;
mod source;
mod target;

pub use embedded::descriptor;
use serde_json::{Map, Value};
use wherry_manifest::{Kind, Manifest, SideEffects as Effects};
use wherry_sdk::http::Answer;
use wherry_sdk::{Activities, Auth, Connector, Context, Error, Result, SideEffects};

/// The engine's own version, which the descriptor of each packed connector names.
pub const VERSION: &str = "1.0.0";

/// Whatever the manifest says.
pub struct Declarative;

/// A connection's options, which the manifest describes.
pub(crate) type Options = Map<String, Value>;

impl Connector for Declarative {
    const NAME: &'static str = "declarative";
    const VERSION: &'static str = VERSION;
    const TITLE: &'static str = "Declarative";
    type Options = Options;

    fn auth() -> Vec<Auth> {
        vec![]
    }

    fn test(cx: &Context<Options>) -> Result<Value> {
        check::check(cx, embedded::manifest()?)
    }

    fn activities() -> Activities<Self> {
        // Names and what repeating does are all that is needed to run; the descriptor is made from the manifest.
        let add = |activities: Activities<Self>, activity: &'static wherry_manifest::Activity| {
            let (name, effects) = (activity.name.as_str(), side_effects(activity.side_effects));
            match activity.kind {
                Kind::Source => activities.source(name, effects, source::query),
                Kind::Execute => activities.source(name, effects, source::execute),
                Kind::Target => activities.target(name, effects, target::send),
            }
        };
        let known = embedded::manifest().map(|manifest: &Manifest| manifest.activities.as_slice());
        known.unwrap_or_default().iter().fold(Activities::new(), add)
    }

    fn refusal(answer: &Answer) -> Option<Error> {
        embedded::manifest().ok().map(|manifest| refusal::refusal(manifest, answer))
    }

    fn accepts(answer: &Answer) -> Result<()> {
        refusal::accepts(embedded::manifest()?, answer)
    }

    /// Without a manifest there is one thing to say.
    fn on_error(error: Error) -> Error {
        embedded::manifest().err().unwrap_or(error)
    }
}

/// The same in the kit's words.
const fn side_effects(manifest: Effects) -> SideEffects {
    match manifest {
        Effects::Read => SideEffects::Read,
        Effects::Idempotent => SideEffects::Idempotent,
        Effects::Keyed => SideEffects::Keyed,
        Effects::Unsafe => SideEffects::Unsafe,
    }
}

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated")]
const _: () = {
    impl wherry_sdk::wasm::Described for Declarative {
        fn descriptor() -> String {
            embedded::descriptor()
        }
    }

    type Component = wherry_sdk::wasm::Component<Declarative>;
    wherry_sdk::wasm::bindings::export_connector!(Component with_types_in wherry_sdk::wasm::bindings);
};

#[cfg(test)]
mod tests;
