//! The engine on the bench: what becomes of a manifest.

use std::time::Duration;

use serde_json::{Value, json};
use wherry_sdk::Kind;
use wherry_sdk::testing::{Bench, Ran, Reply};

use super::*;

/// A manifest with one activity, changed as a test wants it.
fn manifest(activity: Value) -> Value {
    json!({
        "manifest": 1, "name": "acme", "version": "1.2.3", "title": "Acme",
        "base_path": "/api", "auth": ["basic"],
        "options": {"desk": {"type": "string", "default": "main"}},
        "headers": {"x-desk": "{{ options.desk }}"},
        "test": {"request": {"path": "/me"}, "expect": "user.id", "report": {"user": "user.name"}},
        "activities": [activity],
        "errors": {"message_at": "error.text", "rules": [
            {"status": 404, "at": "error.code", "equals": "gone", "kind": "data", "code": "ticket_gone", "message": "it is gone"},
            {"status": 200, "at": "ok", "equals": false, "kind": "forbidden", "code": "not_ok", "message": "it says no"},
            {"status": 503, "contains": "maintenance", "kind": "transient", "code": "asleep", "message": "later", "retry_after": 90},
        ]},
        "rate_limit": {"remaining": "x-left", "reset": "x-reset", "reset_is": "time"},
    })
}

fn bench(manifest: &Value) -> Bench<Declarative> {
    embedded::give(manifest);
    Bench::new().url("https://h")
}

fn source(more: Value) -> Value {
    let mut activity = json!({"name": "q", "kind": "source", "side_effects": "read", "request": {"path": "/t"}});
    activity.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    manifest(activity)
}

fn target(request: Value) -> Value {
    manifest(json!({"name": "send", "kind": "target", "side_effects": "unsafe", "request": request}))
}

fn ids(ran: &Ran) -> Vec<u64> {
    ran.records().iter().map(|record| record["id"].as_u64().unwrap()).collect()
}

fn items(ids: &[u64]) -> Value {
    ids.iter().map(|id| json!({ "id": id })).collect()
}

#[test]
fn a_query_fills_in_parameters_options_headers_and_defaults() {
    let manifest = source(json!({
        "parameters": {"state": {"type": "string", "default": "open"}, "tags": {"type": "array"}, "none": {"type": "string"}},
        "request": {"path": "/desks/{{ options.desk }}/t", "query": {"s": "{{ params.state }}", "tag": "{{ params.tags }}", "n": "{{ params.none }}"}},
        "records": "items",
    }));
    let ran = bench(&manifest)
        .options(json!({"desk": "a/b"}))
        .on("GET", "/api/desks/a%2Fb/t?s=open&tag=x&tag=y", Reply::json(json!({"items": [{"id": 1}]})))
        .run("q", json!({"tags": ["x", "y"]}));
    assert_eq!(ids(&ran), [1]);
    let request = &ran.requests()[0];
    assert_eq!((&*request.headers["x-desk"], &*request.headers["user-agent"]), ("a/b", "wherry-acme/1.2.3"));
}

#[test]
fn every_kind_of_paging_reads_to_the_end() {
    let cases: [(Value, [(&str, Reply); 2]); 7] = [
        (
            json!({"page": {"parameter": "p", "size_parameter": "n", "size": 2}}),
            [("?n=2&p=1", Reply::json(items(&[1, 2]))), ("?n=2&p=2", Reply::json(items(&[3])))],
        ),
        (
            json!({"offset": {"parameter": "o", "size_parameter": "l", "size": "{{ params.size }}"}}),
            [("?l=2&o=0", Reply::json(items(&[1, 2]))), ("?l=2&o=2", Reply::json(items(&[3])))],
        ),
        (
            json!({"cursor": {"parameter": "after", "field": "id"}, "last_at": "last"}),
            [
                ("", Reply::json(json!({"r": [{"id": 1}, {"id": 2}], "last": false}))),
                ("?after=2", Reply::json(json!({"r": [{"id": 3}], "last": true}))),
            ],
        ),
        (
            json!({"token": {"parameter": "t", "from": "next"}}),
            [
                ("", Reply::json(json!({"r": items(&[1, 2]), "next": "a"}))),
                ("?t=a", Reply::json(json!({"r": items(&[3])}))),
            ],
        ),
        (
            json!({"token_header": {"parameter": "t", "header": "X-Next"}}),
            [("", Reply::json(items(&[1, 2])).header("x-next", "b")), ("?t=b", Reply::json(items(&[3])))],
        ),
        (
            json!({"link_header": true}),
            [("", Reply::json(items(&[1, 2])).header("link", "<?x=2>; rel=next")), ("?x=2", Reply::json(items(&[3])))],
        ),
        (
            json!({"next": {"from": "more"}}),
            [
                ("", Reply::json(json!({"r": items(&[1, 2]), "more": "https://h/api/t?x=2"}))),
                ("?x=2", Reply::json(json!({"r": items(&[3])}))),
            ],
        ),
    ];
    for (paging, replies) in cases {
        let inside = paging.get("cursor").or(paging.get("token")).or(paging.get("next")).is_some();
        let manifest = source(json!({
            "paging": paging, "parameters": {"size": {"type": "integer", "default": 2}},
            "records": if inside { json!("r") } else { json!("/") },
        }));
        let mut manifest = manifest;
        if !inside {
            manifest["activities"][0].as_object_mut().unwrap().remove("records");
        }
        let script = replies
            .into_iter()
            .fold(bench(&manifest), |bench, (query, reply)| bench.on("GET", &format!("/api/t{query}"), reply));
        let ran = script.run("q", json!({}));
        assert_eq!(ids(&ran), [1, 2, 3], "{paging}");
        assert!(ran.unused().is_empty(), "{paging}");
    }
}

