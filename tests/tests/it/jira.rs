//! Jira Service Management through the whole system: from desk to desk, with every form of authentication, and what is
//! told of a connection that does not work.

mod third_party;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use wherry_tests::world::{Agent, Connection, Counts, Operation, Package, Project, Run, Sandbox, World, wait};

const CONNECTOR: &str = "jira-service-management";

/// Requests of the first desk become requests of the second, each with the key of the one that it came from.
const HAND_OVER: &str = r#"
    (.requestFieldValues | map({ key: .fieldId, value: .value }) | from_entries) as $values
    | { requestFieldValues: {
          summary: "\(.issueKey): \($values.summary)",
          description: $values.description,
          customfield_10020: .issueKey
        } }
"#;

#[tokio::test]
async fn requests_of_one_desk_become_requests_of_another_and_none_twice() -> Result<()> {
    let world = World::plan().requests(250).start().await?;
    let project = Project::named("desks").connection("it", cloud(&world)).operation("hand-over", hand_over());
    let _agent = ready(&world, &project).await?;
    let run = ended(&world, "hand-over").await?.succeeded()?;
    assert_eq!((run.counts.read, run.counts.written, run.counts.rejected), (250, 250, 0), "{run:?}");
    let ledger = world.sandbox.desk_ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (250, 0));
    let origins: BTreeSet<_> = ledger.entries.iter().filter_map(|entry| entry.reference.clone()).collect();
    let all = (1..=250).map(|number| format!("IT-{number}")).collect();
    assert_eq!(origins, all);
    assert!(ledger.entries.iter().all(|entry| entry.issue.starts_with("HR-")));
    world.close().await
}

/// Creating happens in several instances at once. The one that fails ends the run; the others finish what they hold.
#[tokio::test]
async fn when_one_of_many_instances_fails_the_counts_are_what_the_desk_holds() -> Result<()> {
    let world = World::plan().requests(250).start().await?;
    let project = Project::named("desks").connection("it", cloud(&world)).operation("hand-over", hand_over());
    let _agent = ready(&world, &project).await?;
    let fault =
        json!({ "path": "/rest/servicedeskapi/request", "method": "POST", "fault": "error", "skip": 60, "times": 1 });
    world.sandbox.misbehave(json!([fault])).await?;
    let run = ended(&world, "hand-over").await?.failed_with("http.server_error")?;
    let ledger = world.sandbox.desk_ledger().await?;
    assert_eq!((run.counts.rejected, ledger.duplicates.len()), (0, 0), "{run:?}");
    assert!(ledger.created >= 60 && ledger.created < 250, "{} were created", ledger.created);
    // The low-water mark: what it tells as written is there, and what came after a gap is not claimed.
    let written = usize::try_from(run.counts.written)?;
    assert!(written <= ledger.created, "{run:?}, {} created", ledger.created);
    assert_eq!(run.attempt, 1, "an unsafe run that began is not repeated");
    world.close().await
}

#[tokio::test]
async fn limits_are_waited_out_within_one_attempt_before_effects_and_after_them() -> Result<()> {
    let world = World::plan().requests(20).start().await?;
    let project =
        Project::named("desks").connection("it", cloud(&world)).operation("hand-over", hand_over().attempts(3));
    let _agent = ready(&world, &project).await?;
    let throttle = |method: &str, skip: u32| {
        let path = "/rest/servicedeskapi/request";
        json!({ "path": path, "method": method, "fault": "throttle", "skip": skip, "times": 1 })
    };
    world.sandbox.misbehave(json!([throttle("GET", 0), throttle("POST", 7)])).await?;
    let run = ended(&world, "hand-over").await?.succeeded()?;
    assert_eq!((run.attempt, run.counts.written), (1, 20), "{run:?}");
    let ledger = world.sandbox.desk_ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (20, 0));
    let logged = log_of(&world, &run).await?;
    assert!(logged.contains("create of it counted: throttled 1"), "{logged}");
    // A refused record is counted and the others go on.
    let some = hand_over().set(
        "transform",
        r#"{ requestFieldValues: (if .issueKey == "IT-3" then {} else { summary: .issueKey } end) }"#,
    );
    world.deploy(&Project::named("desks").connection("it", cloud(&world)).operation("hand-over", some)).await?;
    let run = ended(&world, "hand-over").await?.failed_with("record.rejected")?;
    let Counts { read, written, rejected, .. } = run.counts;
    assert_eq!((read, written, rejected), (20, 19, 1));
    world.close().await
}

