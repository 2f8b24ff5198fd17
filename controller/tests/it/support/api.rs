//! The REST API without a network.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::Value;
use tower::ServiceExt;
use wherry_controller::{
    model::Scope,
    web::{Web, router},
};
use wherry_daemon::{audits::Audits, store::Integrity};
use wherry_trust::{access::AccessToken, token::SpkiPin};

use super::{Bench, soon};

/// More than any answer of a test.
const MAX_ANSWER: usize = 64 << 20;

/// The API of a ledger, called with an administrator's token unless a test says otherwise.
pub(crate) struct Api {
    pub(crate) bench: Bench,
    pub(crate) token: String,
    pub(crate) router: Router,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Api {
    pub(crate) async fn of(bench: Bench) -> Self {
        Self::with_audit(bench, Integrity::Sound { records: 1 }).await
    }

    /// With a store in which `found` was found when it was opened.
    pub(crate) async fn with_audit(bench: Bench, found: Integrity) -> Self {
        let secret = AccessToken::generate().unwrap();
        bench.ledger.first_administrator(&secret).await.unwrap();
        let shared = Web {
            ledger: bench.ledger.clone(),
            clock: bench.clock.clone(),
            pin: Arc::new(SpkiPin::of_spki(b"root")),
            agent_endpoint: "https://controller.example:8444".into(),
            redirect_uri: "https://controller.example:8443/oauth/callback".into(),
            audits: Audits::by(Arc::new(|| Integrity::Unchecked), found, bench.clock.clone()),
        };
        Self { router: router(shared), token: secret.reveal().to_string(), bench }
    }

    /// Another token of these scopes.
    pub(crate) async fn token(&self, scopes: &[Scope], expires_in_s: Option<u64>) -> String {
        let (who, called) = ("test".to_owned(), format!("{scopes:?}").to_lowercase());
        let made = self.bench.ledger.create_access_token(who, called, scopes.to_vec(), expires_in_s).await.unwrap();
        made.1.reveal().to_string()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, Body::empty())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.json(path, body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        let mut request = self.json(path, body);
        *request.method_mut() = Method::PUT;
        self.send(request).await
    }

    /// A request with a JSON body, to be changed before it is sent.
    pub(crate) fn json(&self, path: &str, body: &Value) -> Request<Body> {
        let mut request = self.request(Method::POST, path, Body::from(body.to_string()));
        request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        request
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Body) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        request.header(header::AUTHORIZATION, format!("Bearer {}", self.token)).body(body).unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let bytes = soon(to_bytes(body, MAX_ANSWER)).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// The answer with its body still to come.
    pub(crate) async fn open(&self, request: Request<Body>) -> axum::response::Response {
        soon(self.router.clone().oneshot(request)).await.unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{} is not JSON", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body of an answer with this status.
    pub(crate) fn with(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The code of a problem, which is told in its whole form.
    pub(crate) fn problem(self, status: u16) -> String {
        let problem = self.json();
        assert_eq!((self.status.as_u16(), &problem["status"]), (status, &Value::from(status)), "{problem}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{problem}");
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("docs/errors/{code}.md"));
        assert!(problem["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{problem}");
        let words = |key: &str| problem[key].as_str().is_some_and(|text| text.len() > 3);
        assert!(words("title") && words("detail"), "{problem}");
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors").join(format!("{code}.md"));
        assert!(page.is_file(), "{code} has no page");
        code
    }
}
