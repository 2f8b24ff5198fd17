//! Systems that answer nonsense, nothing, half of it, or without end.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use wherry_tests::world::{Connection, Operation, Project, World, desk::requests};

#[tokio::test]
async fn a_system_that_answers_nonsense_fails_the_run_with_the_reason() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    // A shorter wait would be carried out by the connector itself.
    let query = |fault: &str| json!({ "fault": fault, "retry_after_s": 90 });
    let boom = |fault: &str| Operation::from("system", "query", json!({ "path": "/boom", "query": query(fault) }));
    let project = Project::named("answers")
        .connection("system", Connection::to(&world.sandbox.url))
        .connection("stranger", Connection::to(&world.sandbox.url).basic("nobody", "desk-password"))
        .connection("secretless", Connection::to(&world.sandbox.url).bearer("forgotten"))
        .connection("closed", Connection::to("http://127.0.0.1:9"))
        .connection("nowhere", Connection::to("https://no-such-host.invalid"))
        .operation("html", boom("html"))
        .operation("empty", boom("empty"))
        .operation("half", boom("half"))
        .operation("error", boom("error"))
        .operation("throttle", boom("throttle"))
        .operation("unauthorized", Operation::from("stranger", "query", requests()))
        .operation("no-secret", Operation::from("secretless", "query", json!({})))
        .operation("closed", Operation::from("closed", "query", json!({})))
        .operation("nowhere", Operation::from("nowhere", "query", json!({})))
        .operation("misplaced", Operation::from("system", "query", json!({ "path": "/json/1k", "records": "items" })))
        .operation("misspelt", Operation::from("system", "query", json!({ "pth": "/" })))
        .variable("size", 10)
        .variable("pages", 10);
    world.deploy(&project).await?;
    let _agent = world.agent("eu-1").await?;
    for (operation, class, code) in [
        ("html", "permanent", "http.html_answer"),
        ("empty", "permanent", "http.empty_answer"),
        ("half", "retry", "egress.response_incomplete"),
        ("error", "retry", "http.server_error"),
        ("throttle", "retry", "http.throttled"),
        ("unauthorized", "permanent", "http.unauthorized"),
        ("no-secret", "permanent", "secret.missing"),
        ("closed", "retry", "egress.connect_refused"),
        ("nowhere", "retry", "egress.dns_failed"),
        ("misplaced", "permanent", "http.records_missing"),
        ("misspelt", "permanent", "http.params_invalid"),
    ] {
        let run = world.run(operation).end().await?.failed_with(code)?;
        let failure = run.failure.unwrap();
        assert_eq!((failure.class.as_str(), failure.effects_begun), (class, false), "{operation}: {failure:?}");
        assert!(!failure.message.contains("terms of use"), "words of the system left the agent: {failure:?}");
    }
    world.close().await
}

#[tokio::test]
async fn a_system_without_an_answer_or_with_an_endless_one_is_given_up() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut servers = JoinSet::new();
    let silent = serve(&mut servers, Answer::Nothing).await?;
    let endless = serve(&mut servers, Answer::Endless).await?;
    let garbage = serve(&mut servers, Answer::Garbage).await?;
    let query = |connection| Operation::from(connection, "query", json!({})).set("timeout", "10s");
    let project = Project::named("answers")
        .connection("silent", Connection::to(&format!("http://{silent}")))
        .connection("endless", Connection::to(&format!("http://{endless}")))
        .connection("garbage", Connection::to(&format!("http://{garbage}")))
        .operation("silent", query("silent").set("timeout", "1s"))
        .operation("endless", query("endless"))
        .operation("garbage", query("garbage"));
    world.deploy(&project).await?;
    let _agent = world.agent("eu-1").await?;
    world.run("silent").end().await?.failed_with("run.timeout")?;
    world.run("endless").end().await?.failed_with("egress.response_too_large")?;
    world.run("garbage").end().await?.failed_with("egress.protocol")?;
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

#[tokio::test]
async fn records_that_the_target_refuses_are_counted_and_the_others_arrive() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    // Every eighth title is one that the tracker does not know as a priority.
    let body =
        json!({ "title": "{{ record.summary }}", "external_id": "{{ record.id }}", "priority": "{{ record.status }}" });
    let refused = Operation::from("desk", "query", requests()).to(
        "tracker",
        "send",
        json!({ "path": "/api/issues", "body": body }),
    );
    world.deploy(&world.desk().operation("refused", refused)).await?;
    let _agent = world.agent("eu-1").await?;
    let run = world.run("refused").end().await?.failed_with("record.rejected")?;
    assert_eq!((run.counts.read, run.counts.written, run.counts.rejected), (25, 0, 25));
    let logs = world.api.get(&format!("/v1/runs/{}/logs", run.id)).await?.accepted()?.to_string();
    assert!(logs.contains("http.refused") && !logs.contains("Laptop"), "{logs}");
    assert_eq!(world.sandbox.ledger().await?.created, 0);
    world.close().await
}

#[derive(Clone, Copy)]
enum Answer {
    Nothing,
    Endless,
    Garbage,
}

/// A server that answers each connection like that.
async fn serve(servers: &mut JoinSet<()>, answer: Answer) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    servers.spawn(async move {
        let mut held = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.spawn(reply(stream, answer));
        }
    });
    Ok(address)
}

async fn reply(mut stream: TcpStream, answer: Answer) {
    let mut request = [0; 4_096];
    let _ = stream.read(&mut request).await;
    let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x1_0000));
    match answer {
        Answer::Nothing => std::future::pending().await,
        Answer::Garbage => drop(stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await),
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut open = stream.write_all(head.as_bytes()).await.is_ok();
            while open {
                open = stream.write_all(chunk.as_bytes()).await.is_ok();
            }
        }
    }
}