#[test]
fn a_system_that_never_ends_is_noticed() {
    let same = source(json!({"paging": {"page": {"parameter": "p"}}}));
    let ran = bench(&same).otherwise(|_| Some(Reply::json(items(&[1])))).run("q", json!({}));
    assert_eq!(ran.error().code, "http.page_repeated");
    let token = source(json!({"paging": {"token": {"parameter": "t", "from": "next"}}, "records": "r"}));
    let ran = bench(&token).otherwise(|_| Some(Reply::json(json!({"r": [], "next": "a"})))).run("q", json!({}));
    assert_eq!(ran.error().code, "http.page_repeated");
    let mut limited = source(json!({"paging": {"page": {"parameter": "p"}}}));
    limited["limits"] = json!({"pages": 2});
    let reply = |sent: &wherry_sdk::testing::Sent| {
        Some(Reply::json(items(&[sent.path.len() as u64, sent.path.ends_with('1').into()])))
    };
    let ran = bench(&limited).otherwise(reply).run("q", json!({}));
    assert_eq!((ran.calls().len(), ran.output()["complete"].clone()), (2, json!(false)));
}

#[test]
fn a_link_to_another_host_is_refused() {
    let manifest = source(json!({"paging": {"next": {"from": "more"}}, "records": "r"}));
    let reply = Reply::json(json!({"r": [], "more": "https://evil.example/steal"}));
    assert_eq!(bench(&manifest).on("GET", "/api/t", reply).run("q", json!({})).error().code, "http.next_url_foreign");
}

#[test]
fn a_retry_goes_on_behind_the_last_page() {
    let manifest = source(json!({"paging": {"page": {"parameter": "p", "size": 2}}}));
    let first = bench(&manifest)
        .on("GET", "/api/t?p=1", Reply::json(items(&[1, 2])))
        .on("GET", "/api/t?p=2", Reply::status(500))
        .run("q", json!({}));
    assert_eq!((first.error().kind, ids(&first)), (Kind::Transient, vec![1, 2]));
    let cursor = first.cursor().unwrap().to_owned();
    let second = bench(&manifest).cursor(&cursor).on("GET", "/api/t?p=2", Reply::json(items(&[3]))).run("q", json!({}));
    assert_eq!(ids(&second), [3]);
}

