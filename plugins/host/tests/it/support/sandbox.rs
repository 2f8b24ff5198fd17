//! The simulated systems as a process: `wherry-sandbox`, from `$WHERRY_BIN_DIR` or the target folder, where it is built
//! if need be. Only its program is used: the host knows nothing of the tests' other crates.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::components::PLUGINS;
use super::{Invocation, egress::ToServer, invoke};

/// The look-alike of Jira Service Management; it ends with this value.
pub(crate) struct Sandbox {
    process: Child,
    authority: String,
    token: String,
    customer: String,
    cloud_id: Option<String>,
}

impl Sandbox {
    /// Starts it as this flavour, with so many requests.
    pub(crate) fn start(flavour: &str, requests: usize) -> Self {
        let mut command = Command::new(program());
        command.args(["--flavour", flavour, "--requests", &requests.to_string()]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let greeting: Value = serde_json::from_str(&line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            process,
            authority: text(&greeting["url"]).trim_start_matches("http://").to_owned(),
            token: text(&greeting["jsm"]["token"]),
            customer: text(&greeting["jsm"]["customer"]["token"]),
            cloud_id: greeting["jsm"]["cloud_id"].as_str().map(str::to_owned),
        }
    }

    /// An invocation as an agent of the desks. Tokens go in as bearers, on Cloud behind the gateway.
    pub(crate) fn invoke(&self, activity: &str, params: &Value) -> Invocation {
        self.invoke_as(&self.token, activity, params)
    }

    /// The same as a customer.
    pub(crate) fn invoke_as_customer(&self, activity: &str, params: &Value) -> Invocation {
        self.invoke_as(&self.customer, activity, params)
    }

    /// The same with any token.
    pub(crate) fn invoke_as(&self, token: &str, activity: &str, params: &Value) -> Invocation {
        let url = format!("http://{}{}", self.authority, self.base());
        let connection = json!({ "url": url, "options": {} }).to_string();
        let egress = ToServer::new(&self.authority).presenting(&format!("Bearer {token}"));
        invoke(activity, params).egress(egress).task(|task| task.connection = connection)
    }

    /// The path of the site.
    pub(crate) fn base(&self) -> String {
        self.cloud_id.as_ref().map(|id| format!("/ex/jira/{id}")).unwrap_or_default()
    }

    /// One rule for how answers below a path of the site go wrong.
    pub(crate) fn misbehave(&self, path: &str, rule: &Value) {
        let mut rule = rule.clone();
        rule["path"] = json!(format!("{}{path}", self.base()));
        self.control("PUT", "/_sandbox/faults", &json!([rule]));
    }

    /// What was changed: how many requests were created, how many comments written.
    pub(crate) fn ledger(&self) -> Value {
        self.control("GET", "/_sandbox/ledger", &Value::Null)
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{answer}");
        serde_json::from_str(body).unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    if let Some(folder) = std::env::var_os("WHERRY_BIN_DIR") {
        return Path::new(&folder).join("wherry-sandbox");
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("debug/wherry-sandbox");
    if !built.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let status = Command::new(cargo).args(["build", "--package", "wherry-sandbox"]).current_dir(PLUGINS).status();
        assert!(status.unwrap().success(), "wherry-sandbox does not build");
    }
    built
}
