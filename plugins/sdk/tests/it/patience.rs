//! A system that asks for patience: the kit waits and sends the request again, within bounds. The bench's clock plays.

use std::time::Duration;

use serde_json::{Value, json};
use wherry_sdk::Kind;
use wherry_sdk::host::Level;
use wherry_sdk::testing::{Bench, Ran, Reply};

use crate::connector::Trial;

fn later(status: u16, seconds: &str) -> Reply {
    Reply::status(status).header("retry-after", seconds)
}

fn seconds(ran: &Ran) -> Vec<f64> {
    ran.waits().iter().map(Duration::as_secs_f64).collect()
}

/// One form of an unsafe activity.
fn unsafe_post(replies: &[Reply]) -> Ran {
    let bench = replies.iter().fold(Bench::<Trial>::new(), |bench, reply| bench.on("POST", "/form", reply.clone()));
    bench.run("do", json!({ "what": "form" }))
}

#[test]
fn a_request_that_was_refused_goes_out_again_as_it_was_and_the_log_says_so_once() {
    let ran = unsafe_post(&[later(429, "7"), later(429, "Sun, 09 Sep 2001 01:47:07 GMT"), Reply::status(201)]);
    assert_eq!(ran.output(), json!({ "status": 201 }));
    // The bench's clock began at 01:46:40 and had 7 s behind it at the second answer.
    assert_eq!(seconds(&ran), [7.0, 20.0]);
    let requests = ran.requests();
    assert!(requests.len() == 3 && requests.iter().all(|request| *request == requests[0]));
    let told: Vec<_> = ran.logs().into_iter().filter(|(level, ..)| *level >= Level::Info).collect();
    let text = "the system asks for patience; requests wait and go out again";
    assert_eq!(told, [(Level::Info, text.to_owned(), json!({ "seconds": 7.0 }))]);
}

#[test]
fn files_in_the_body_are_sent_again_whole() {
    let bench = Bench::<Trial>::new().file("blob-7", &[7; 3_000_000]);
    let bench = bench.on("POST", "/files", later(429, "1")).on("POST", "/files", Reply::status(201));
    let requests = bench.run("do", json!({ "what": "multipart" })).requests();
    assert!(requests[0].body.len() > 3_000_000 && requests[0].body == requests[1].body);
}

#[test]
fn an_unavailable_system_is_asked_again_only_what_may_be_done_twice() {
    let refused = unsafe_post(&[later(503, "2")]);
    assert_eq!((refused.error().kind, refused.waits().len()), (Kind::Transient, 0));
    assert_eq!(refused.error().retry_after, Some(Duration::from_secs(2)));
    let bench = || Bench::<Trial>::new();
    let read = bench().on("GET", "/items/x?q=1&q=2", later(503, "2")).on("GET", "/items/x?q=1&q=2", Reply::status(200));
    assert_eq!(seconds(&read.run("do", json!({ "what": "x" }))), [2.0]);
    // A search is a POST, in an activity that only reads.
    let found = Reply::json(json!({ "items": [{}], "next": null }));
    let search = bench().on("POST", "/search", later(503, "2")).on("POST", "/search", found);
    assert_eq!(search.run("read", json!({ "what": "in the body" })).records().len(), 1);
    let marked = bench().on("POST", "/jobs", later(503, "2")).on("POST", "/jobs", Reply::status(200));
    assert_eq!(seconds(&marked.run("do", json!({ "what": "keyed" }))), [2.0]);
    let unsaid = bench().on("GET", "/items/x?q=1&q=2", Reply::status(503)).run("do", json!({ "what": "x" }));
    assert_eq!((unsaid.error().kind, unsaid.waits().len()), (Kind::Transient, 0));
}

#[test]
fn every_record_of_a_batch_arrives_once_at_a_system_that_takes_few_at_a_time() {
    let sent = std::cell::Cell::new(0);
    let bench = Bench::<Trial>::new().otherwise(move |_| {
        sent.set(sent.get() + 1);
        Some(if sent.get() % 4 == 0 { later(429, "10") } else { Reply::status(201) })
    });
    let ran = bench.input((0..20).map(Value::from)).run("write", json!({ "what": "one by one" }));
    assert_eq!((ran.acked(), ran.waits().len(), ran.calls().len()), (20, 6, 26));
}

