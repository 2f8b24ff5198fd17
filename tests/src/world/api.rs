//! The controller's REST interface, as an application uses it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest wait for an answer: longer than the longest `wait_ms`.
const LIMIT: Duration = Duration::from_secs(90);

/// A caller with a token.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    url: String,
    token: String,
}

/// What the controller said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is empty or not JSON.
    pub body: Value,
    request: String,
}

impl Api {
    /// A caller of the controller at `url`.
    ///
    /// # Errors
    /// If there is no TLS to be had.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        // A connection that was kept would break with the next controller that is killed.
        let client = Client::builder().timeout(LIMIT).no_proxy().pool_max_idle_per_host(0).build()?;
        Ok(Self { client, url: url.to_owned(), token: token.to_owned() })
    }

    /// The same caller with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Where a path of the interface is.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A request, to be given a body and sent with [`Api::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.address(path)).bearer_auth(&self.token)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let shown = format!("{} {}", request.method(), request.url().path());
        let answer = self.client.execute(request).await?;
        let status = answer.status().as_u16();
        let body = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
        Ok(Answer { status, body, request: shown })
    }

    /// Gets something.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Publishes a connector package.
    ///
    /// # Errors
    /// If no whole answer comes back.
    pub async fn publish(&self, package: Vec<u8>) -> Result<Answer> {
        let request = self.request(Method::POST, "/v1/connectors");
        self.send(request.header("content-type", "application/vnd.wherry.connector").body(package)).await
    }

    /// The bytes of an answer that says yes.
    ///
    /// # Errors
    /// If it says no or breaks off.
    pub async fn download(&self, method: Method, path: &str) -> Result<Vec<u8>> {
        let answer = self.client.execute(self.request(method, path).build()?).await?;
        Ok(answer.error_for_status()?.bytes().await?.to_vec())
    }

    /// Everything in a list, whatever its parts.
    ///
    /// # Errors
    /// If a part cannot be had.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let join = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut body = self.get(&format!("{path}{cursor}")).await?.accepted()?;
            let items = body.get_mut("items").map(Value::take).context("a list has no items")?;
            all.extend(serde_json::from_value::<Vec<T>>(items)?);
            match body.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("{join}cursor={next}"),
                None => return Ok(all),
            }
        }
    }
}

impl Answer {
    /// The body of an answer that says yes.
    ///
    /// # Errors
    /// If it says no.
    pub fn accepted(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "{} was answered {}: {}", self.request, self.status, self.body);
        Ok(self.body)
    }

    /// The body of an answer that says no with this status and this stable code.
    ///
    /// # Errors
    /// If it says anything else.
    pub fn refused(self, status: u16, code: &str) -> Result<Value> {
        if self.status != status || self.code() != code {
            let Self { status: got, body, request } = self;
            bail!("{request} was answered {got} {body}, not {status} {code}");
        }
        ensure!(
            self.body.get("detail").and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
            "{code} explains nothing"
        );
        Ok(self.body)
    }

    /// The stable code of a refusal, or nothing.
    pub fn code(&self) -> &str {
        self.body.get("code").and_then(Value::as_str).unwrap_or_default()
    }
}
