//! The manifest in `plugins/examples/request-tracker` against the real Request Tracker 5, as Debian packages it.
//!
//! RT runs as an ordinary process on loopback, with a database of SQLite in the folder of the test.
//! `cargo xtask test --third-party` installs it; without it these tests are left out.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use wherry_tests::world::{Agent, Connection, ENVIRONMENT, Operation, Process, Project, World, free_port, wait};

use super::publish;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/examples/request-tracker/connector.yaml");
const PASSWORD: &str = "correct-horse-battery";
/// Perl reads all of RT first.
const START: Duration = Duration::from_secs(120);
const SETTINGS: &str = r#"
my ($folder, $port) = ($ENV{WHERRY_RT_FOLDER}, $ENV{WHERRY_RT_PORT});
$RT::MasonDataDir = "$folder/mason";
$RT::MasonSessionDir = "$folder/sessions";
Set($rtname, 'wherry.example');
Set($Organization, 'wherry.example');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, "$folder/rt.db");
Set($WebDomain, '127.0.0.1');
Set($WebPort, $port);
Set($WebPath, '');
Set($MailCommand, 'testfile');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
Set($Timezone, 'UTC');
Set(%GnuPG, Enable => 0);
Set(%SMIME, Enable => 0);
1;
"#;
/// Makes a token as RT's own page for tokens does.
const TOKEN: &str = r#"
use RT; RT->LoadConfig; RT->Init;
my $user = RT::User->new(RT->SystemUser); $user->Load('root');
my $token = RT::AuthToken->new(RT->SystemUser);
my ($ok, $said, $text) = $token->Create(Owner => $user->Id, Description => 'wherry');
die $said unless $ok; print $text;
"#;

#[tokio::test]
async fn request_tracker_is_read_and_written_by_a_manifest() -> Result<()> {
    let Some(tracker) = RequestTracker::wanted().await? else { return Ok(()) };
    let world = World::start().await?;
    publish(&world, Path::new(MANIFEST)).await?;
    for number in 1..=5 {
        tracker.create(&format!("seed {number}")).await?;
    }
    let agent = world.agent("eu-1").await?;
    learn(&agent, &tracker).await?;
    world.deploy(&project(&tracker)).await?;

    // Pages of two, and what is read fits what is written: a copy of each ticket.
    let copied = world.run("copy").end().await?.succeeded()?;
    assert_eq!((copied.counts.read, copied.counts.written, copied.counts.rejected), (5, 5, 0), "{copied:?}");
    let subjects = tracker.subjects().await?;
    assert_eq!(subjects.len(), 10);
    assert_eq!(subjects.iter().filter(|subject| *subject == "seed 3").count(), 2);

    // By name and password: the same, for what changes nothing twice.
    let updated = world.run("update").end().await?.succeeded()?;
    assert_eq!((updated.counts.read, updated.counts.written), (10, 10), "{updated:?}");
    for (operation, records) in [("history", 1), ("show", 1), ("queues", 1), ("users", 1), ("details", 10)] {
        let run = world.run(operation).end().await?.succeeded()?;
        assert!(run.counts.read >= records, "{operation}: {run:?}");
    }
    // Refusals have their own words.
    world.run("nonsense").end().await?.failed_with("request-tracker.query_refused")?;
    world.run("nothing").end().await?.failed_with("http.not_found")?;
    agent.learn(ENVIRONMENT, "rt-token", "1-14-00000000000000000000000000000000").await?;
    world.run("users").end().await?.failed_with("http.unauthorized")?;
    world.close().await
}

#[tokio::test]
async fn request_tracker_says_what_it_refuses_of_a_record_and_takes_comments() -> Result<()> {
    let Some(tracker) = RequestTracker::wanted().await? else { return Ok(()) };
    let world = World::start().await?;
    publish(&world, Path::new(MANIFEST)).await?;
    let (first, second) = (tracker.create("one").await?, tracker.create("two").await?);
    let agent = world.agent("eu-1").await?;
    learn(&agent, &tracker).await?;
    let every = || Operation::from("rt", "ticket.query", json!({ "query": "id > 0" }));
    let comment =
        every().to("rt", "ticket.comment", json!({})).set("transform", "{ id, content: \"seen \\(.subject)\" }");
    let close = every()
        .to("rt", "ticket.update", json!({}))
        .set("transform", "{ id, status: (if .subject == \"one\" then \"resolved\" else \"finished\" end) }");
    world.deploy(&project(&tracker).operation("comment", comment).operation("close", close)).await?;
    let run = slow(&world, "comment").await?;
    assert_eq!((run["counts"]["written"].as_u64(), run["counts"]["rejected"].as_u64()), (Some(2), Some(0)), "{run}");
    let history = tracker.get(&format!("/ticket/{first}/history?fields=Type")).await?;
    let comments = history["items"].as_array().into_iter().flatten().filter(|item| item["Type"] == "Comment").count();
    assert_eq!(comments, 1, "{history}");
    let run = over(&world, "close").await?;
    assert_eq!(run["failure"]["code"], "record.rejected", "{run}");
    assert_eq!(run["counts"]["rejected"], 1, "RT knows no status finished: {run}");
    assert_eq!(tracker.get(&format!("/ticket/{first}")).await?["Status"], "resolved");
    assert_eq!(tracker.get(&format!("/ticket/{second}")).await?["Status"], "new");
    world.close().await
}