#[test]
fn what_takes_too_long_is_left_to_the_next_attempt() {
    let long = unsafe_post(&[later(429, "61")]);
    assert_eq!((long.error().retry_after, long.waits().len()), (Some(Duration::from_secs(61)), 0));
    let bench =
        |limit| Bench::<Trial>::new().time_limit(Duration::from_secs(limit)).on("POST", "/form", later(429, "30"));
    let short = bench(31).run("do", json!({ "what": "form" }));
    assert_eq!((short.error().kind, short.waits().len()), (Kind::Throttled, 0));
    let in_time = bench(32).on("POST", "/form", Reply::status(200)).run("do", json!({ "what": "form" }));
    assert_eq!(seconds(&in_time), [30.0]);
    let unsaid = unsafe_post(&[Reply::status(429)]);
    assert_eq!((unsaid.error().kind, unsaid.waits().len()), (Kind::Throttled, 0));
    let impatient =
        Bench::<Trial>::new().on("POST", "/jobs", later(429, "1")).run("do", json!({ "what": "impatient" }));
    assert_eq!((impatient.error().kind, impatient.waits().len()), (Kind::Throttled, 0));
}

#[test]
fn a_system_that_never_has_enough_is_asked_nine_times() {
    let never = |seconds: &'static str| {
        let bench = Bench::<Trial>::new().otherwise(move |_| Some(later(429, seconds)));
        bench.run("do", json!({ "what": "form" }))
    };
    let ran = never("3");
    assert_eq!((ran.calls().len(), seconds(&ran)), (9, vec![3.0; 8]));
    assert_eq!((ran.error().kind, ran.error().retry_after), (Kind::Throttled, Some(Duration::from_secs(3))));
    assert_eq!(seconds(&never("0")), [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0], "nobody means 0");
}

#[test]
fn a_wish_to_stop_ends_the_wait() {
    let bench = Bench::<Trial>::new().cancelled_after(0).on("POST", "/form", later(429, "30"));
    let ran = bench.run("do", json!({ "what": "form" }));
    assert_eq!((ran.error().code.as_ref(), ran.calls().len()), ("trial.stopped", 1));
}

#[test]
fn the_connectors_own_words_decide_whether_waiting_helps() {
    let body = json!({ "errorMessage": "this month's quota is used up" });
    let own = Reply::json(body).with_status(429).header("retry-after", "5");
    let ran = unsafe_post(&[own]);
    assert_eq!((ran.error().code.as_ref(), ran.waits().len()), ("trial.refused", 0));
}

#[test]
fn a_page_that_was_asked_for_ahead_is_waited_for_and_none_is_lost() {
    let asked = std::cell::Cell::new(0);
    let bench = Bench::<Trial>::new().otherwise(move |sent| {
        let page: u64 = sent.path.strip_prefix("/items?p=")?.parse().ok()?;
        asked.set(asked.get() + 1);
        let records = if page > 4 { 0 } else { 50 };
        let answer = Reply::json((0..records).map(|at| json!({ "id": page * 100 + at })).collect());
        Some(if asked.get() % 2 == 0 { later(429, "1") } else { answer })
    });
    let ran = bench.run("read", json!({ "what": "" }));
    assert_eq!((ran.records().len(), ran.output()["pages"].as_u64(), ran.waits().len()), (200, Some(5), 4));
}

#[test]
fn a_download_is_waited_for_too() {
    let bench = Bench::<Trial>::new().on("GET", "/file", later(503, "4")).on("GET", "/file", Reply::bytes("content"));
    let ran = bench.run("do", json!({ "what": "download" }));
    assert_eq!((ran.file("blob-1"), seconds(&ran)), (Some(b"content".to_vec()), vec![4.0]));
}