/// Jira Cloud names the end of some limits with `X-RateLimit-Reset` and nothing else.
#[tokio::test]
async fn a_limit_that_only_says_when_it_ends_is_waited_out() -> Result<()> {
    let world = World::plan().requests(10).start().await?;
    let project =
        Project::named("desks").connection("it", cloud(&world)).operation("hand-over", hand_over().attempts(3));
    let _agent = ready(&world, &project).await?;
    // Seconds are cut off: a reset in three of them is at least two away.
    let reset = |method: &str, skip: u32| {
        let path = "/rest/servicedeskapi/request";
        json!({ "path": path, "method": method, "fault": "reset", "retry_after_s": 3, "skip": skip, "times": 1 })
    };
    ended(&world, "hand-over").await?.succeeded()?;
    for rule in [reset("GET", 0), reset("POST", 4)] {
        world.sandbox.misbehave(json!([rule])).await?;
        let run = ended(&world, "hand-over").await?.succeeded()?;
        assert_eq!((run.attempt, run.counts.written), (1, 10), "{run:?}");
        let took = world.api.get(&format!("/v1/runs/{}", run.id)).await?.accepted()?["duration_ms"].as_u64();
        assert!(took.is_some_and(|took| (2_000..30_000).contains(&took)), "{took:?}");
    }
    world.close().await
}

#[tokio::test]
async fn every_form_of_authentication_leads_in_and_a_wrong_one_is_told() -> Result<()> {
    let world = World::start().await?;
    let arguments = ["--flavour", "data-center", "--requests", "5"];
    let own = Sandbox::alone(&world.programs, &arguments, &world.log("data-center")).await?;
    let jira = |url: &str| Connection::to(url).of(CONNECTOR);
    let gateway = world.sandbox.jsm.cloud_id.as_deref().context("the site has no cloud id")?;
    let gateway = format!("{}/ex/jira/{gateway}", world.sandbox.url);
    let mut project = Project::named("forms");
    for (name, connection) in [
        ("api-token", jira(&world.sandbox.url).basic(&world.sandbox.jsm.user, "jira-token")),
        ("scoped-token", jira(&gateway).bearer("jira-token")),
        ("password", jira(&own.url).basic(&own.jsm.user, "own-token")),
        ("personal-access-token", jira(&own.url).bearer("own-token")),
        ("wrong-cloud", jira(&world.sandbox.url).basic("nobody@example.com", "jira-token")),
        ("site-instead-of-gateway", jira(&world.sandbox.url).bearer("jira-token")),
        ("wrong-own", jira(&own.url).basic("nobody", "own-token")),
    ] {
        let desks = Operation::from(name, "query", json!({ "table": "ServiceDesks" }));
        project = project.connection(name, connection).operation(name, desks);
    }
    let agent = ready(&world, &project).await?;
    agent.learn("prod", "own-token", &own.jsm.token).await?;
    for form in ["api-token", "scoped-token", "password", "personal-access-token"] {
        assert_eq!(ended(&world, form).await?.succeeded()?.counts.read, 2, "{form}");
        let tested = test(&world, form).await?;
        assert_eq!(tested["result"], "ok", "{form}: {tested}");
    }
    for (form, code) in [
        ("wrong-cloud", "http.unauthorized"),
        ("site-instead-of-gateway", "http.unauthorized"),
        ("wrong-own", "jira.login_denied"),
    ] {
        ended(&world, form).await?.failed_with(code)?;
        let tested = test(&world, form).await?;
        assert_eq!((&tested["area"], &tested["failure"]["code"]), (&json!("authentication"), &json!(code)), "{form}");
    }
    world.close().await
}

#[tokio::test]
async fn a_site_is_found_by_its_address_alone_and_one_that_was_not_consented_for_is_told() -> Result<()> {
    let world = World::start().await?;
    let sites = format!("{}/oauth/token/accessible-resources", world.sandbox.url);
    let auth = json!({
        "type": "oauth2", "grant": "access_token", "access_token": { "secret": "jira-token" }, "sites_url": sites,
    });
    let jira = |url: &str| Connection::to(url).of(CONNECTOR).set("auth", auth.clone());
    // At the site's own address the token is worth nothing; localhost is another site than 127.0.0.1.
    let elsewhere = world.sandbox.url.replace("127.0.0.1", "localhost");
    let mut project = Project::named("sites");
    for (name, url) in [("found", world.sandbox.url.as_str()), ("not-granted", elsewhere.as_str())] {
        let desks = Operation::from(name, "query", json!({ "table": "ServiceDesks" }));
        project = project.connection(name, jira(url)).operation(name, desks);
    }
    let _agent = ready(&world, &project).await?;
    assert_eq!(ended(&world, "found").await?.succeeded()?.counts.read, 2);
    let tested = test(&world, "found").await?;
    assert_eq!(tested["result"], "ok", "{tested}");
    ended(&world, "not-granted").await?.failed_with("oauth.site_not_granted")?;
    world.close().await
}

