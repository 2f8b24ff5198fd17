//! A test of a connection tells network, authentication and permission apart.

use super::*;

const INFO: &str = "/rest/api/2/serverInfo";
const ME: &str = "/rest/api/2/myself";

fn desks() -> String {
    format!("{DESK}/servicedesk?limit=50")
}

fn info(kind: &str) -> Reply {
    Reply::json(json!({ "version": "9.12.0", "deploymentType": kind }))
}

fn fails(bench: Bench<JiraServiceManagement>) -> (Kind, String) {
    let error = bench.test().error();
    (error.kind, error.code.into_owned())
}

#[test]
fn a_good_connection_says_where_it_leads_and_as_whom() {
    let desk = json!([{ "id": "1", "projectName": "IT help" }]);
    let ran = Bench::<JiraServiceManagement>::new()
        .on("GET", INFO, info("Cloud"))
        .on("GET", ME, Reply::json(json!({ "accountId": "a1", "displayName": "Ada", "name": "" })))
        .on("GET", &desks(), page(desk, true))
        .test();
    let expected = json!({ "flavour": "cloud", "version": "9.12.0", "account": "Ada", "serviceDesks": ["IT help"] });
    assert_eq!(ran.output(), expected);
}

#[test]
fn each_step_that_fails_says_which_one_it_is() {
    let new = Bench::<JiraServiceManagement>::new;
    let unreachable = Error::transient("egress.connect_refused", "nobody there");
    let auth = |code: &str| (Kind::Auth, code.to_owned());
    let config = |code: &str| (Kind::Config, code.to_owned());
    assert_eq!(fails(new().on("GET", INFO, Reply::failure(unreachable))).0, Kind::Transient);
    assert_eq!(fails(new().on("GET", INFO, Reply::bytes("<html>portal</html>"))), config("http.html_answer"));
    assert_eq!(fails(new().on("GET", INFO, Reply::status(404))), config("jira.not_found"));
    let reached = || new().on("GET", INFO, info("Data Center"));
    assert_eq!(fails(reached().on("GET", ME, Reply::status(401))), auth("http.unauthorized"));
    let captcha = Reply::status(403).header("x-seraph-loginreason", "AUTHENTICATION_DENIED");
    assert_eq!(fails(reached().on("GET", ME, captcha)), auth("jira.login_denied"));
    let signed_in = || reached().on("GET", ME, Reply::json(json!({ "name": "ada" })));
    let forbidden = |code: &str| (Kind::Forbidden, code.to_owned());
    assert_eq!(fails(signed_in().on("GET", &desks(), refused(403, "no"))), forbidden("http.forbidden"));
    assert_eq!(fails(signed_in().on("GET", &desks(), page(json!([]), true))), forbidden("jira.no_service_desk"));
    assert_eq!(fails(signed_in().on("GET", &desks(), Reply::status(404))), config("jira.no_service_management"));
    let wrong = bench("cloud").on("GET", INFO, info("Data Center"));
    assert_eq!(fails(wrong), config("jira.flavour_differs"));
}
