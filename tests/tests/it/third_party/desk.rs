//! The service desk of the sandbox, judged by Atlassian's own description of it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    driver::{Driver, Sent},
    prism::Prism,
};

const SPEC: &str = "jsm/servicedesk-v3.json";

#[tokio::test]
async fn the_service_desk_answers_as_atlassian_describes_it() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let mut desk = Driver::start(&prism, "cloud", SPEC, "/rest/servicedeskapi").await?;
    what_there_is(&mut desk).await?;
    let key = a_new_request(&mut desk).await?;
    talk(&mut desk, &key).await?;
    work(&mut desk, &key).await?;
    customers(&mut desk).await?;
    refusals(&mut desk).await?;
    desk.drove_everything_but(&[]).await
}

#[tokio::test]
async fn prism_objects_to_what_is_not_described() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let desk = Driver::start(&prism, "cloud", SPEC, "/rest/servicedeskapi").await?;
    assert!(desk.is_objected_to("GET", "/servicedesks", Sent::Nothing).await?, "a path");
    assert!(desk.is_objected_to("GET", "/servicedesk?limit=many", Sent::Nothing).await?, "a parameter");
    let body = json!({ "serviceDeskId": 1, "requestTypeId": "13" });
    assert!(desk.is_objected_to("POST", "/request", Sent::Json(&body)).await?, "a body");
    for (fault, what) in [("html", "an answer that is no JSON"), ("throttle", "a status")] {
        desk.sandbox.misbehave(json!([{ "path": "/rest/", "fault": fault }])).await?;
        assert!(desk.is_objected_to("GET", "/servicedesk", Sent::Nothing).await?, "{what}");
    }
    desk.sandbox.behave().await?;
    assert!(!desk.is_objected_to("GET", "/servicedesk", Sent::Nothing).await?);
    Ok(())
}

async fn what_there_is(desk: &mut Driver) -> Result<()> {
    desk.get("/info").await?;
    let desks = desk.get("/servicedesk?start=0&limit=1").await?;
    ensure!(desks["isLastPage"] == false && desks["values"][0]["projectKey"] == "IT", "{desks}");
    desk.get("/servicedesk/1").await?;
    desk.get("/requesttype?searchQuery=problem&expand=field").await?;
    desk.get("/servicedesk/1/requesttype?groupId=101&start=1&limit=2").await?;
    desk.get("/servicedesk/1/requesttype/12?expand=field").await?;
    let form = desk.get("/servicedesk/1/requesttype/10/field").await?;
    ensure!(form["requestTypeFields"].as_array().is_some_and(|fields| fields.len() == 6), "{form}");
    desk.get("/servicedesk/1/requesttypegroup").await?;
    desk.get("/servicedesk/1/queue?includeCount=true").await?;
    desk.get("/servicedesk/1/queue/10?includeCount=true").await?;
    let page = desk.get("/servicedesk/1/queue/10/issue?start=10&limit=5").await?;
    ensure!(page["size"] == 5, "{page}");
    let found = desk.get("/knowledgebase/article?query=vpn&highlight=false").await?;
    ensure!(found["size"] == 1, "{found}");
    desk.get("/servicedesk/2/knowledgebase/article?query=holidays").await?;
    let all = "participant,status,sla,requestType,serviceDesk,attachment,action,comment";
    let page = desk.get(&format!("/request?serviceDeskId=1&requestStatus=OPEN_REQUESTS&limit=50&expand={all}")).await?;
    ensure!(page["size"] == 36 && page["isLastPage"] == true, "{}", page["size"]);
    desk.get("/request?requestOwnership=ORGANIZATION&organizationId=1&searchTerm=vpn").await?;
    desk.get(&format!("/request/IT-1?expand={all}")).await.map(drop)
}

async fn a_new_request(desk: &mut Driver) -> Result<String> {
    let values = json!({ "summary": "Door", "description": "It squeaks.", "customfield_10020": "IT-1" });
    let wanted = json!({ "serviceDeskId": "2", "requestTypeId": "22", "requestFieldValues": values });
    let created = desk.post("/request", wanted, 201).await?;
    Ok(created["issueKey"].as_str().context("no key")?.to_owned())
}

