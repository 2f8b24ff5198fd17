//! Who may come in, and who may do what.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wherry_sandbox::CLOUD_ID;

use super::*;

#[tokio::test]
async fn strangers_are_refused_without_a_body_by_the_platform_and_with_one_by_the_desk() {
    let site = Site { account: None, ..Site::cloud(5) };
    let platform = site.get("/rest/api/3/myself").await;
    assert_eq!((platform.status, platform.bytes.len()), (StatusCode::UNAUTHORIZED, 0));
    assert!(platform.headers.contains_key("www-authenticate"));
    let desk = site.get("/rest/servicedeskapi/servicedesk").await;
    assert_eq!(desk.status, StatusCode::UNAUTHORIZED);
    assert!(desk.json()["errorMessage"].as_str().unwrap().contains("authenticated"));
    for open in ["/rest/api/3/serverInfo", "/rest/servicedeskapi/info"] {
        assert_eq!(site.get(open).await.status, StatusCode::OK, "{open}");
    }
}

#[tokio::test]
async fn each_flavour_takes_the_credentials_of_the_real_one() {
    let bearer = |site: &Site| format!("Bearer {}", site.sandbox.agent().token);
    let (cloud, center) = (Site::cloud(1), Site::data_center(1));
    for (site, path, expected) in [
        (&cloud, "/rest/api/3/myself".to_owned(), 401),
        (&cloud, format!("/ex/jira/{CLOUD_ID}/rest/api/3/myself"), 200),
        (&cloud, "/ex/jira/another-site/rest/api/3/myself".to_owned(), 404),
        (&center, "/rest/api/2/myself".to_owned(), 200),
        (&center, "/rest/api/3/myself".to_owned(), 404),
    ] {
        let bare = Site { sandbox: site.sandbox.clone(), account: None };
        let answer = bare.send("GET", &path, None, &[("authorization", &bearer(site))]).await;
        assert_eq!(answer.status.as_u16(), expected, "{path}");
    }
    let wrong = STANDARD.encode(format!("{}:guessed", cloud.sandbox.agent().user));
    let bare = Site { sandbox: cloud.sandbox.clone(), account: None };
    let answer =
        bare.send("GET", "/rest/api/3/serverInfo", None, &[("authorization", &format!("Basic {wrong}"))]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn people_are_named_by_account_ids_on_cloud_and_by_names_on_data_center() {
    let cloud = Site::cloud(1).get("/rest/api/3/myself").await.ok();
    assert_eq!(cloud["accountId"], "5b10a2844c20165700ed0000");
    assert!(cloud.get("name").is_none());
    let center = Site::data_center(1).get("/rest/api/2/myself").await.ok();
    assert_eq!((&center["name"], center.get("accountId")), (&"ada".into(), None));
}

#[tokio::test]
async fn a_customer_sees_own_requests_only_and_no_work_of_agents() {
    let site = Site::cloud(50).as_customer();
    for forbidden in ["/servicedesk/1/queue", "/request/IT-1/sla", "/organization"] {
        assert_eq!(site.get(&format!("{DESK}{forbidden}")).await.status, StatusCode::FORBIDDEN, "{forbidden}");
    }
    assert_eq!(site.get(&format!("{DESK}/request/IT-1")).await.status, StatusCode::OK);
    assert_eq!(site.get(&format!("{DESK}/request/IT-2")).await.status, StatusCode::NOT_FOUND);
    let comments = site.get(&format!("{DESK}/request/IT-1/comment")).await.ok();
    assert_eq!(texts(&comments["values"], "body"), ["Is there any news?"]);
}

#[tokio::test]
async fn a_desk_one_may_not_enter_is_forbidden_and_its_project_does_not_exist() {
    let site = Site::cloud(1);
    assert_eq!(site.get(&format!("{DESK}/servicedesk/3")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.get(&format!("{DESK}/servicedesk/9")).await.status, StatusCode::NOT_FOUND);
    let desks = site.get(&format!("{DESK}/servicedesk")).await.ok();
    assert_eq!(texts(&desks["values"], "projectKey"), ["IT", "HR"]);
    let projects = site.get("/rest/api/3/project/search").await.ok();
    assert_eq!(texts(&projects["values"], "key"), ["IT", "HR"]);
}

#[tokio::test]
async fn experimental_operations_want_to_be_asked_for_by_a_header() {
    let (site, path) = (Site::cloud(1), format!("{DESK}/requesttype"));
    assert_eq!(site.get(&path).await.status, StatusCode::PRECONDITION_FAILED);
    let types = site.send("GET", &path, None, &[("x-experimentalapi", "opt-in")]).await.ok();
    assert_eq!(types["size"], 9);
}
