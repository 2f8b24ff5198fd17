//! Aliases: what an environment maps them to.

use serde_json::json;
use wherry_domain::project::Snapshot;

use super::actions::{DEPLOYMENTS, aliased, plain, ready, restarted};
use crate::support::name;

#[tokio::test]
async fn an_unmapped_alias_is_refused_and_a_mapped_one_is_deployed_as_it_was_written() {
    let api = plain().await;
    let deploy = json!({ "project": aliased() });
    let refused = api.post(DEPLOYMENTS, &deploy).await.with(422);
    assert_eq!(
        (&refused["errors"][0]["code"], &refused["errors"][0]["path"]),
        (&json!("project.alias_unmapped"), &json!(["aliases", "crm"]))
    );
    let aliases = "/v1/environments/prod/projects/desk/aliases";
    let said = api.put(&format!("{aliases}/crm"), &json!({ "connection": "traker" })).await.with(200);
    let warnings = [
        "the deployed project desk declares no alias crm",
        "the deployed project desk has no connection traker: did you mean tracker?",
    ];
    assert_eq!(said["warnings"], json!(warnings));
    let elsewhere = "/v1/environments/prod/projects/nope/aliases/crm";
    let said = api.put(elsewhere, &json!({ "connection": "tracker" })).await.with(200);
    assert_eq!(said["warnings"], json!(["no project nope is deployed in prod yet"]));
    api.delete(elsewhere).await.with(204);
    let refused = api.post(DEPLOYMENTS, &deploy).await.with(422);
    assert_eq!(
        (&refused["errors"][0]["code"], &refused["errors"][0]["suggestion"]),
        (&json!("project.alias_mismatch"), &json!("tracker"))
    );
    assert_eq!(
        api.put(&format!("{aliases}/tracker"), &json!({ "connection": "other" })).await.problem(409),
        "project.alias_clash"
    );

    api.put(&format!("{aliases}/crm"), &json!({ "connection": "tracker" })).await.with(200);
    let deployed = api.post(DEPLOYMENTS, &deploy).await.with(201);
    let id = deployed["id"].as_str().unwrap();
    let shown = api.get(&format!("/v1/deployments/{id}")).await.with(200);
    let snapshot: Snapshot = serde_json::from_value(shown["snapshot"].clone()).unwrap();
    assert_eq!(snapshot.project.operations["look"].source.connection.as_str(), "crm");
    assert_eq!(snapshot.bound().project.operations["look"].source.connection.as_str(), "tracker");
    let listed = api.get("/v1/environments/prod/aliases").await.with(200);
    let crm = json!({ "project": "desk", "alias": "crm", "connector": "http", "connection": "tracker", "deployed": "tracker" });
    assert_eq!(listed["items"], json!([crm]));
    assert_eq!(api.delete(&format!("{aliases}/cmr")).await.problem(404), "alias.not_found");
    api.delete(&format!("{aliases}/crm")).await.with(204);
    assert_eq!(api.post(DEPLOYMENTS, &deploy).await.problem(422), "project.invalid");
}

#[tokio::test]
async fn what_was_deployed_in_one_environment_is_deployed_in_another_unchanged() {
    let api = ready().await;
    api.post("/v1/environments", &json!({ "name": "dev", "group": "berlin" })).await.with(201);
    let newest = api.get(&format!("{DEPLOYMENTS}?project=desk&limit=1")).await.with(200);
    let id = newest["items"][0]["id"].as_str().unwrap().to_owned();
    let project = api.get(&format!("/v1/deployments/{id}")).await.with(200)["snapshot"]["project"].clone();
    let mapping = json!({ "aliases": { "crm": "other" }, "variables": { "table": "Incidents" } });
    let body = json!({ "project": project, "mapping": mapping });
    let there = api.post("/v1/environments/dev/deployments", &body).await.with(201);
    let there = api.get(&format!("/v1/deployments/{}", there["id"].as_str().unwrap())).await.with(200);
    assert_eq!(there["snapshot"]["project"], project, "the project is the same");
    let snapshot: Snapshot = serde_json::from_value(there["snapshot"].clone()).unwrap();
    let bound = snapshot.bound();
    assert_eq!(bound.project.operations["look"].source.connection.as_str(), "other");
    assert_eq!(bound.project.variables["table"], json!("Incidents"));
    let again = api.post("/v1/environments/dev/deployments", &body).await.with(200);
    assert_eq!(again["unchanged"], true);
    // What an environment says outlives the controller's process, and its connection is found by a caller's alias.
    let bench = restarted(api).await;
    let views = bench.ledger.mappings(name("prod"), Some(name("desk"))).await.unwrap();
    assert_eq!(serde_json::to_value(&views[0].mapping).unwrap(), json!({ "aliases": { "crm": "tracker" } }));
    let look = views[0].deployed.as_ref().unwrap().project.operations["look"].source.connection.clone();
    assert_eq!(look.as_str(), "tracker");
}