async fn talk(desk: &mut Driver, key: &str) -> Result<()> {
    let comments = format!("/request/{key}/comment");
    desk.post(&comments, json!({ "body": "Oil is on its way.", "public": true }), 201).await?;
    let file = desk.call("POST", "/servicedesk/2/attachTemporaryFile", Sent::File("squeak"), 201).await?;
    let id = &file["temporaryAttachments"][0]["temporaryAttachmentId"];
    let body = json!({ "temporaryAttachmentIds": [id], "public": true, "additionalComment": { "body": "Listen." } });
    desk.post(&format!("/request/{key}/attachment"), body, 201).await?;
    desk.get(&format!("/request/{key}/attachment")).await?;
    let all = desk.get(&format!("{comments}?expand=attachment,renderedBody&public=true&internal=false")).await?;
    let id = all["values"][1]["id"].as_str().context("no second comment")?.to_owned();
    desk.get(&format!("{comments}/{id}?expand=renderedBody")).await?;
    let files = desk.get(&format!("{comments}/{id}/attachment")).await?;
    ensure!(files["values"][0]["filename"] == "note.txt", "{files}");
    desk.get(&format!("/request/{key}/notification")).await.map(drop)
}

async fn work(desk: &mut Driver, key: &str) -> Result<()> {
    let participants = format!("/request/{key}/participant");
    let whom = json!({ "accountIds": ["5b10a2844c20165700ed0003"] });
    desk.post(&participants, whom.clone(), 200).await?;
    desk.get(&participants).await?;
    let left = desk.delete(&participants, Some(whom), 200).await?;
    ensure!(left["size"] == 0, "{left}");
    desk.get(&format!("/request/{key}/transition")).await?;
    let step = json!({ "id": "31", "additionalComment": { "body": "Oiled." } });
    desk.post(&format!("/request/{key}/transition"), step, 204).await?;
    let statuses = desk.get(&format!("/request/{key}/status")).await?;
    ensure!(statuses["values"][0]["statusCategory"] == "DONE", "{statuses}");
    desk.get(&format!("/request/{key}/sla")).await?;
    desk.get("/request/IT-1/sla/1").await?;
    let approvals = desk.get("/request/IT-2/approval").await?;
    let id = approvals["values"][0]["id"].as_str().context("no approval")?.to_owned();
    desk.get(&format!("/request/IT-2/approval/{id}")).await?;
    desk.post(&format!("/request/IT-2/approval/{id}"), json!({ "decision": "approve" }), 200).await.map(drop)
}

async fn customers(desk: &mut Driver) -> Result<()> {
    let made = desk.post("/customer", json!({ "email": "gil@example.com", "displayName": "Gil" }), 201).await?;
    let whom = json!({ "accountIds": [made["accountId"]] });
    desk.post("/servicedesk/1/customer", whom.clone(), 204).await?;
    let found = desk.get("/servicedesk/1/customer?query=gil").await?;
    ensure!(found["size"] == 1, "{found}");
    desk.delete("/servicedesk/1/customer", Some(whom.clone()), 204).await?;
    let made = desk.post("/organization", json!({ "name": "Coldwater" }), 201).await?;
    let id: i64 = made["id"].as_str().context("no id")?.parse()?;
    desk.get("/organization?limit=10").await?;
    desk.get(&format!("/organization/{id}")).await?;
    desk.post(&format!("/organization/{id}/user"), whom.clone(), 204).await?;
    desk.get(&format!("/organization/{id}/user")).await?;
    desk.delete(&format!("/organization/{id}/user"), Some(whom), 204).await?;
    let membership = json!({ "organizationId": id });
    desk.post("/servicedesk/2/organization", membership.clone(), 204).await?;
    desk.get("/servicedesk/2/organization").await?;
    desk.delete("/servicedesk/2/organization", Some(membership), 204).await?;
    desk.delete(&format!("/organization/{id}"), None, 204).await.map(drop)
}

async fn refusals(desk: &mut Driver) -> Result<()> {
    let message = |answer: Value| answer["errorMessage"].as_str().map(str::to_owned).context("no message");
    let wanted = json!({ "serviceDeskId": "1", "requestTypeId": "10", "requestFieldValues": {} });
    let told = message(desk.post("/request", wanted, 400).await?)?;
    ensure!(told.contains("summary") && told.contains("customfield_10011"), "{told}");
    for (path, status) in [("/request/IT-999", 404), ("/servicedesk/3", 403), ("/servicedesk/9", 404)] {
        message(desk.call("GET", path, Sent::Nothing, status).await?)?;
    }
    desk.sandbox.misbehave(json!([{ "path": "/rest/", "fault": "error" }])).await?;
    message(desk.call("GET", "/request/IT-1", Sent::Nothing, 500).await?)?;
    desk.sandbox.behave().await
}
