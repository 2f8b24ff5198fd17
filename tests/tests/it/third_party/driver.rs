//! Sends requests to the sandbox through Prism and fails on whatever the vendor's description does not know: a path,
//! a parameter, a body, a status, an answer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use wherry_tests::world::{Programs, Sandbox};

use super::{
    description::Description,
    prism::{Prism, Running},
};

/// A sandbox behind Prism.
pub(super) struct Driver {
    pub(super) sandbox: Sandbox,
    description: Description,
    proxy: Running,
    client: Client,
    base: &'static str,
    driven: BTreeSet<(String, String)>,
    _folder: TempDir,
}

/// A body.
pub(super) enum Sent<'a> {
    Nothing,
    Json(&'a Value),
    /// A text file in a form.
    File(&'a str),
}

impl Driver {
    /// `base` goes before every path.
    pub(super) async fn start(prism: &Prism, flavour: &str, spec: &str, base: &'static str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("wherry-third-party-").tempdir()?;
        let (sandbox_log, log) = (folder.path().join("sandbox.log"), folder.path().join("prism.log"));
        let arguments = ["--requests", "60", "--flavour", flavour];
        let sandbox = Sandbox::alone(&Programs::find()?, &arguments, &sandbox_log).await?;
        let spec = adapted(&prism.spec(spec), flavour, folder.path())?;
        let description = Description::read(&spec)?;
        let proxy = prism.proxy(&spec, &sandbox.url, &log).await?;
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { sandbox, description, proxy, client, base, driven: BTreeSet::new(), _folder: folder })
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Value> {
        self.call("GET", path, Sent::Nothing, 200).await
    }

    pub(super) async fn post(&mut self, path: &str, body: Value, expected: u16) -> Result<Value> {
        self.call("POST", path, Sent::Json(&body), expected).await
    }

    pub(super) async fn put(&mut self, path: &str, body: Value, expected: u16) -> Result<Value> {
        self.call("PUT", path, Sent::Json(&body), expected).await
    }

    pub(super) async fn delete(&mut self, path: &str, body: Option<Value>, expected: u16) -> Result<Value> {
        self.call("DELETE", path, body.as_ref().map_or(Sent::Nothing, Sent::Json), expected).await
    }

    /// One request; fails unless description and Prism have nothing against it and the status is the expected one.
    pub(super) async fn call(&mut self, method: &str, path: &str, body: Sent<'_>, expected: u16) -> Result<Value> {
        let path = format!("{}{path}", self.base);
        let (bare, query) = path.split_once('?').unwrap_or((&path, ""));
        let operation = self.description.find(method, bare).with_context(|| format!("{method} {bare} is unknown"))?;
        for parameter in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            ensure!(operation.parameters.contains(name), "{method} {bare} has no parameter {name}");
        }
        ensure!(operation.answers.contains(&expected.to_string()), "{method} {bare} never answers {expected}");
        let answer = self.send(method, &path, body).await?;
        let (status, violations) = (answer.status().as_u16(), answer.headers().get("sl-violations").cloned());
        let problem =
            answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes().ends_with(b"problem+json"));
        let text = answer.text().await?;
        ensure!(violations.is_none() && !problem, "{method} {path}: {violations:?} {text}");
        ensure!(status == expected, "{method} {path}: {status} instead of {expected}: {text}");
        self.driven.insert((method.to_owned(), operation.template.clone()));
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text).unwrap_or(Value::String(text))) }
    }

    /// A request of which Prism is expected to complain; whether it does.
    pub(super) async fn is_objected_to(&self, method: &str, path: &str, body: Sent<'_>) -> Result<bool> {
        let answer = self.send(method, &format!("{}{path}", self.base), body).await?;
        let problem =
            answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes().ends_with(b"problem+json"));
        Ok(problem || answer.headers().contains_key("sl-violations"))
    }

    async fn send(&self, method: &str, path: &str, body: Sent<'_>) -> Result<Response> {
        let jsm = &self.sandbox.jsm;
        let request = self.client.request(Method::from_bytes(method.as_bytes())?, format!("{}{path}", self.proxy.url));
        let request = request.basic_auth(&jsm.user, Some(&jsm.token)).header("x-experimentalapi", "opt-in");
        let request = match body {
            Sent::Nothing => request,
            Sent::Json(body) => request.json(body),
            Sent::File(text) => {
                let head = "Content-Disposition: form-data; name=\"file\"; filename=\"note.txt\"";
                let form = format!("--edge\r\n{head}\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--edge--\r\n");
                let request = request.header("content-type", "multipart/form-data; boundary=edge");
                request.header("x-atlassian-token", "no-check").body(form)
            }
        };
        Ok(request.send().await?)
    }

    /// Fails if the sandbox answers an operation of the description that was not driven, or the other way round. The
    /// gate of the sandbox tells: it asks for credentials where there is a path, and nowhere else; who has them learns
    /// whether there is a method.
    pub(super) async fn drove_everything_but(&self, except: &[&str]) -> Result<()> {
        self.proxy.has_nothing_to_complain_about()?;
        let mut forgotten = Vec::new();
        for operation in self.description.operations() {
            let (jsm, url) = (&self.sandbox.jsm, format!("{}{}", self.sandbox.url, operation.example()));
            let ask =
                || Ok::<_, anyhow::Error>(self.client.request(Method::from_bytes(operation.method.as_bytes())?, &url));
            let bare = ask()?.send().await?.status().as_u16();
            let known = ask()?.basic_auth(&jsm.user, Some(&jsm.token)).send().await?.status().as_u16();
            let served = bare != 404 && known != 405 && !except.contains(&operation.template.as_str());
            if served != self.driven.contains(&(operation.method.clone(), operation.template.clone())) {
                forgotten.push(format!("{} {} ({bare}, {known})", operation.method, operation.template));
            }
        }
        ensure!(forgotten.is_empty(), "driven but not served, or the other way round: {forgotten:#?}");
        Ok(())
    }
}

/// The description as it fits a flavour: the one at hand is of Cloud's third version, and Data Center has the second,
/// which differs in how texts look. It also calls the body of an upload a text or a list, where everybody sends a form
/// with a part named `file`; Prism would refuse every form.
fn adapted(spec: &Path, flavour: &str, folder: &Path) -> Result<PathBuf> {
    let mut text = fs::read_to_string(spec)?;
    if flavour != "cloud" {
        text = text.replace("/rest/api/3/", "/rest/api/2/");
    }
    let mut tree: Value = serde_json::from_str(&text)?;
    let methods = tree["paths"].as_object_mut().context("no paths")?.values_mut().filter_map(Value::as_object_mut);
    for operation in methods.flat_map(|methods| methods.values_mut()) {
        if let Some(form) = operation.pointer_mut("/requestBody/content/multipart~1form-data") {
            *form = json!({ "schema": { "type": "object", "required": ["file"] } });
        }
    }
    let copy = folder.join("description.json");
    fs::write(&copy, tree.to_string())?;
    Ok(copy)
}
