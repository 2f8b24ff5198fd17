//! The demo's second act: a new version of the connector is tried on half of the attempts and becomes everyone's; a
//! broken one is refused by the agents and rolled back by itself; and at last somebody goes back by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use wherry_trust::keys::SigningKey;

use super::stage::{ENVIRONMENT, broken};
use crate::client::{Body, Call, Client};
use crate::commands::{Action, AskedMove, sign_planned};
use crate::error::Outcome;
use crate::package::{self, Parts};
use crate::table::at;

/// How long a version is tried; agents compile it meanwhile, which a slow machine needs longer for.
const TRIALS: [&str; 3] = ["3s", "12s", "60s"];
/// Runs at most until a canary has to be settled.
const RUNS: usize = 1_000;
/// An operation that only reads.
const OPERATION: &str = "count-open";
/// Between two runs: a demo need not be in a hurry.
const PAUSE: Duration = Duration::from_millis(50);

/// A connector and who signs it.
pub(super) struct Publisher<'a> {
    pub(super) key: &'a SigningKey,
    pub(super) component: &'a [u8],
    pub(super) descriptor: &'a str,
}

/// How a canary ended, for the person who watches.
pub(super) struct Settled {
    pub(super) to: String,
    pub(super) everyone: bool,
    pub(super) why: String,
    /// Whether agents did not have it in time.
    too_few: bool,
}

impl Publisher<'_> {
    /// The same connector under the next versions: a good one is tried and kept, a broken one taken back.
    pub(super) async fn upgrade(&self, client: &Client) -> Outcome<[Settled; 2]> {
        let (name, now) = self.named().ok_or_else(|| broken("the connector has no name"))?;
        let [good, bad] = [1, 2].map(|more| semver::Version::new(now.major, now.minor, now.patch + more).to_string());
        let now = now.to_string();
        let component = renamed(self.component, now.as_bytes(), good.as_bytes());
        let descriptor = self.descriptor.replace(&now, &good);
        self.publish(client, &component, &descriptor).await?;
        let kept = canary(client, &name, &good).await?;
        // Signed with a description that the component does not keep.
        self.publish(client, &component, &descriptor.replace(&good, &bad)).await?;
        let refused = canary(client, &name, &bad).await?;
        Ok([kept, refused])
    }

    /// Goes back to the version that the demo began with, as somebody would who does not like the new one. Says which, and
    /// runs it. A version is lowered under an operator's signature alone.
    pub(super) async fn rollback(&self, client: &Client, operator: &SigningKey) -> Outcome<String> {
        let (name, first) = self.named().ok_or_else(|| broken("the connector has no name"))?;
        let asked = AskedMove {
            environment: ENVIRONMENT.parse().map_err(|_| broken("the environment has no proper name"))?,
            connector: name.parse().map_err(|_| broken("the connector has no proper name"))?,
            action: Action::Rollback,
            version: Some(first.clone()),
            from: Some(semver::Version { patch: first.patch + 1, ..first.clone() }),
            to: first.clone(),
            added: BTreeSet::new(),
        };
        let first = first.to_string();
        let place = |what| ["environments", ENVIRONMENT, "connectors", &name, what];
        let plan = client.post(&place("plan"), json!({ "action": "rollback" })).await?;
        let envelope = sign_planned(&plan, &asked, operator)?;
        let asked = json!({ "action": "rollback", "why": "demo", "envelope": envelope });
        let moved = client.post(&place("move"), asked).await?;
        if moved.get("to").and_then(Value::as_str) != Some(&first) {
            return Err(broken("the rollback went to another version than the one before"));
        }
        let run = run(client).await?;
        if run.get("state").and_then(Value::as_str) != Some("succeeded") {
            return Err(broken("the version before does not run"));
        }
        Ok(first)
    }

    fn named(&self) -> Option<(String, semver::Version)> {
        let said: Value = serde_json::from_str(self.descriptor).ok()?;
        let text = |key: &str| said.get(key).and_then(Value::as_str);
        Some((text("name")?.to_owned(), text("version")?.parse().ok()?))
    }

    async fn publish(&self, client: &Client, component: &[u8], descriptor: &str) -> Outcome {
        let min_agent = semver::Version::parse(env!("CARGO_PKG_VERSION")).map_err(|_| broken("no version"))?;
        let parts = Parts { component, descriptor, min_agent, notes: String::new() };
        let package = package::assemble(parts, self.key)?;
        client.send(Call::post(&["connectors"], Body::Connector(package.bytes))).await.map(drop)
    }
}

/// Tries a version on half of the attempts until it is decided about, and again if no agent had it in time.
async fn canary(client: &Client, name: &str, version: &str) -> Outcome<Settled> {
    for time in TRIALS {
        let settled = trial(client, name, version, time).await?;
        if !settled.too_few {
            return Ok(settled);
        }
    }
    Err(broken("no agent had the new version in time"))
}

async fn trial(client: &Client, name: &str, version: &str, time: &str) -> Outcome<Settled> {
    let canary = json!({ "share": "50%", "for": time, "attempts": 1 });
    let asked = json!({ "action": "upgrade", "version": version, "canary": canary, "why": "demo" });
    client.post(&["environments", ENVIRONMENT, "connectors", name, "move"], asked).await?;
    for _ in 0..RUNS {
        run(client).await?;
        let all = client.all(&["environments", ENVIRONMENT, "connectors"], &[]).await?;
        let items = all.get("items").and_then(Value::as_array).into_iter().flatten();
        let ours = items.into_iter().find(|item| item.get("connector").and_then(Value::as_str) == Some(name));
        let said =
            |key: &str| ours.and_then(|item| at(item, key)).and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = said("canary.state");
        if said("canary.to") == version && state != "under_way" {
            let (everyone, too_few) = (state == "everyone", said("canary.reason.kind") == "too_few");
            return Ok(Settled { to: version.to_owned(), everyone, why: said("canary.why"), too_few });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(broken("a canary did not come to its end"))
}

/// Runs the operation to its end, within half a minute.
async fn run(client: &Client) -> Outcome<Value> {
    let path = ["environments", ENVIRONMENT, "operations", OPERATION, "runs"];
    client.send(Call::post(&path, Body::Json(json!({}))).query("wait_ms", Some(30_000))).await
}

/// The same component with another version in its text about itself, of as many characters.
fn renamed(component: &[u8], was: &[u8], now: &[u8]) -> Vec<u8> {
    let mut renamed = component.to_vec();
    for (at, part) in component.windows(was.len()).enumerate() {
        // The contract's own version stands behind an @, those of crates behind a hyphen.
        let before = at.checked_sub(1).and_then(|before| component.get(before));
        if part == was
            && !before.is_some_and(|byte| b"@-".contains(byte))
            && let Some(place) = renamed.get_mut(at..at + now.len())
        {
            place.copy_from_slice(now);
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn only_the_connectors_own_version_is_another_one() {
        let component = br#"wherry:connector@1.0.0 jaq-1.0.0 {"version":"1.0.0"}"#;
        let wanted = br#"wherry:connector@1.0.0 jaq-1.0.0 {"version":"1.0.1"}"#;
        assert_eq!(renamed(component, b"1.0.0", b"1.0.1"), wanted);
    }
}
