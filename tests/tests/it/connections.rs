//! Connections tried from an agent: what works, what does not and where, and what may be told of the system behind.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    task::JoinSet,
};
use wherry_tests::world::{Agent, Answer, Connection, Package, Project, World};

/// A login page in place of an answer.
const LOGIN: &str = "<!doctype html><title>Log in to continue</title><p>terms of use</p>";

/// More than a test makes.
const MOST_REQUESTS: usize = 100;

#[tokio::test]
async fn a_test_tells_network_authentication_permission_and_the_rest_apart() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    world.publish(&Package::of(&world.programs, "contacts")?).await?;
    let mut crm = Crm::start().await?;
    let url = &world.sandbox.url;
    let username = &world.sandbox.credentials.desk.username;
    let desk = |user: &str| Connection::to(url).basic(user, "desk-password").option("test_path", "/rest/requests");
    let crm_at = |path: &str| Connection::to(&crm.url(path)).of("contacts").option("workspace", "eu");
    let project = Project::named("tests")
        .connection("fine", desk(username))
        .connection("stranger", desk("nobody"))
        .connection("secretless", Connection::to(url).bearer("forgotten"))
        .connection("member", crm_at("fine"))
        .connection("forbidden", crm_at("forbidden"))
        .connection("login", crm_at("login"))
        .connection("broken", crm_at("broken"))
        .connection("silent", crm_at("silent"))
        .connection("misspelt", crm_at("fine").option("wrkspace", "eu"))
        .connection("metadata", Connection::to("https://169.254.169.254"))
        .connection("closed", Connection::to("http://127.0.0.1:9"))
        .connection("unknown-host", Connection::to("https://no-such-host.invalid"));
    world.deploy(&project).await?;
    let _agent = world.agent("eu-1").await?;
    for connection in ["fine", "member"] {
        let tested = test(&world, connection, json!({})).await?.accepted()?;
        assert_eq!((&tested["result"], &tested["agent"]), (&json!("ok"), &json!("eu-1")), "{connection}: {tested}");
        assert!(!tested.to_string().contains("Ada"), "words of a connector left the agent: {tested}");
    }
    for (connection, area, code) in [
        ("stranger", "authentication", "http.unauthorized"),
        ("secretless", "authentication", "secret.missing"),
        ("forbidden", "permission", "http.forbidden"),
        ("closed", "network", "egress.connect_refused"),
        ("unknown-host", "network", "egress.dns_failed"),
        ("broken", "network", "http.server_error"),
        ("silent", "network", "connection.timed_out"),
        ("login", "configuration", "http.html_answer"),
        ("misspelt", "configuration", "connector.connection_invalid"),
        ("metadata", "configuration", "egress.address_denied"),
    ] {
        let tested = test(&world, connection, json!({ "limit_ms": 4_000 })).await?.accepted()?;
        assert_eq!(tested["result"], "failed", "{connection}: {tested}");
        let found = (&tested["area"], &tested["failure"]["code"]);
        assert_eq!(found, (&json!(area), &json!(code)), "{connection}: {tested}");
        assert!(tested["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{tested}");
        assert!(!tested.to_string().contains("terms of use"), "words of the system left the agent: {tested}");
    }
    crm.has_been_asked().await?;
    let refused = test(&world, "metadta", json!({})).await?.refused(404, "connection.not_found")?;
    assert!(refused["detail"].as_str().is_some_and(|text| text.contains("did you mean metadata?")), "{refused}");
    // Nothing of it takes a slot or leaves a run.
    assert_eq!(world.api.list::<Value>("/v1/runs").await?.len(), 0);
    world.close().await
}

#[tokio::test]
async fn without_an_agent_nobody_waits_and_one_that_dies_is_told_of_at_once() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut crm = Crm::start().await?;
    let project = Project::named("tests").connection("silent", Connection::to(&crm.url("silent")));
    world.deploy(&project).await?;
    test(&world, "silent", json!({})).await?.refused(503, "connection.no_agent")?;
    let mut agent = world.agent("eu-1").await?;
    let (answer, killed) = tokio::join!(test(&world, "silent", json!({ "limit_ms": 60_000 })), async {
        crm.has_been_asked().await?;
        agent.kill().await
    });
    killed?;
    answer?.refused(503, "connection.agent_left")?;
    world.close().await
}

