//! Pages: fetched ahead, handed on in batches, continued by a retry.

use serde_json::{Value, json};
use wherry_sdk::testing::{Bench, Ran, Reply};

use crate::connector::Trial;

fn read(what: &str, bench: Bench<Trial>) -> Ran {
    bench.run("read", json!({ "what": what }))
}

/// A system with so many pages of so many records.
fn pages(count: u64, records: u64) -> Bench<Trial> {
    Bench::new().otherwise(move |sent| {
        let page: u64 = sent.path.strip_prefix("/items?p=")?.parse().ok()?;
        let records = if page > count { 0 } else { records };
        Some(Reply::json((0..records).map(|at| json!({ "id": (page - 1) * records + at })).collect()))
    })
}

#[test]
fn the_next_page_is_on_its_way_before_the_records_of_this_one_are_handled() {
    assert_eq!(read("first page only", pages(5, 10)).calls(), ["GET /items?p=1", "GET /items?p=2"]);
    assert_eq!(read("first page only, one by one", pages(5, 10)).calls(), ["GET /items?p=1"]);
}

#[test]
fn small_pages_travel_together_and_every_batch_has_its_cursor() {
    let ran = read("", pages(25, 40));
    assert_eq!((ran.records().len(), ran.output()["pages"].as_u64()), (1_000, Some(26)));
    let sizes: Vec<_> = ran.batches().iter().map(|(records, cursor)| (*records, cursor.is_some())).collect();
    assert_eq!(sizes, [vec![(120, true); 8], vec![(40, true)]].concat());
}

#[test]
fn what_was_read_before_a_failure_is_handed_on_with_its_cursor() {
    let failing = |page: u64| {
        Bench::new().otherwise(move |sent| {
            let at: u64 = sent.path.strip_prefix("/items?p=")?.parse().ok()?;
            Some(if at == page {
                Reply::status(503)
            } else {
                Reply::json(if at < 4 { json!([at]) } else { json!([]) })
            })
        })
    };
    let first = read("", failing(3));
    assert_eq!((first.error().code, first.records()), ("http.server_error".into(), vec![json!(1), json!(2)]));
    let again = read("", failing(0).cursor(first.cursor().unwrap()));
    assert_eq!((again.records(), again.calls()[0].as_str()), (vec![json!(3)], "GET /items?p=3"));
}

#[test]
fn a_wrong_link_does_not_cost_the_records_before_it() {
    let reply = Reply::json(json!([1, 2])).header("link", "<https://evil.example/x>; rel=next");
    let ran = read("by link", Bench::new().on("GET", "/items", reply));
    assert_eq!((ran.error().code, ran.records()), ("http.next_url_foreign".into(), vec![json!(1), json!(2)]));
}

#[test]
fn links_are_followed_on_the_same_host() {
    let next = Reply::json(json!([1])).header("link", "</items?x=2>; rel=\"next\"");
    let bench = Bench::new().on("GET", "/items", next).on("GET", "/items?x=2", Reply::json(json!([2])));
    assert_eq!(read("by link", bench).records(), [json!(1), json!(2)]);
}

#[test]
fn a_token_goes_into_the_body_beside_the_query() {
    let answer = |next: Value| Reply::json(json!({ "items": [{}], "next": next }));
    let bench = Bench::new().on("POST", "/search", answer(json!(17))).on("POST", "/search", answer(Value::Null));
    let ran = read("in the body", bench);
    let bodies: Vec<_> = ran.requests().iter().map(|request| request.json()).collect();
    assert_eq!(bodies, [json!({ "q": "x" }), json!({ "q": "x", "after": 17 })]);
    assert!(ran.result().as_ref().unwrap().more);
}

#[test]
fn a_cursor_is_a_field_of_the_last_record() {
    let bench = Bench::new().on("GET", "/items", Reply::json(json!([{ "id": 3 }, { "id": 5 }]))).on(
        "GET",
        "/items?since=5",
        Reply::json(json!([])),
    );
    let ran = read("typed", bench);
    assert_eq!(ran.records(), [json!({ "number": 3 }), json!({ "number": 5 })]);
    assert_eq!(ran.output(), json!({ "records": 2, "pages": 2, "complete": true }));
}

#[test]
fn a_repeated_token_is_an_error() {
    let bench = Bench::new().otherwise(|_| Some(Reply::json(json!({ "items": [1], "next": "same" }))));
    assert_eq!(read("in the body", bench).error().code, "http.page_repeated");
}

#[test]
fn a_system_that_ignores_the_number_of_a_page_is_noticed_at_the_second() {
    let ran = read("", Bench::new().otherwise(|_| Some(Reply::json(json!([{ "id": 1 }, { "id": 2 }])))));
    assert_eq!((ran.error().code, ran.calls().len()), ("http.page_repeated".into(), 2));
    assert_eq!(ran.records().len(), 2, "the page that came once is handed on once");
}

#[test]
fn half_a_page_is_no_page() {
    let ran = read("", Bench::new().on("GET", "/items?p=1", Reply::bytes("[1, 2").breaking_off()));
    assert_eq!(ran.error().code, "http.broken_answer");
    assert!(ran.records().is_empty());
}

#[test]
fn a_wish_to_stop_is_seen_between_two_pages() {
    let ran = read("", pages(50, 200).cancelled_after(3));
    assert_eq!((ran.error().code, ran.calls().len()), ("trial.stopped".into(), 3));
    assert_eq!(ran.records().len(), 600, "what was read is not thrown away");
}