#[test]
fn fields_are_cut_out_as_they_were_written_and_missing_ones_are_null() {
    let manifest = source(json!({"fields": {"number": "id", "who": "owner.name", "big": "n"}}));
    let reply = Reply::bytes(r#"[{"id": 1, "owner": {"name": "a"}, "n": 12345678901234567890123, "x": 1}, {"id": 2}]"#);
    let ran = bench(&manifest).on("GET", "/api/t", reply).run("q", json!({}));
    let records = ran.records();
    assert_eq!((&records[0]["number"], &records[0]["who"]), (&json!(1), &json!("a")));
    assert_eq!(records[1], json!({"number": 2, "who": null, "big": null}));
    let lines = format!("{:?}", ran.result());
    assert!(lines.contains("records"), "{lines}");
}

#[test]
fn expanding_asks_for_each_record_and_joins_what_comes() {
    let expand = |more: Value| {
        let mut expand = json!({"request": {"path": "/t/{{ record.id }}"}});
        expand.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        source(json!({"expand": expand, "records": "items"}))
    };
    let run = |manifest: &Value, second: Reply| {
        bench(manifest)
            .on("GET", "/api/t", Reply::json(json!({"items": [{"id": 1}, {"id": "a/b"}]})))
            .on("GET", "/api/t/1", Reply::json(json!({"subject": "s", "list": [{"x": 1}, {"x": 2}]})))
            .on("GET", "/api/t/a%2Fb", second)
            .run("q", json!({}))
    };
    let into = run(&expand(json!({"into": "more", "records": "subject"})), Reply::json(json!({"subject": "z"})));
    assert_eq!(into.records(), [json!({"id": 1, "more": "s"}), json!({"id": "a/b", "more": "z"})]);
    let many = run(&expand(json!({"records": "list"})), Reply::json(json!({"list": []})));
    assert_eq!(many.records(), [json!({"x": 1}), json!({"x": 2})]);
    let skip = run(&expand(json!({"on_missing": "skip"})), Reply::status(404));
    assert_eq!(skip.records().len(), 1);
    let keep = run(&expand(json!({"on_missing": "keep"})), Reply::status(404));
    assert_eq!(keep.records()[1], json!({"id": "a/b"}));
    assert_eq!(run(&expand(json!({})), Reply::status(404)).error().code, "http.not_found");
}

#[test]
fn a_target_sends_each_record_and_keeps_the_ids_of_what_was_made() {
    let mut manifest = target(json!({
        "method": "PUT", "path": "/t/{{ record.id }}", "idempotency_header": "X-Key",
        "json": {"subject": "{{ record.subject }}", "owner": "{{ record.owner }}", "desk": "{{ options.desk }}"},
    }));
    manifest["activities"][0]["id"] = json!("made.id");
    let ran = bench(&manifest)
        .on("PUT", "/api/t/7", Reply::json(json!({"made": {"id": 70}})))
        .on("PUT", "/api/t/8", Reply::status(422))
        .on("PUT", "/api/t/9", Reply::json(json!([])))
        .input([json!({"id": 7, "subject": "s"}), json!({"id": 8}), json!({"id": 9}), json!({"subject": "no id"})])
        .run("send", json!({}));
    assert_eq!(ran.output(), json!({"records": 4, "rejected": 2, "dry_run": false, "ids": [70]}));
    let first = &ran.requests()[0];
    assert_eq!(first.json(), json!({"subject": "s", "desk": "main"}), "what a record does not have is left out");
    assert_eq!(first.headers["x-key"], "key-0");
    let codes: Vec<String> = ran.rejections().into_iter().map(|(_, error)| error.code.into_owned()).collect();
    assert_eq!(codes, ["http.refused", "declarative.value_missing"]);
}

#[test]
fn a_system_cannot_fill_the_result_with_ids() {
    let mut manifest = target(json!({"path": "/t"}));
    manifest["activities"][0]["id"] = json!("id");
    let long = "x".repeat(100_000);
    let reply = move |_: &wherry_sdk::testing::Sent| Some(Reply::json(json!({ "id": long })));
    let ran = bench(&manifest).otherwise(reply).input((0..5).map(|_| json!({}))).run("send", json!({}));
    assert_eq!((ran.output()["records"].clone(), ran.output()["ids"].clone()), (json!(5), json!([])));
}

#[test]
fn a_record_cannot_lead_its_request_astray() {
    let manifest = target(json!({"path": "/t/{{ record.id }}", "headers": {"x-a": "{{ record.h }}"}}));
    let records = [json!({"id": ".."}), json!({"id": "a/../b?c#d", "h": "x"}), json!({"id": 1, "h": "a\r\nevil: 1"})];
    let ran = bench(&manifest).otherwise(|_| Some(Reply::json(json!({})))).input(records).run("send", json!({}));
    assert_eq!(ran.calls(), ["POST /api/t/a%2F..%2Fb%3Fc%23d"]);
    assert_eq!(ran.output()["rejected"], 2);
}

#[test]
fn a_whole_record_travels_as_it_came_and_forms_repeat_lists() {
    let whole = target(json!({"path": "/t", "json": "{{ record }}"}));
    let run = |manifest: &Value, record: Value| {
        bench(manifest)
            .on("POST", "/api/t", Reply::status(204))
            .input([record])
            .run("send", json!({}))
            .requests()
            .remove(0)
    };
    assert_eq!(run(&whole, json!({"b": 1, "a": [2]})).json(), json!({"b": 1, "a": [2]}));
    let form = target(json!({"path": "/t", "form": {"s": "{{ record.s }}", "n": "{{ record.n }}"}}));
    let sent = run(&form, json!({"s": "a&b", "n": [1, 2]}));
    assert_eq!(
        (&*sent.text(), &*sent.headers["content-type"]),
        ("n=1&n=2&s=a%26b", "application/x-www-form-urlencoded")
    );
}

#[test]
fn an_execution_makes_one_request_and_none_in_a_dry_run() {
    let manifest = manifest(json!({
        "name": "do", "kind": "execute", "side_effects": "keyed", "parameters": {"n": {"type": "integer", "required": true}},
        "request": {"path": "/do", "json": {"n": "{{ params.n }}", "key": "{{ key }}"}}, "records": "made",
    }));
    let ran =
        bench(&manifest).on("POST", "/api/do", Reply::json(json!({"made": {"id": 5}}))).run("do", json!({"n": 3}));
    assert_eq!((ids(&ran), ran.requests()[0].json()), (vec![5], json!({"n": 3, "key": "key"})));
    let dry = bench(&manifest).dry_run().run("do", json!({"n": 3}));
    assert_eq!((dry.calls().len(), dry.output()), (0, json!({"dry_run": true})));
    let empty = bench(&manifest).on("POST", "/api/do", Reply::status(204)).run("do", json!({"n": 3}));
    assert_eq!(empty.output(), json!({"status": 204, "records": 0}));
}

#[test]
fn refusals_mean_what_the_rules_say() {
    let manifest = source(json!({}));
    let failed = |reply: Reply| bench(&manifest).on("GET", "/api/t", reply).run("q", json!({})).error();
    let gone = failed(Reply::json(json!({"error": {"code": "gone", "text": "no such ticket"}})).with_status(404));
    assert_eq!((gone.kind, &*gone.code, &*gone.message), (Kind::Data, "acme.ticket_gone", "it is gone"));
    assert_eq!(gone.details.unwrap()["reason"], "no such ticket");
    assert_eq!(failed(Reply::json(json!({})).with_status(404)).code, "http.not_found");
    let no = failed(Reply::json(json!({"ok": false})));
    assert_eq!((no.kind, &*no.code), (Kind::Forbidden, "acme.not_ok"));
    let asleep = failed(Reply::bytes("down for maintenance").with_status(503));
    assert_eq!((&*asleep.code, asleep.retry_after), ("acme.asleep", Some(Duration::from_secs(90))));
    assert_eq!(failed(Reply::status(503)).code, "http.server_error");
}

#[test]
fn an_activity_has_rules_of_its_own_that_others_do_not_know() {
    let mut manifest = target(json!({"path": "/t"}));
    manifest["activities"][0]["errors"] = json!([
        {"status": 200, "contains": "isn't valid", "kind": "data", "code": "half_done", "message": "look at it"}]);
    let other = json!({"name": "q", "kind": "source", "side_effects": "read", "request": {"path": "/t"}});
    manifest["activities"].as_array_mut().unwrap().push(other);
    let reply = || Reply::json(json!([{"text": "this isn't valid"}]));
    let sent = bench(&manifest).on("POST", "/api/t", reply()).input([json!({})]).run("send", json!({}));
    assert_eq!(sent.rejections()[0].1.code, "acme.half_done");
    assert_eq!(bench(&manifest).on("GET", "/api/t", reply()).run("q", json!({})).records().len(), 1);
}

#[test]
fn rate_limits_are_read_from_their_headers() {
    let manifest = source(json!({}));
    let failed = |reply: Reply| bench(&manifest).on("GET", "/api/t", reply).run("q", json!({})).error();
    let exhausted = Reply::status(403).header("x-left", "0").header("x-reset", "99999999999999");
    let error = failed(exhausted);
    assert_eq!((error.kind, error.retry_after), (Kind::Throttled, Some(Duration::from_secs(86_400))), "a day at most");
    assert_eq!(failed(Reply::status(403).header("x-left", "3")).code, "http.forbidden");
    let polite = failed(Reply::status(429).header("retry-after", "70").header("x-reset", "99999999999999"));
    assert_eq!(polite.retry_after, Some(Duration::from_secs(70)));
}

#[test]
fn a_short_wait_is_carried_out_whichever_header_names_it() {
    let manifest = source(json!({}));
    // The bench's clock began at 1,000,000,000.
    let ran = bench(&manifest)
        .on("GET", "/api/t", Reply::status(403).header("x-left", "0").header("x-reset", "1000000030"))
        .on("GET", "/api/t", Reply::status(429).header("x-left", "0").header("x-reset", "1000000050"))
        .on("GET", "/api/t", Reply::status(503).header("retry-after", "5"))
        .on("GET", "/api/t", Reply::json(items(&[1])))
        .run("q", json!({}));
    assert_eq!(ran.waits(), [30, 20, 5].map(Duration::from_secs));
    assert_eq!(ran.records().len(), 1);
}

#[test]
fn a_refused_target_waits_and_one_that_broke_is_repeated_only_if_the_manifest_says_that_it_may_be() {
    let sent = |class: &str| {
        let mut manifest = target(json!({"method": "POST", "path": "/t", "idempotency_header": "X-Once"}));
        manifest["activities"][0]["side_effects"] = json!(class);
        let replies = [429, 503].map(|status| Reply::status(status).header("retry-after", "1"));
        let bench = replies.into_iter().fold(bench(&manifest), |bench, reply| bench.on("POST", "/api/t", reply));
        let ran = bench.on("POST", "/api/t", Reply::status(201)).input([json!({})]).run("send", json!({}));
        (ran.acked(), ran.waits().len(), ran.result().is_ok())
    };
    assert_eq!(sent("unsafe"), (0, 1, false));
    assert_eq!(sent("keyed"), (1, 2, true));
    assert_eq!(sent("idempotent"), (1, 2, true));
}

#[test]
fn a_test_tells_apart_what_may_be_wrong() {
    let manifest = source(json!({}));
    let tried = |reply: Reply| bench(&manifest).on("GET", "/api/me", reply).test();
    let good = tried(Reply::json(json!({"user": {"id": 1, "name": "ada"}})));
    assert_eq!(good.output(), json!({"status": 200, "user": "ada"}));
    let long = tried(Reply::json(json!({"user": {"id": 1, "name": "x".repeat(9_000)}})));
    assert_eq!(long.output()["user"].as_str().map(str::len), Some(256));
    let code = |reply: Reply| tried(reply).error().code.into_owned();
    assert_eq!(code(Reply::status(401)), "http.unauthorized");
    assert_eq!(code(Reply::bytes("<!doctype html><p>login")), "http.html_answer");
    assert_eq!(code(Reply::json(json!({"hello": 1}))), "declarative.another_system");
    assert_eq!(code(Reply::status(302)), "http.redirected");
}

#[test]
fn parameters_and_options_that_do_not_fit_are_refused_before_anything_is_sent() {
    let manifest = source(json!({"parameters": {"n": {"type": "integer", "required": true}}}));
    let refused = |params: Value| bench(&manifest).run("q", params);
    for params in [json!({}), json!({"n": "x"}), json!({"n": 1, "m": 2}), json!([])] {
        let ran = refused(params.clone());
        assert_eq!((&*ran.error().code, ran.calls().len()), ("connector.params_invalid", 0), "{params}");
    }
    let ran = bench(&manifest).options(json!({"desk": 5})).run("q", json!({"n": 1}));
    assert_eq!(ran.error().code, "connector.connection_invalid");
}

#[test]
fn answers_have_the_size_that_the_manifest_allows() {
    let mut manifest = source(json!({}));
    manifest["limits"] = json!({"answer_bytes": 100});
    let ran =
        bench(&manifest).on("GET", "/api/t", Reply::bytes(format!("[{}1]", "1,".repeat(200)))).run("q", json!({}));
    assert_eq!(ran.error().code, "http.answer_too_large");
}

#[test]
fn a_host_that_asks_to_stop_is_heard() {
    let manifest = source(json!({"expand": {"request": {"path": "/t/{{ record.id }}"}}}));
    let many: Vec<u64> = (1..50).collect();
    let reply = move |sent: &wherry_sdk::testing::Sent| {
        Some(Reply::json(if sent.path == "/api/t" { items(&many) } else { json!({"id": 1}) }))
    };
    let ran = bench(&manifest).cancelled_after(3).otherwise(reply).run("q", json!({}));
    assert_eq!(ran.error().kind, Kind::Cancelled);
    assert!(ran.calls().len() < 20, "{}", ran.calls().len());
}