#[tokio::test]
async fn a_test_tells_areas_apart_and_a_description_shows_the_fields_of_a_request_type() -> Result<()> {
    let world = World::start().await?;
    let locked = Locked::start().await?;
    let jira = |url: &str| Connection::to(url).of(CONNECTOR).basic(&world.sandbox.jsm.user, "jira-token");
    let project = Project::named("desks")
        .connection("fine", jira(&world.sandbox.url))
        .connection("closed", jira("http://127.0.0.1:9"))
        .connection("locked", jira(&locked.url))
        .connection("elsewhere", jira(&format!("{}/nowhere", world.sandbox.url)))
        .connection("mistaken", jira(&world.sandbox.url).option("flavour", "data-center"))
        .connection("misspelt", jira(&world.sandbox.url).option("flavor", "cloud"))
        .operation("desks", Operation::from("fine", "query", json!({ "table": "ServiceDesks" })));
    let mut agent = ready(&world, &project).await?;
    ended(&world, "desks").await?.succeeded()?;
    for (connection, area, code) in [
        ("closed", "network", "egress.connect_refused"),
        ("locked", "permission", "http.forbidden"),
        ("elsewhere", "configuration", "jira.not_found"),
        ("mistaken", "configuration", "jira.flavour_differs"),
        ("misspelt", "configuration", "connector.connection_invalid"),
    ] {
        let tested = test(&world, connection).await?;
        let found = (&tested["area"], &tested["failure"]["code"]);
        assert_eq!(found, (&json!(area), &json!(code)), "{connection}: {tested}");
    }
    assert_eq!(test(&world, "fine").await?["result"], "ok");

    agent.kill().await?;
    agent.configure("[answers]\ndescribe = true\n")?;
    agent.start().await?;
    let question = json!({ "table": "Requests", "serviceDesk": "1", "requestType": "10" });
    let body = json!({ "activity": "create", "question": question });
    let described = world.api.post("/v1/environments/prod/connections/fine/describe", &body).await?.accepted()?;
    let schema = &described["answer"];
    assert_eq!(schema["required"], json!(["summary", "customfield_10011"]), "{described}");
    let impact = &schema["properties"]["customfield_10011"]["properties"]["id"]["oneOf"];
    assert_eq!(impact[3], json!({ "const": "10104", "title": "Minor / Localized" }));
    world.close().await
}

/// The look-alike, with an API token.
fn cloud(world: &World) -> Connection {
    Connection::to(&world.sandbox.url).of(CONNECTOR).basic(&world.sandbox.jsm.user, "jira-token")
}

fn hand_over() -> Operation {
    let create = json!({ "table": "Requests", "serviceDesk": "2", "requestType": "22" });
    let source = Operation::from("it", "query", json!({ "table": "Requests", "serviceDesk": "1" }));
    source.to("it", "create", create).set("transform", HAND_OVER)
}

/// Publishes the connector, deploys the project and starts an agent that knows the token.
async fn ready(world: &World, project: &Project) -> Result<Agent> {
    world.publish(&Package::of(&world.programs, CONNECTOR)?).await?;
    world.deploy(project).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.learn("prod", "jira-token", &world.sandbox.jsm.token).await?;
    agent.start().await?;
    Ok(agent)
}

/// A run, once it is over. Where nobody has compiled the connector yet, the first one takes its time.
async fn ended(world: &World, operation: &str) -> Result<Run> {
    let run = world.run(operation).begin().await?;
    wait::within(Duration::from_secs(180), "the run ends", async || {
        let now = world.look_at(&run.id).await?;
        Ok(now.is_over().then_some(now))
    })
    .await
}

/// The text of a run's log.
async fn log_of(world: &World, run: &Run) -> Result<String> {
    let lines: Vec<Value> = world.api.list(&format!("/v1/runs/{}/logs", run.id)).await?;
    Ok(lines.iter().filter_map(|line| line["text"].as_str()).collect::<Vec<_>>().join("\n"))
}

async fn test(world: &World, connection: &str) -> Result<Value> {
    world.api.post(&format!("/v1/environments/prod/connections/{connection}/test"), &json!({})).await?.accepted()
}

/// A Jira whose account may sign in and see nothing.
struct Locked {
    url: String,
    _server: JoinSet<()>,
}

impl Locked {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut server = JoinSet::new();
        server.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 8_192];
                let read = stream.read(&mut request).await.unwrap_or_default();
                let path = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = match path.rsplit('/').next().unwrap_or_default() {
                    "serverInfo" => ("200 OK", r#"{"version":"9.12.0","deploymentType":"Data Center"}"#),
                    "myself" => ("200 OK", r#"{"name":"ada"}"#),
                    _ => ("403 Forbidden", r#"{"errorMessage":"no licence"}"#),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
                let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Ok(Self { url, _server: server })
    }
}
