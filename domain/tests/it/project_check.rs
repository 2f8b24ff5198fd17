//! What the check says of faulty projects, and what the shape of a project refuses.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use wherry_domain::{
    effects::SideEffects,
    name::Name,
    project::{
        MAX_ENTRIES, Project,
        check::{ActivityFacts, ActivityKind, Connectors, Fault, Schemes, check, nearest, side_effects, unsupported},
    },
};

#[test]
fn a_sound_project_has_no_faults_with_or_without_known_connectors() {
    assert_eq!(faults(&desk()), []);
    assert_eq!(check(&project(&desk()), None), []);
}

#[test]
fn each_unknown_name_is_found_in_its_place_with_the_name_that_was_meant() {
    let cases = [
        ("/connections/helix/connector", json!("htttp"), "project.connector_unknown", Some("http")),
        ("/operations/copy/source/connection", json!("helx"), "project.connection_unknown", Some("helix")),
        ("/operations/copy/source/activity", json!("quary"), "project.activity_unknown", Some("query")),
        ("/operations/copy/target/activity", json!("query"), "project.activity_unknown", None),
        ("/operations/copy/on_failure", json!("notfy"), "project.operation_unknown", Some("notify")),
        ("/operations/copy/source/with/path", json!("/{{ vars.dsk }}"), "project.variable_unknown", Some("vars.desk")),
        ("/connections/helix/url", json!("https://{{ vars.sites }}/"), "project.variable_unknown", Some("vars.site")),
        ("/connections/helix/auth/username", json!("{{ vars.user }}"), "project.variable_unknown", None),
        ("/connections/helix/options/zone", json!(["{{ run.name }}"]), "project.variable_unknown", None),
        ("/connections/helix/connector", json!("zzz"), "project.connector_unknown", None),
    ];
    for (place, wrong, code, suggestion) in cases {
        let found = faults(&with(desk(), place, wrong));
        let [fault] = found.as_slice() else { panic!("{place}: {found:?}") };
        assert_eq!(fault.code.as_str(), code, "{place}");
        assert_eq!(fault.suggestion.as_deref(), suggestion, "{place}");
        assert_eq!(fault.path, place.split('/').skip(1).collect::<Vec<_>>());
    }
}

#[test]
fn this_machine_is_no_exception_for_a_connection_that_goes_through_a_proxy() {
    for (field, at) in [("url", "url"), ("auth", "auth")] {
        for (proxied, expected) in [(false, 0), (true, 1)] {
            let token_url = if field == "auth" { "http://localhost:8080/token" } else { "https://a.example/token" };
            let mut project = with(desk(), "/connections/helix/use_proxy", json!(proxied));
            let auth = json!({ "type": "oauth2", "grant": "client_credentials", "client_id": "c",
                "client_secret": { "secret": "x" }, "token_url": token_url });
            project["connections"]["helix"]["auth"] = if field == "auth" { auth } else { json!({ "type": "none" }) };
            if field == "url" {
                project["connections"]["helix"]["url"] = json!("http://localhost:8080");
            }
            let found = faults(&project);
            let hits = found.iter().filter(|fault| fault.path.get(2).is_some_and(|part| part == at)).count();
            assert_eq!(hits, expected, "{field} {proxied}: {found:?}");
        }
    }
}

