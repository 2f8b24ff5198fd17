//! The connector `http` as a source: paging of every kind, retries, and single requests.

use serde_json::{Value, json};
use wherry_host::Call;

use crate::support::components::http;
use crate::support::egress::ToServer;
use crate::support::server::{Received, Reply, Server};
use crate::support::{Finished, Invocation, invoke};

fn at(server: &Server, activity: &str, params: &Value) -> Invocation {
    invoke(activity, params).connection(&format!("{}/api", server.url())).egress(ToServer::new(&server.authority))
}

async fn query(server: &Server, params: Value) -> Finished {
    at(server, "query", &params).on(&http()).await
}

/// The number behind `name=` in the path.
fn number(request: &Received, name: &str) -> Option<u64> {
    let (_, rest) = request.path.split_once(&format!("{name}="))?;
    rest.split('&').next()?.parse().ok()
}

fn items(range: std::ops::Range<u64>) -> Vec<Value> {
    range.map(|n| json!({"n": n})).collect()
}

#[tokio::test]
async fn a_plain_answer_is_one_page() {
    let server = Server::start(|_| Reply::json(&json!({"data": {"items": [{"a": 1}, {"a": 2}]}, "x": 1}))).await;
    let finished = query(&server, json!({"path": "/items", "query": {"q": "a b"}, "records": "data.items"})).await;
    assert_eq!(finished.records(), [json!({"a": 1}), json!({"a": 2})]);
    assert_eq!(finished.output(), json!({"records": 2, "pages": 1, "complete": true}));
    assert_eq!(server.paths(), ["/api/items?q=a%20b"]);
    assert_eq!(server.received()[0].headers["accept"], "application/json");
}

#[tokio::test]
async fn numbered_pages_are_read_until_an_empty_one() {
    let server = Server::start(|request| {
        let page = number(request, "p").unwrap();
        Reply::json(&json!(if page <= 3 { items(page * 2..page * 2 + 2) } else { vec![] }))
    })
    .await;
    let finished = query(&server, json!({"paging": {"page": {"parameter": "p"}}})).await;
    assert_eq!(finished.records(), items(2..8));
    assert_eq!(server.paths(), ["/api?p=1", "/api?p=2", "/api?p=3", "/api?p=4"]);
}

#[tokio::test]
async fn offsets_are_read_until_a_short_page() {
    let server = Server::start(|request| {
        let (offset, limit) = (number(request, "o").unwrap(), number(request, "l").unwrap());
        Reply::json(&json!(items(offset..(offset + limit).min(7))))
    })
    .await;
    let paging = json!({"offset": {"parameter": "o", "limit_parameter": "l", "limit": 3}});
    assert_eq!(query(&server, json!({"paging": paging})).await.records(), items(0..7));
    assert_eq!(server.paths(), ["/api?l=3&o=0", "/api?l=3&o=3", "/api?l=3&o=6"]);
}

#[tokio::test]
async fn tokens_are_followed_in_the_query_and_in_the_body() {
    let server = Server::start(|request| {
        let token = if request.method == "POST" {
            request.json().get("after").and_then(Value::as_u64)
        } else {
            number(request, "after")
        };
        let page = token.unwrap_or(0);
        Reply::json(&json!({"items": items(page..page + 1), "next": (page < 2).then_some(page + 1)}))
    })
    .await;
    let get = json!({"records": "items", "paging": {"cursor": {"parameter": "after", "from": "next"}}});
    assert_eq!(query(&server, get).await.records(), items(0..3));
    let post = json!({
        "method": "POST", "body": {"jql": "x"}, "records": "items",
        "paging": {"cursor": {"parameter": "after", "from": "/next", "in": "body"}},
    });
    assert_eq!(query(&server, post).await.records(), items(0..3), "a number stays one in a body");
}

#[tokio::test]
async fn links_are_followed_from_header_and_body() {
    let server = Server::start(|request| {
        let page = number(request, "page").unwrap_or(0);
        let next = format!("/api/items?page={}", page + 1);
        let reply = Reply::json(&json!({"items": items(page..page + 1), "next": (page < 2).then_some(&next)}));
        if page < 2 { reply.header("link", &format!("<{next}>; rel=\"next\"")) } else { reply }
    })
    .await;
    for paging in [json!({"link": {}}), json!({"link": {"from": "next"}})] {
        let finished = query(&server, json!({"path": "items", "records": "items", "paging": paging})).await;
        assert_eq!(finished.records(), items(0..3));
    }
}