fn project(tracker: &RequestTracker) -> Project {
    let token = json!({
        "type": "api_key", "in": "header", "name": "Authorization", "prefix": "token ", "key": { "secret": "rt-token" },
    });
    let search = |size: u64| json!({ "query": "Queue = 'General' AND Subject LIKE 'seed'", "page_size": size });
    let read = |activity: &str, with: Value| Operation::from("rt", activity, with);
    Project::named("tracking")
        .connection("rt", Connection::to(&tracker.url).of("request-tracker").set("auth", token))
        .connection("rt-basic", Connection::to(&tracker.url).of("request-tracker").basic("root", "rt-password"))
        .operation("copy", read("ticket.query", search(2)).to("rt", "ticket.create", json!({})))
        .operation(
            "update",
            Operation::from("rt-basic", "ticket.query", search(100)).to("rt-basic", "ticket.update", json!({})),
        )
        .operation("details", read("ticket.query_details", search(3)))
        .operation("history", read("ticket.history", json!({ "id": 1 })))
        .operation("show", read("ticket.show", json!({ "id": 1 })))
        .operation("queues", read("queue.list", json!({})))
        .operation("users", read("user.query", json!({ "name": "oo" })))
        .operation("nonsense", read("ticket.query", json!({ "query": "Subject ===" })))
        .operation("nothing", read("ticket.show", json!({ "id": 999 })))
}

async fn learn(agent: &Agent, tracker: &RequestTracker) -> Result<()> {
    agent.learn(ENVIRONMENT, "rt-token", &tracker.token).await?;
    agent.learn(ENVIRONMENT, "rt-password", PASSWORD).await
}

/// A run that succeeds.
async fn slow(world: &World, operation: &str) -> Result<Value> {
    let run = over(world, operation).await?;
    ensure!(run["state"] == "succeeded", "it failed: {run}");
    Ok(run)
}

/// A run that is over, whose programs may have to be compiled first.
async fn over(world: &World, operation: &str) -> Result<Value> {
    let path = format!("/v1/runs/{}", world.run(operation).begin().await?.id);
    wait::within(Duration::from_secs(180), "the run is over", async || {
        let now = world.api.get(&path).await?.accepted()?;
        Ok((now["state"] == "succeeded" || now["state"] == "failed").then_some(now))
    })
    .await
}

/// A Request Tracker of its own; it ends when it is dropped.
struct RequestTracker {
    url: String,
    token: String,
    client: reqwest::Client,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl RequestTracker {
    /// None where these tests are not wanted.
    async fn wanted() -> Result<Option<Self>> {
        if env::var_os("WHERRY_REQUEST_TRACKER").is_none() {
            eprintln!("skipped: tests against Request Tracker, run them with cargo xtask test --third-party");
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("wherry-rt-").tempdir()?;
        for name in ["mason", "sessions", "settings"] {
            fs::create_dir(folder.path().join(name))?;
        }
        fs::write(folder.path().join("site.pm"), SETTINGS)?;
        fs::write(folder.path().join("password"), format!("{PASSWORD}\n"))?;
        let port = free_port()?;
        let command = |program: &str| {
            let mut command = Command::new(program);
            command.env("RT_SITE_CONFIG", folder.path().join("site.pm"));
            command.env("RT_SITE_CONFIG_DIR", folder.path().join("settings"));
            command.env("WHERRY_RT_FOLDER", folder.path()).env("WHERRY_RT_PORT", port.to_string());
            command.current_dir(folder.path());
            command
        };
        let mut setup = command("rt-setup-database-5");
        setup.args(["--action", "init", "--datadir", "/usr/share/request-tracker5/etc", "--root-password-file"]);
        said(setup.arg(folder.path().join("password"))).await?;
        let mut token = command("perl");
        let token = said(token.args(["-I/usr/share/request-tracker5/lib", "-e", TOKEN])).await?;
        let mut server = command("/usr/share/request-tracker5/libexec/standalone_httpd");
        server.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let log: PathBuf = folder.path().join("server.log");
        let process = Process::start("request-tracker", server, &log)?;
        let url = format!("http://127.0.0.1:{port}");
        drop(wherry_daemon::tls::provider());
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let tracker = Self { url, token, client, _process: process, _folder: folder };
        let ready = async || Ok(tracker.get("/rt").await.ok().filter(|said| !said["Version"].is_null()).map(drop));
        wait::within(START, "Request Tracker answers", ready).await?;
        Ok(Some(tracker))
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}/REST/2.0{path}", self.url)).basic_auth("root", Some(PASSWORD));
        Ok(serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?)
    }

    /// Makes a ticket; gives its number.
    async fn create(&self, subject: &str) -> Result<String> {
        let ticket = json!({ "Queue": "General", "Subject": subject });
        let request = self.client.post(format!("{}/REST/2.0/ticket", self.url)).basic_auth("root", Some(PASSWORD));
        let answer = request.header("content-type", "application/json").body(ticket.to_string()).send().await?;
        let made: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
        made["id"].as_str().map(str::to_owned).context("a ticket without an id")
    }

    async fn subjects(&self) -> Result<Vec<String>> {
        let found = self.get("/tickets?query=id%3E0&fields=Subject&per_page=100").await?;
        let items = found["items"].as_array().cloned().unwrap_or_default();
        Ok(items.iter().filter_map(|item| item["Subject"].as_str().map(str::to_owned)).collect())
    }
}

/// What a program says, if all goes well.
async fn said(command: &mut Command) -> Result<String> {
    let said = tokio::time::timeout(START, command.kill_on_drop(true).output()).await??;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