#[test]
fn a_scheme_that_the_connector_does_not_name_is_refused_and_none_always_passes() {
    let project = project(&desk());
    let schemes = |known: &[&str]| {
        Schemes::from([("http".parse().unwrap(), known.iter().map(|name| (*name).to_owned()).collect())])
    };
    let found = unsupported(&project, &schemes(&["bearer", "oauth2"]));
    let [fault] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(fault.path, ["connections", "helix", "auth", "type"]);
    assert!(fault.message.ends_with("it has bearer, oauth2"), "{}", fault.message);
    for fine in [schemes(&["basic"]), schemes(&[]), Schemes::new()] {
        assert_eq!(unsupported(&project, &fine), []);
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let mut bad = with(desk(), "/connections/helix/url", json!("ftp://x"));
    bad = with(bad, "/operations/copy/retry", json!({ "attempts": 0, "base": "2d" }));
    bad = with(bad, "/operations/copy/timeout", json!("25h"));
    bad = with(bad, "/operations/notify/offline_term", json!("2d"));
    let found = faults(&bad);
    let codes: Vec<_> = found.iter().map(|fault| (fault.path.last().unwrap().as_str(), fault.code.as_str())).collect();
    let range = "project.out_of_range";
    let expected = [
        ("url", "project.url_invalid"),
        ("attempts", range),
        ("base", range),
        ("timeout", range),
        ("offline_term", range),
    ];
    assert_eq!(codes, expected);
}

#[test]
fn an_operation_may_be_stricter_than_its_activities_and_never_more_harmless() {
    for (claimed, faulty) in [("read", true), ("idempotent", false), ("keyed", false), ("unsafe", false)] {
        let document = with(desk(), "/operations/copy/side_effects", json!(claimed));
        let codes: Vec<_> = faults(&document).into_iter().map(|fault| fault.code.as_str().to_owned()).collect();
        let expected: &[&str] = if faulty { &["project.side_effects_widened"] } else { &[] };
        assert_eq!(codes, expected, "{claimed}");
        let project = project(&document);
        let class = side_effects(&project, &project.operations["copy"], &connectors());
        assert_eq!(class.as_str(), if faulty { "idempotent" } else { claimed });
    }
    let unknown = project(&with(desk(), "/connections/helix/connector", json!("zzz")));
    let class = side_effects(&unknown, &unknown.operations["copy"], &connectors());
    assert_eq!(class, SideEffects::Unsafe, "one unknown activity is enough");
}

#[test]
fn operations_that_start_each_other_in_a_circle_are_named() {
    let itself = with(desk(), "/operations/copy/on_success", json!("copy"));
    assert_eq!(cycle(&itself).as_deref(), Some("copy -> copy"));
    let pair = with(desk(), "/operations/notify/on_success", json!("copy"));
    assert_eq!(cycle(&pair).as_deref(), Some("copy -> notify -> copy"));
    let fork = with(
        with(desk(), "/operations/copy/on_success", json!("notify")),
        "/operations/copy/on_failure",
        json!("notify"),
    );
    assert_eq!(cycle(&fork), None, "two ways to one operation are no circle");
}

#[test]
fn the_longest_chain_does_not_overflow_the_stack() {
    let mut chain = project(&desk());
    let mut operation = chain.operations["notify"].clone();
    chain.operations.clear();
    let name = |number: usize| format!("op-{number}").parse::<Name>().unwrap();
    for number in 0..MAX_ENTRIES {
        operation.on_success = (number + 1 < MAX_ENTRIES).then(|| name(number + 1));
        chain.operations.insert(name(number), operation.clone());
    }
    let check_in_a_small_stack = |project: Project| {
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        thread.spawn(move || check(&project, None)).unwrap().join().unwrap()
    };
    assert_eq!(check_in_a_small_stack(chain.clone()), []);
    chain.operations.get_mut(&name(MAX_ENTRIES - 1)).unwrap().on_failure = Some(name(0));
    let [fault] = &check_in_a_small_stack(chain)[..] else { panic!("one fault") };
    assert_eq!(fault.code.as_str(), "project.operation_cycle");
    assert!(fault.message.len() < 200, "{}", fault.message);
}

#[test]
fn a_url_has_a_web_scheme_and_a_host_and_hides_no_user() {
    for good in [
        "https://a",
        "https://a.example:8080/x?y#z",
        "https://[2001:db8::1]",
        "https://[::1]:8443/",
        "https://{{ vars.site }}.example.com",
        "https://a/@b",
    ] {
        assert_eq!(faults(&with(desk(), "/connections/helix/url", json!(good))), [], "{good}");
    }
    for bad in [
        "",
        "a.example",
        "//a",
        "https://",
        "https:///x",
        "https://?x",
        "https://:443",
        "https://a:",
        "https://a:0",
        "https://a:65536",
        "https://a:+1",
        "https://a:8o",
        "https://u:p@a",
        "https://a@b",
        "ftp://a",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://a b",
        "https://a\nb",
        "https://a\\@b",
        "https://a\u{0}",
        "HTTPS://a\t",
        " https://a",
    ] {
        let found = faults(&with(desk(), "/connections/helix/url", json!(bad)));
        let codes: Vec<_> = found.iter().map(|fault| fault.code.as_str()).collect();
        assert_eq!(codes, ["project.url_invalid"], "{bad:?}");
    }
}

#[test]
fn a_project_larger_than_its_limits_is_not_looked_into() {
    let mut large = project(&with(desk(), "/connections/helix/url", json!("ftp://x")));
    for number in 0..MAX_ENTRIES {
        large.variables.insert(format!("v{number}").parse().unwrap(), Value::Null);
    }
    let [fault] = &check(&large, None)[..] else { panic!("one fault") };
    assert_eq!((fault.code.as_str(), fault.path.as_slice()), ("project.out_of_range", &["variables".to_owned()][..]));
}

#[test]
fn suggestions_stop_before_a_stranger_can_make_them_expensive() {
    let mut hostile = project(&desk());
    let template = hostile.operations["notify"].clone();
    hostile.operations.clear();
    for number in 0..MAX_ENTRIES {
        let mut operation = template.clone();
        operation.on_success = Some(format!("{number:y>63}").parse().unwrap());
        hostile.operations.insert(format!("{number:x>63}").parse().unwrap(), operation);
    }
    let endless = format!("https://{{{{ vars.{} }}}}", "x".repeat(1 << 20));
    hostile.connections.values_mut().for_each(|connection| connection.url.clone_from(&endless));
    let found = check(&hostile, None);
    assert_eq!(found.len(), MAX_ENTRIES + 2);
    assert!(found.iter().filter(|fault| fault.suggestion.is_some()).count() <= 20);
}

#[test]
fn what_the_shape_does_not_know_is_refused_everywhere() {
    for place in [
        "/more",
        "/connections/helix/more",
        "/connections/helix/auth/more",
        "/connections/helix/auth/password/more",
        "/operations/copy/more",
        "/operations/copy/source/more",
        "/operations/copy/retry/more",
        "/connections/plain/auth/more",
    ] {
        let document = with(desk(), place, json!(1));
        assert!(serde_json::from_value::<Project>(document).is_err(), "{place}");
    }
    for (place, value) in [
        ("/name", json!("Desk")),
        ("/connections/helix/auth", json!({ "type": "digest" })),
        ("/connections/helix/auth/password", json!("plain text")),
        ("/operations/copy/timeout", json!("5 minutes")),
        ("/operations/copy/timeout", json!(5)),
        ("/operations/copy/side_effects", json!("harmless")),
        ("/operations/copy/retry/attempts", json!(-1)),
    ] {
        assert!(serde_json::from_value::<Project>(with(desk(), place, value)).is_err(), "{place}");
    }
}

#[test]
fn a_project_reads_back_what_it_wrote() {
    let project = project(&desk());
    let text = serde_json::to_string(&project).unwrap();
    assert_eq!(serde_json::from_str::<Project>(&text).unwrap(), project);
    for fault in check(&project, Some(&Connectors::new())) {
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
    }
}

proptest! {
    #[test]
    fn a_suggestion_is_never_far_from_what_was_written(wrong in ".{0,30}", known in prop::collection::vec("[a-z]{1,12}", 0..8)) {
        let found = nearest(&wrong, known.iter().map(String::as_str));
        if let Some(name) = &found {
            prop_assert!(known.contains(name));
            let off = name.chars().count().abs_diff(wrong.chars().count());
            prop_assert!(off * 3 <= name.chars().count().max(3));
        }
        prop_assert!(!known.contains(&wrong) || found.as_deref() == Some(wrong.as_str()));
    }

    #[test]
    fn no_text_in_any_place_makes_the_check_panic(text in "\\PC{0,40}|[{} .a-z]{0,40}", place in 0..6_usize) {
        let places = [
            "/connections/helix/url", "/connections/helix/auth/username", "/connections/helix/options/zone",
            "/operations/copy/source/activity", "/operations/copy/source/with/path", "/variables/desk",
        ];
        faults(&with(desk(), places[place], json!(text)));
    }
}

pub(super) fn desk() -> Value {
    json!({
        "name": "desk",
        "variables": { "desk": 7, "site": "ber" },
        "connections": {
            "helix": {
                "connector": "http",
                "url": "https://{{ vars.site }}.helix.example.com:8443/api",
                "auth": { "type": "basic", "username": "desk", "password": { "secret": "helix-password" } },
                "use_proxy": true,
                "options": { "zone": "{{ vars.site }}" },
            },
            "plain": { "connector": "http", "url": "http://localhost:1", "auth": { "type": "none" } },
        },
        "operations": {
            "copy": {
                "source": { "connection": "helix", "activity": "query", "with": { "path": "/{{ vars.desk }}/{{ record.id }}" } },
                "target": { "connection": "plain", "activity": "send" },
                "retry": { "attempts": 5, "backoff": "exponential" },
                "timeout": "5m",
                "on_failure": "notify",
            },
            "notify": { "source": { "connection": "plain", "activity": "query" } },
        },
    })
}

fn connectors() -> Connectors {
    let facts = |kind, side_effects| ActivityFacts { kind, side_effects };
    let http = BTreeMap::from([
        ("query".to_owned(), facts(ActivityKind::Source, SideEffects::Read)),
        ("send".to_owned(), facts(ActivityKind::Target, SideEffects::Idempotent)),
    ]);
    Connectors::from([("http".parse().unwrap(), http)])
}

/// Sets the value at a JSON pointer, adding the last key if need be.
pub(super) fn with(mut document: Value, place: &str, value: Value) -> Value {
    let (parent, key) = place.rsplit_once('/').unwrap();
    document.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().insert(key.to_owned(), value);
    document
}

pub(super) fn project(document: &Value) -> Project {
    serde_json::from_value(document.clone()).unwrap()
}

pub(super) fn faults(document: &Value) -> Vec<Fault> {
    check(&project(document), Some(&connectors()))
}

fn cycle(document: &Value) -> Option<String> {
    let fault = faults(document).into_iter().find(|fault| fault.code.as_str() == "project.operation_cycle")?;
    fault.message.rsplit_once(": ").map(|(_, circle)| circle.to_owned())
}
