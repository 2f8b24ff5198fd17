//! The OpenAPI document: what is published is what is served.

use std::path::Path;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};

use crate::support::{Api, Bench, Disk};

/// What answers anyone, and is not in the document.
const OPEN: [&str; 2] = ["/healthz", "/openapi.json"];

#[test]
fn the_published_document_is_the_one_that_the_code_makes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let generated = wherry_controller::web::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let published = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        published == generated,
        "docs/openapi.json is not up to date: run this test with UPDATE=1 and look at the diff"
    );
}

#[test]
fn every_operation_says_that_whatever_goes_wrong_is_a_problem() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
    let mut problems = 0;
    for operation in operations {
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.contains_key("default"), "{operation}");
        for (status, answer) in answers.iter().filter(|(status, _)| !status.starts_with('2')) {
            let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{status} of {operation}");
            problems += 1;
        }
    }
    assert!(problems > 80, "{problems}");
}

#[tokio::test]
async fn every_route_of_the_document_is_served_and_refuses_a_caller_without_a_token() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let routes = routes();
    assert!(routes.len() > 35, "{}", routes.len());
    for (method, path) in routes {
        let mut request = api.request(method.clone(), &path, Body::from("{}"));
        request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        let answer = api.open(request).await;
        assert_ne!(answer.status(), 405, "{method} {path}");
        if answer.status() == 404 {
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_ne!(problem["code"], "request.path_unknown", "{method} {path}");
        }
        let stranger = Request::builder().method(method.clone()).uri(&path).body(Body::empty()).unwrap();
        assert_eq!(api.send(stranger).await.problem(401), "auth.token_missing", "{method} {path}");
    }
}

#[tokio::test]
async fn health_and_document_are_open_to_anyone() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    for path in OPEN {
        let answer = api.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}");
        if path == "/openapi.json" {
            assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
            assert_eq!(answer.json(), document());
        } else {
            assert_eq!(answer.text(), "ok");
        }
    }
}

#[test]
fn the_document_says_that_a_token_is_needed() {
    let document = document();
    let (name, scheme) = document["components"]["securitySchemes"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    assert!(document["security"].as_array().unwrap().iter().any(|needed| needed.get(name).is_some()));
    assert!(!document.to_string().contains("/healthz"));
}

fn document() -> Value {
    serde_json::to_value(wherry_controller::web::document()).unwrap()
}

/// Every route, with something that fits in place of each parameter.
fn routes() -> Vec<(Method, String)> {
    let document = document();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{environment}", "prod")
            .replace("{operation}", "look")
            .replace("{connection}", "tracker")
            .replace("{run}", "run_00000000000000000000000000000001")
            .replace("/deployments/{id}", "/deployments/dep_00000000000000000000000000000001")
            .replace(['{', '}'], "");
        let methods = operations.as_object().unwrap().keys();
        routes.extend(methods.filter_map(|verb| {
            let verbs = ["get", "post", "put", "patch", "delete"];
            verbs.contains(&verb.as_str()).then(|| (verb.to_uppercase().parse().unwrap(), path.clone()))
        }));
    }
    routes
}
