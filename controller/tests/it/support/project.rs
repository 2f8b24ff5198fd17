//! A connector to publish and a project to deploy, with an operation of every temper.

use serde_json::json;
use wherry_domain::{effects::SideEffects, project::Project};
use wherry_trust::{
    keys::SigningKey,
    release::{Activity, ActivityKind, CONTRACT, Capabilities, Release, Wasm, sign_release},
};

pub(crate) fn publisher_key() -> SigningKey {
    SigningKey::generate().unwrap()
}

/// A connector's signed release and its component.
pub(crate) fn package(connector: &str, version: &str, key: &SigningKey) -> (Vec<u8>, Vec<u8>) {
    let wasm = format!("the component of {connector} {version}").into_bytes();
    (sign_release(&release(connector, version, &wasm), key).unwrap().to_json(), wasm)
}

pub(crate) fn release(connector: &str, version: &str, wasm: &[u8]) -> Release {
    let activity = |name: &str, kind, side_effects| Activity { name: name.to_owned(), kind, side_effects };
    Release {
        v: 1,
        name: connector.parse().unwrap(),
        version: version.parse().unwrap(),
        wasm: Wasm::of(wasm),
        descriptor: None,
        contract: CONTRACT.to_owned(),
        capabilities: Capabilities::default(),
        min_agent: "0.1.0".parse().unwrap(),
        activities: vec![
            activity("list", ActivityKind::Source, SideEffects::Read),
            activity("upsert", ActivityKind::Target, SideEffects::Keyed),
            activity("post", ActivityKind::Target, SideEffects::Unsafe),
        ],
        auth: [].into(),
        notes: String::new(),
    }
}

/// `look` reads, `copy` may repeat, `post` may not; the others say in their names what they do.
pub(crate) fn desk() -> Project {
    let source = json!({ "connection": "tracker", "activity": "list" });
    let target = |activity: &str| json!({ "connection": "tracker", "activity": activity });
    let document = json!({
        "name": "desk",
        "variables": { "table": "Requests" },
        "connections": { "tracker": { "connector": "http", "url": "https://tracker.example" } },
        "operations": {
            "look": { "source": source },
            "copy": { "source": source, "target": target("upsert") },
            "post": { "source": source, "target": target("post") },
            "persistent": { "source": source, "retry": { "attempts": 3, "base": "8s", "backoff": "fixed" } },
            "patient": { "source": source, "offline_term": "10m" },
            "chained": { "source": source, "on_success": "look", "on_failure": "copy" },
        },
    });
    serde_json::from_value(document).unwrap()
}
