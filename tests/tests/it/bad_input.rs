//! What must be refused: each with its own stable code, and without changing anything.

mod answers;
mod connectors;
mod projects;
mod requests;
mod tokens;

use anyhow::Result;
use serde_json::Value;
use wherry_tests::world::World;

/// Everything the interface shows of a world's state.
const SHOWN: [&str; 10] = [
    "/v1/environments",
    "/v1/groups",
    "/v1/agents",
    "/v1/publishers",
    "/v1/connectors",
    "/v1/tokens",
    "/v1/environments/prod/deployments",
    "/v1/environments/prod/operations",
    "/v1/runs",
    "/v1/audit",
];

/// The state of a world, to be compared with itself later.
async fn state(world: &World) -> Result<Vec<Value>> {
    let mut shown = Vec::new();
    for path in SHOWN {
        let mut body = world.api.get(path).await?.accepted()?;
        for agent in body["items"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            // It moves by itself.
            agent.remove("last_seen_at");
        }
        shown.push(body);
    }
    Ok(shown)
}
