//! A deployment of one operation: `copy`, from a list to wherever records are sent.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wherry_domain::{
    digest::Digest,
    effects::SideEffects,
    fence::Fence,
    id::RunId,
    project::{Project, Snapshot},
};
use wherry_proto::frame::{Attempt, Offer};

use super::{
    controller::{Controller, digest},
    package::Package,
};

/// The attempt of that fence of the run of that number.
pub(crate) fn attempt(run: u128, fence: u64) -> Attempt {
    Attempt { run: RunId::from_u128(run), fence: Fence::from_bits(fence) }
}

/// An offer of the operation `copy`.
pub(crate) fn offer(run: u128, deployment: Digest) -> Offer {
    Offer {
        attempt: attempt(run, 1),
        deployment,
        operation: "copy".parse().unwrap(),
        variables: Vec::new(),
        cursor: None,
        key: format!("key-{run}"),
        states: Vec::new(),
        lock_version: 0,
        trial: Vec::new(),
        action: None,
        side_effects: None,
    }
}

/// What a test changes about the deployment.
pub(crate) struct Plan<'a> {
    pub(crate) url: &'a str,
    pub(crate) auth: Value,
    pub(crate) tls: Value,
    /// The source.
    pub(crate) activity: &'a str,
    pub(crate) query: Value,
    pub(crate) target: bool,
    pub(crate) class: SideEffects,
    pub(crate) timeout: &'a str,
    pub(crate) when: Option<&'a str>,
    pub(crate) transform: Option<&'a str>,
    /// A header with the key of each record that is sent.
    pub(crate) key_header: Option<&'a str>,
}

impl<'a> Plan<'a> {
    /// Reads `/items` and sends each record to `/sink`.
    pub(crate) fn copy(url: &'a str) -> Self {
        Self {
            url,
            auth: json!({ "type": "none" }),
            tls: json!({}),
            activity: "query",
            query: json!({ "path": "/items" }),
            target: true,
            class: SideEffects::Keyed,
            timeout: "1m",
            when: None,
            transform: None,
            key_header: None,
        }
    }

    /// Only reads.
    pub(crate) fn read(url: &'a str) -> Self {
        Self { target: false, class: SideEffects::Read, ..Self::copy(url) }
    }

    /// Puts the deployment and its connector where the agent finds them.
    pub(crate) fn deploy(&self, controller: &Controller, package: &Package) -> Digest {
        let mut with = json!({ "path": "/sink" });
        if let Some(header) = self.key_header {
            with["idempotency_header"] = json!(header);
        }
        let target = json!({ "connection": "system", "activity": "send", "with": with });
        let project: Project = serde_json::from_value(json!({
            "name": "desk",
            "variables": { "page": "items" },
            "connections": { "system": { "connector": package.name, "url": self.url, "auth": self.auth, "tls": self.tls } },
            "operations": { "copy": {
                "source": { "connection": "system", "activity": self.activity, "with": self.query },
                "when": self.when,
                "transform": self.transform,
                "target": self.target.then_some(target),
                "timeout": self.timeout,
            } },
        }))
        .unwrap();
        let snapshot = Snapshot {
            environment: "prod".parse().unwrap(),
            number: 1,
            project,
            mapping: wherry_domain::project::Mapping::default(),
            connectors: BTreeMap::from([(package.name.parse().unwrap(), package.pin.clone())]),
            side_effects: BTreeMap::from([("copy".parse().unwrap(), self.class)]),
        };
        let document = serde_json::to_vec(&snapshot).unwrap();
        let digest = digest(&document);
        let mut script = controller.script();
        script.deployments.insert(digest, document);
        script.connectors.insert(package.digest(), (package.envelope.clone(), package.component.clone()));
        script.publishers = vec![package.publisher.clone()];
        digest
    }
}