#[tokio::test]
async fn a_connector_is_described_only_where_the_agent_owner_allows_it() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    world.publish(&Package::of(&world.programs, "contacts")?).await?;
    let crm = Crm::start().await?;
    let project =
        world.desk().connection("crm", Connection::to(&crm.url("fine")).of("contacts").option("workspace", "eu"));
    world.deploy(&project).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.start().await?;
    let fields = json!({ "question": { "fields": true } });
    let refused = describe(&world, "crm", &fields).await?.refused(403, "connection.describe_not_allowed")?;
    let detail = refused["detail"].as_str().unwrap_or_default().to_owned();
    let file = agent.data().with_file_name("agent.toml");
    for part in ["describe = true", "[answers]", &file.display().to_string()] {
        assert!(detail.contains(part), "{detail}");
    }
    assert!(crm.asked_nothing());

    allow(&mut agent).await?;
    let described = describe(&world, "crm", &fields).await?.accepted()?;
    assert_eq!(described["answer"], json!({ "fields": [{ "id": "size", "type": "number" }] }));
    for (connection, body, code) in [
        ("desk", json!({}), "connector.no_discovery"),
        ("crm", json!({ "question": {} }), "contacts.question_unknown"),
        ("crm", json!({ "activity": "contact.burn" }), "connector.activity_unknown"),
    ] {
        describe(&world, connection, &body).await?.refused(422, code)?;
    }
    world.close().await
}

#[tokio::test]
async fn the_command_line_shows_what_to_do_and_ends_with_a_code_of_its_own() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    world.publish(&Package::of(&world.programs, "contacts")?).await?;
    let crm = Crm::start().await?;
    let at = |path: &str| Connection::to(&crm.url(path)).of("contacts").option("workspace", "eu");
    world.deploy(&world.desk().connection("crm", at("fine")).connection("forbidden", at("forbidden"))).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    allow(&mut agent).await?;
    let (code, listed, _) = wherry(&world, &["list"]).await?;
    assert_eq!(code, Some(0));
    assert!(listed.lines().any(|line| line.starts_with("crm\tdesk\tcontacts\t")), "{listed}");
    let (code, tested, _) = wherry(&world, &["test", "crm", "--agent", "eu-1"]).await?;
    assert!(code == Some(0) && tested.contains("\tok\t\teu-1\t"), "{code:?} {tested}");
    let (code, tested, error) = wherry(&world, &["test", "forbidden"]).await?;
    assert_eq!(code, Some(11), "{error}");
    assert!(tested.contains("permission\tfailed\thttp.forbidden\teu-1\t"), "{tested}");
    assert!(
        error.contains("code   http.forbidden") && error.contains("fix    the credentials are accepted"),
        "{error}"
    );
    let (code, described, error) = wherry(&world, &["describe", "crm", "--set", "fields=true"]).await?;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(serde_json::from_str::<Value>(&described)?["fields"][0]["id"], "size");
    world.close().await
}

async fn test(world: &World, connection: &str, body: Value) -> Result<Answer> {
    world.api.post(&format!("/v1/environments/prod/connections/{connection}/test?project=tests"), &body).await
}

async fn describe(world: &World, connection: &str, body: &Value) -> Result<Answer> {
    world.api.post(&format!("/v1/environments/prod/connections/{connection}/describe"), body).await
}

/// Starts the agent anew, with the owner's leave to let out what connectors say.
async fn allow(agent: &mut Agent) -> Result<()> {
    agent.kill().await?;
    agent.configure("[answers]\ndescribe = true\n")?;
    agent.start().await
}

/// Exit code, standard output and standard error of `wherry connection`.
async fn wherry(world: &World, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let token = std::fs::read_to_string(world.controller.data().join("admin-token"))?;
    let mut command = Command::new(world.programs.program("wherry")?);
    command.arg("connection").args(arguments).args(["--environment", "prod"]);
    command.env("WHERRY_URL", world.api.address("")).env("WHERRY_TOKEN", token.trim()).kill_on_drop(true);
    let ended = command.output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((ended.status.code(), text(&ended.stdout), text(&ended.stderr)))
}

/// A system whose first path segment says how it behaves.
struct Crm {
    address: SocketAddr,
    asked: mpsc::Receiver<()>,
    _server: JoinSet<()>,
}

impl Crm {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (told, asked) = mpsc::channel(MOST_REQUESTS);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut held = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.spawn(serve(stream, told.clone()));
            }
        });
        Ok(Self { address, asked, _server: server })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    async fn has_been_asked(&mut self) -> Result<()> {
        let asked = tokio::time::timeout(wherry_tests::world::wait::PATIENCE, self.asked.recv()).await;
        asked?.context("the server is gone")
    }

    fn asked_nothing(&self) -> bool {
        self.asked.is_empty()
    }
}

async fn serve(mut stream: TcpStream, told: mpsc::Sender<()>) {
    let mut request = vec![0; 8_192];
    let read = stream.read(&mut request).await.unwrap_or_default();
    let head = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    told.try_send(()).unwrap();
    let (status, kind, body) = match path.split('/').nth(1).unwrap_or_default() {
        "silent" => return std::future::pending().await,
        "forbidden" => ("403 Forbidden", "application/json", "{\"error\": \"terms of use\"}"),
        "broken" => ("500 Internal Server Error", "application/json", "{}"),
        "login" => ("200 OK", "text/html", LOGIN),
        _ if path.ends_with("/fields") => {
            ("200 OK", "application/json", "{\"fields\": [{\"id\": \"size\", \"type\": \"number\"}]}")
        }
        _ => ("200 OK", "application/json", "{\"name\": \"Ada\"}"),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}
