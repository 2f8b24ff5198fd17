//! The connector `http`, signed by a publisher of ours.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use semver::Version;
use wherry_domain::{digest::Digest, effects::SideEffects, project::ConnectorPin};
use wherry_proto::frame::Publisher;
use wherry_trust::{
    keys::{SigningKey, sha256},
    release::{Activity, ActivityKind, CONTRACT, Capabilities, FORMAT, Release, Wasm, sign_release},
};

pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) envelope: Vec<u8>,
    pub(crate) component: Vec<u8>,
    pub(crate) publisher: Publisher,
    pub(crate) pin: ConnectorPin,
}

impl Package {
    pub(crate) fn http() -> Self {
        Self::named("http", std::fs::read(component("http")).unwrap())
    }

    /// `http` in that version: its component says so, too.
    pub(crate) fn http_at(version: &str) -> Self {
        Self::at(version, std::fs::read(component("http")).unwrap())
    }

    /// The connector that misbehaves on request, in that version. It says that it is `http`.
    pub(crate) fn hostile_at(version: &str) -> Self {
        Self::at(version, std::fs::read(component("hostile")).unwrap())
    }

    fn at(version: &str, mut component: Vec<u8>) -> Self {
        let (was, now) = (b"1.0.0", version.as_bytes());
        assert_eq!(was.len(), now.len(), "a text inside a component cannot grow");
        for at in 1..component.len() - was.len() {
            // The contract's own version stands behind an @.
            let own = component[at - 1] != b'@' && component[at - 1] != b'-';
            if own && component[at..].starts_with(was) {
                component[at..at + now.len()].copy_from_slice(now);
            }
        }
        let activity = |name: &str, kind, side_effects| Activity { name: name.to_owned(), kind, side_effects };
        let source = |name: &str| activity(name, ActivityKind::Source, SideEffects::Read);
        let activities = if component.windows(11).any(|part| part == b"lying-batch") {
            vec![source("panic"), source("good")]
        } else {
            vec![source("query"), activity("send", ActivityKind::Target, SideEffects::Unsafe)]
        };
        Self::signed("http", version.parse().unwrap(), component, activities)
    }

    /// A component under a name that need not be its own.
    pub(crate) fn named(name: &str, component: Vec<u8>) -> Self {
        let activity = |name: &str, kind, side_effects| Activity { name: name.to_owned(), kind, side_effects };
        let query = activity("query", ActivityKind::Source, SideEffects::Read);
        Self::promising(name, component, vec![query, activity("send", ActivityKind::Target, SideEffects::Unsafe)])
    }

    /// A component with a release that declares these activities.
    pub(crate) fn promising(name: &str, component: Vec<u8>, activities: Vec<Activity>) -> Self {
        Self::signed(name, Version::new(1, 0, 0), component, activities)
    }

    fn signed(name: &str, version: Version, component: Vec<u8>, activities: Vec<Activity>) -> Self {
        let key = SigningKey::generate().unwrap();
        let release = Release {
            v: FORMAT,
            name: name.parse().unwrap(),
            version,
            wasm: Wasm::of(&component),
            descriptor: None,
            contract: CONTRACT.to_owned(),
            capabilities: Capabilities::default(),
            min_agent: Version::new(0, 1, 0),
            activities,
            auth: [].into(),
            notes: String::new(),
        };
        let envelope = sign_release(&release, &key).unwrap().to_json();
        let publisher = Publisher { name: "us".to_owned(), key: key.public().to_string(), prefix: String::new() };
        let pin = ConnectorPin { version: release.version, digest: release.wasm.sha256, length: release.wasm.length };
        Self { name: name.to_owned(), envelope, component, publisher, pin }
    }

    pub(crate) fn digest(&self) -> Digest {
        sha256(&self.component)
    }
}

/// Built where that is due, or found in `$WHERRY_CONNECTORS`.
fn component(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _turn = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let file = format!("wherry_connector_{name}.wasm");
    if let Some(folder) = std::env::var_os("WHERRY_CONNECTORS") {
        return Path::new(&folder).join(file);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built = target.join("wasm32-wasip2/connector").join(file);
    if !built.exists() {
        let package = format!("wherry-connector-{name}");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["build", "--package", &package, "--target", "wasm32-wasip2", "--profile", "connector", "--lib"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "{package} does not build");
    }
    built
}
