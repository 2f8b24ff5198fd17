//! The look-alike of Jira Service Management, as its callers see it.

mod access;
mod changes;
mod faults;
mod over_http;
mod paging;
mod platform;
mod requests;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use wherry_sandbox::{Account, Flavour, Sandbox, Settings};

const DESK: &str = "/rest/servicedeskapi";

/// A site with whom to ask as.
struct Site {
    sandbox: Arc<Sandbox>,
    account: Option<Account>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The body of an answer that is as it should be.
    fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }
}

impl Site {
    fn cloud(requests: usize) -> Self {
        Self::new(Flavour::Cloud, requests)
    }

    fn data_center(requests: usize) -> Self {
        Self::new(Flavour::DataCenter, requests)
    }

    fn new(flavour: Flavour, requests: usize) -> Self {
        let sandbox = Sandbox::with(Settings { requests, flavour, base: "http://desk.test".to_owned() });
        let account = Some(sandbox.agent().clone());
        Self { sandbox, account }
    }

    fn as_customer(&self) -> Self {
        Self { sandbox: self.sandbox.clone(), account: Some(self.sandbox.customer().clone()) }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(Account { user, token, .. }) = &self.account {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{token}"))));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = self.sandbox.clone().router().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes().to_vec();
        Answer { status, headers, bytes }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, &[]).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(&body), &[]).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, Some(&body), &[]).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None, &[]).await
    }

    async fn ledger(&self) -> Value {
        self.get("/_sandbox/ledger").await.ok()
    }
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}
