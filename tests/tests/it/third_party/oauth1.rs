//! OAuth 1.0a signatures of a running agent, judged by two libraries from PyPI that Wherry shares no line with: `oauthlib`
//! as the server, `authlib` as a second opinion.

use std::{env, fs, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use wherry_tests::world::{Connection, ENVIRONMENT, Operation, Process, Project, World, wait};

use super::prism::Prism;

/// Serves `GET /items` and takes `POST /sink`, both only for requests with a good signature, and writes down what it saw.
/// Its credentials and its key are its own: it leaves them in a folder for the test.
const SERVER: &str = r#"
import json, sys, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oauthlib.oauth1 import RequestValidator, ResourceEndpoint
from authlib.oauth1.rfc5849.wrapper import OAuth1Request
from authlib.oauth1.rfc5849 import signature as second

folder = sys.argv[1]
consumer, secret = "wherryConsumer0000000001", "consumer&secret=%"
token, token_secret = "accessToken0000000000001", "token secret \u00e9"
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
seen, lock = [], threading.Lock()
nonces = set()

class Validator(RequestValidator):
    enforce_ssl = False
    dummy_client = "dummyConsumer00000000001"
    dummy_access_token = "dummyToken00000000000001"
    def validate_client_key(self, client_key, request): return client_key == consumer
    def validate_access_token(self, client_key, t, request): return t == token
    def validate_timestamp_and_nonce(self, client_key, timestamp, nonce, request, request_token=None, access_token=None):
        with lock:
            fresh = (timestamp, nonce) not in nonces
            nonces.add((timestamp, nonce))
        return fresh
    def validate_realms(self, client_key, t, request, uri=None, realms=None): return True
    def get_client_secret(self, client_key, request): return secret
    def get_access_token_secret(self, client_key, t, request): return token_secret
    def get_rsa_key(self, client_key, request): return public.decode()

class Known:
    def get_client_secret(self): return secret
    def get_oauth_token_secret(self): return token_secret
    def get_rsa_public_key(self): return public.decode()

endpoint = ResourceEndpoint(Validator())
checks = {"HMAC-SHA1": second.verify_hmac_sha1, "RSA-SHA1": second.verify_rsa_sha1}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *ignored): pass
    def say(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def judge(self):
        if self.path == "/seen":
            with lock: return self.say(200, seen)
        if self.headers.get("transfer-encoding"):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        uri = "http://" + self.headers["host"] + self.path
        form = "form-urlencoded" in self.headers.get("content-type", "")
        headers = {name.title(): value for name, value in self.headers.items()}
        valid, request = endpoint.validate_protected_resource_request(uri, self.command, body.decode() if form else None, headers)
        method = request.signature_method if request else None
        again = None
        if method in checks:
            other = OAuth1Request(self.command, uri, dict(), headers)
            other.client = other.credential = Known()
            again = bool(checks[method](other))
        with lock: seen.append({"line": self.command + " " + self.path, "method": method, "valid": bool(valid), "again": again})
        if not valid: return self.say(401, {"error": "signature"})
        self.say(200, [{"n": n} for n in range(3)] if self.command == "GET" else {})
    do_GET = do_POST = judge

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
given = {"consumer_key": consumer, "consumer_secret": secret, "token": token, "token_secret": token_secret,
         "key": pem.decode(), "url": "http://127.0.0.1:%d" % server.server_port}
with open(os.path.join(folder, "given.part"), "w") as file: json.dump(given, file)
os.rename(os.path.join(folder, "given.part"), os.path.join(folder, "given"))
server.serve_forever()
"#;

#[tokio::test]
async fn signatures_of_every_method_are_accepted_by_a_server_of_others() -> Result<()> {
    let Some(_) = Prism::wanted() else { return Ok(()) };
    let Some(python) = env::var_os("WHERRY_PYTHON") else {
        eprintln!("skipped: there is no Python with an OAuth 1.0 server");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("server.log");
    let mut command = Command::new(python);
    command.args(["-c", SERVER]).arg(folder.path()).stdout(Stdio::null());
    let _server = Process::start("oauth1 server", command, &log)?;
    let file = folder.path().join("given");
    wait::within(Duration::from_secs(60), "the server listens", async || Ok(file.exists().then_some(()))).await?;
    let given: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let text = |name: &str| given[name].as_str().map(str::to_owned).context("a text");
    let url = text("url")?;
    let world = World::start().await?.with_desk().await?;
    let agent = world.agent("eu-1").await?;
    for name in ["consumer_secret", "token", "token_secret", "key"] {
        agent.learn(ENVIRONMENT, &name.replace('_', "-"), &text(name)?).await?;
    }
    let consumer = text("consumer_key")?;
    let auth = |method: &str| {
        let secret = |name: &str| json!({ "secret": name });
        let mut auth = json!({
            "type": "oauth1", "signature_method": method, "consumer_key": consumer, "token": secret("token"),
            "token_secret": secret("token-secret"), "realm": "Desk",
        });
        match method {
            "RSA-SHA1" => auth["certificate"] = json!({ "type": "PEMKEY_BLOB", "store": { "secret": "key" } }),
            _ => auth["consumer_secret"] = secret("consumer-secret"),
        }
        auth
    };
    let query = json!({ "path": "/items", "query": { "c@": "r b/\u{e4}+~", "a2": "", "b5": "=%3D", "A": "1" } });
    let mut project = Project::named("signed");
    let methods = ["HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1"];
    for method in methods {
        let name = method.to_lowercase();
        project = project.connection(&name, Connection::to(&url).set("auth", auth(method)));
        let operation = Operation::from(&name, "query", query.clone());
        project =
            project.operation(&name, operation.to(&name, "send", json!({ "path": "/sink", "query": { "x": "y z" } })));
    }
    world.deploy(&project).await?;
    for method in methods {
        let run = world.run(&method.to_lowercase()).end().await?.succeeded()?;
        assert_eq!((run.counts.read, run.counts.written), (3, 3), "{method}");
    }
    let seen: Vec<Value> = seen_by(&url).await?;
    for method in methods {
        let of = seen.iter().filter(|entry| entry["method"] == method).collect::<Vec<_>>();
        assert_eq!(of.len(), 4, "one page and three records: {seen:?}");
        let second = if method == "HMAC-SHA256" { Value::Null } else { json!(true) };
        for entry in of {
            assert_eq!((&entry["valid"], &entry["again"]), (&json!(true), &second), "{entry}");
        }
    }
    ensure!(seen.len() == 12, "{seen:?}");
    world.close().await
}

async fn seen_by(url: &str) -> Result<Vec<Value>> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    Ok(client.get(format!("{url}/seen")).send().await?.json().await?)
}
