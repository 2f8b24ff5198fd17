//! Following a run by server-sent events.

use axum::{
    body::{Body, BodyDataStream},
    http::Method,
};
use futures::StreamExt;
use serde_json::Value;
use wherry_domain::{id::RunId, run::Outcome};
use wherry_proto::frame::{Attempt, Counts, FromAgent, LogLine};

use crate::support::{Agent, Api, Bench, Disk, soon};

#[tokio::test]
async fn a_follower_sees_each_change_and_each_line_and_then_the_end() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let run = api.bench.submit("look").await;
    let mut events = follow(&api, run, None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.data["state"].as_str()), ("run", Some("queued")));
    let mut agent = Agent::online(&api.bench, "pier-1", 1).await;
    let attempt = agent.offer().await.attempt;
    let leased = events.until("run", |data| data["state"] == "leased").await;
    assert_eq!(leased.data["agent"], "pier-1");
    let counts = Counts { read: 500, ..Counts::default() };
    agent.say(&api.bench, FromAgent::Progress { attempt, counts, earlier: Counts::default() }).await;
    events.until("run", |data| data["counts"]["read"] == 500).await;
    agent.say(&api.bench, FromAgent::Log { attempt, lines: lines(1..3) }).await;
    let line = events.until("log", |data| data["text"] == "line 2").await;
    assert_eq!((line.id.as_deref(), line.data["n"].as_u64()), (Some("2"), Some(2)));
    agent.succeed(&api.bench, attempt).await;
    events.until("run", |data| data["state"] == "succeeded").await;
    assert_eq!(events.next().await.unwrap().name, "end");
    assert!(events.next().await.is_none(), "the stream goes on after its end");
}

#[tokio::test]
async fn whoever_comes_late_gets_everything_and_whoever_comes_back_gets_the_rest() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let mut agent = Agent::online(&api.bench, "pier-1", 1).await;
    let run = api.bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    // More than one part of the log, the last of it with the result.
    for from in [1, 501, 1_001] {
        agent.say(&api.bench, FromAgent::Log { attempt, lines: lines(from..from + 500) }).await;
    }
    finish_with_log(&api, &mut agent, attempt).await;
    for (last, missing) in [(None, 1_700), (Some("1650"), 50), (Some("nonsense"), 1_700), (Some("99999999"), 0)] {
        let mut events = follow(&api, run, last).await;
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(event);
        }
        let numbers: Vec<u64> =
            seen.iter().filter(|event| event.name == "log").map(|event| event.data["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1_701 - missing..=1_700).collect::<Vec<_>>(), "after {last:?}");
        let ending: Vec<&str> = seen.iter().rev().take(2).map(|event| event.name.as_str()).collect();
        assert_eq!(ending, ["end", "run"]);
    }
}

async fn finish_with_log(api: &Api, agent: &mut Agent, attempt: Attempt) {
    let mut report = agent.ended(attempt, wherry_proto::frame::Ending::Ended(Outcome::Succeeded));
    report.log = lines(1_501..1_701);
    let seq = report.seq;
    agent.say(&api.bench, FromAgent::Result(report)).await;
    agent.acknowledged(seq).await;
}

async fn follow(api: &Api, run: RunId, last: Option<&str>) -> Events {
    let mut request = api.request(Method::GET, &format!("/v1/runs/{run}/events"), Body::empty());
    if let Some(last) = last {
        request.headers_mut().insert("last-event-id", last.parse().unwrap());
    }
    let response = api.open(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Events { body: response.into_body().into_data_stream(), text: String::new() }
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<LogLine> {
    let line = |n| LogLine { at_ms: 0, level: "info".to_owned(), text: format!("line {n}") };
    numbers.map(line).collect()
}

struct Events {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Events {
    async fn until(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Event {
        loop {
            let event = self.next().await.expect("the stream ended");
            assert_ne!(event.name, "end", "it ended before");
            if event.name == name && wanted(&event.data) {
                return event;
            }
        }
    }

    /// The next event, leaving out comments; `None` when the stream ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |key: &str| {
                    let value = event.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
                    value.map(str::to_owned)
                };
                if let (Some(name), Some(data)) = (field("event"), field("data")) {
                    return Some(Event { name, id: field("id"), data: serde_json::from_str(&data).unwrap() });
                }
                continue;
            }
            let piece = soon(self.body.next()).await?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}