#[tokio::test]
async fn a_system_that_ignores_page_or_offset_is_noticed() {
    let server = Server::start(|_| Reply::json(&json!(items(0..3)))).await;
    for paging in [
        json!({"page": {"parameter": "p"}}),
        json!({"page": {"parameter": "p", "size_parameter": "n", "size": 3}}),
        json!({"offset": {"parameter": "o", "limit_parameter": "l", "limit": 3}}),
    ] {
        let finished = query(&server, json!({"paging": paging})).await;
        assert_eq!((finished.code(), finished.records()), ("http.page_repeated".to_owned(), items(0..3)));
    }
    assert_eq!(server.paths().len(), 6);
}

#[tokio::test]
async fn a_system_that_repeats_a_page_does_not_keep_the_run_busy() {
    let server = Server::start(|_| Reply::json(&json!({"items": [1], "next": "same"}))).await;
    let paging = json!({"cursor": {"parameter": "c", "from": "next"}});
    let finished = query(&server, json!({"records": "items", "paging": paging})).await;
    assert_eq!(finished.code(), "http.page_repeated");
    assert_eq!(server.paths().len(), 2);
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed() {
    let server = Server::start(|_| Reply::json(&json!([1])).header("link", "<http://evil.example/>; rel=next")).await;
    let finished = query(&server, json!({"paging": {"link": {}}})).await;
    assert_eq!(finished.code(), "http.next_url_foreign");
}

#[tokio::test]
async fn a_retry_goes_on_behind_the_last_page_that_arrived() {
    let server = Server::start(|request| match number(request, "p").unwrap() {
        3 => Reply::status(503),
        page => Reply::json(&json!(items(page..page + 1))),
    })
    .await;
    let params = json!({"paging": {"page": {"parameter": "p"}}});
    let first = query(&server, params.clone()).await;
    assert_eq!(first.code(), "http.server_error");
    assert_eq!(first.records(), items(1..3));
    let second = at(&server, "query", &params).task(|task| task.cursor = first.cursor()).on(&http()).await;
    assert_eq!(second.code(), "http.server_error");
    assert_eq!(server.paths(), ["/api?p=1", "/api?p=2", "/api?p=3", "/api?p=3"]);
}

#[tokio::test]
async fn a_large_page_travels_in_parts_and_its_cursor_with_the_last() {
    let server = Server::start(|_| Reply::json(&json!(items(0..1_200)))).await;
    let finished = query(&server, json!({})).await;
    let parts: Vec<_> = finished.batches().iter().map(|(batch, cursor)| (batch.count, cursor.is_some())).collect();
    assert_eq!(parts, [(1_000, false), (200, true)]);
}

#[tokio::test]
async fn max_pages_is_obeyed() {
    let server = Server::start(|request| Reply::json(&json!([request.path]))).await;
    let finished = query(&server, json!({"paging": {"page": {"parameter": "p"}}, "max_pages": 2})).await;
    assert_eq!(finished.output(), json!({"records": 2, "pages": 2, "complete": false}));
}

#[tokio::test]
async fn execute_makes_one_request_and_gives_its_answer_as_a_record() {
    let server = Server::start(|request| match request.method.as_str() {
        "DELETE" => Reply::status_only(204),
        _ => Reply::json(&json!({"id": 9})),
    })
    .await;
    let params = json!({"path": "/jobs", "body": {"start": true}, "idempotency_header": "Idempotency-Key"});
    let finished = at(&server, "execute", &params).on(&http()).await;
    assert_eq!(finished.records(), [json!({"status": 200, "body": {"id": 9}})]);
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.json()), ("POST", json!({"start": true})));
    assert_eq!(request.headers["idempotency-key"], "key");
    let deleted = at(&server, "execute", &json!({"path": "/jobs/9", "method": "DELETE"})).on(&http()).await;
    assert_eq!(deleted.records(), [json!({"status": 204, "body": null})]);
    let dry = at(&server, "execute", &params).task(|task| task.dry_run = true).on(&http()).await;
    assert_eq!((dry.output(), server.paths().len()), (json!({"dry_run": true}), 2));
}

#[tokio::test]
async fn the_connection_test_reports_the_status() {
    let server = Server::start(|request| Reply::status(if request.path == "/api/ok" { 200 } else { 404 })).await;
    let test = async |connection: Value| {
        let connection = connection.to_string();
        let invocation =
            at(&server, "", &Value::Null).task(|task| (task.call, task.connection) = (Call::Test, connection));
        invocation.on(&http()).await
    };
    let url = format!("{}/api", server.url());
    assert_eq!(test(json!({"url": url})).await.output(), json!({"status": 404}), "somebody answers");
    assert_eq!(test(json!({"url": url, "options": {"test_path": "/ok"}})).await.output(), json!({"status": 200}));
    assert_eq!(test(json!({"url": url, "options": {"test_path": "/no"}})).await.code(), "http.not_found");
    assert_eq!(test(json!({"url": "ftp://h"})).await.code(), "http.connection_invalid");
}
