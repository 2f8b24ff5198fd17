//! A provider of OAuth 2.0 with a system behind it: it rotates refresh tokens, revokes a family in which one is used
//! twice, wants PKCE and the client's secret, and counts everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use wherry_trust::keys::sha256;

/// Largest request that is read.
const MAX_REQUEST: usize = 64 << 10;

/// A provider, gone when it is dropped.
pub struct Provider {
    /// Where it is.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

/// What a client is called, and proves itself with.
pub const CLIENT: (&str, &str) = ("wherry-client", "secret of the client");
/// Whose account everybody is signed in to.
pub const ACCOUNT: &str = "ada@example.org";

/// What happened at a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Codes that became tokens.
    pub redeemed: usize,
    /// Refreshes that gave new tokens.
    pub refreshed: usize,
    /// Refresh tokens that were used a second time: the family is dead.
    pub reused: usize,
    /// Families that were given back.
    pub revoked: usize,
    /// Token requests that were turned away.
    pub refused: usize,
    /// Requests to the system behind with a good token.
    pub served: usize,
}

#[derive(Default)]
struct State {
    issuer: String,
    /// Life of access tokens in seconds, as it is told.
    life: u64,
    next: u64,
    codes: BTreeMap<String, Asked>,
    used_codes: BTreeSet<String>,
    /// Family of each access and refresh token that is good.
    access: BTreeMap<String, u64>,
    refresh: BTreeMap<String, u64>,
    spent: BTreeMap<String, u64>,
    counts: Counts,
}

/// What a code was asked for.
struct Asked {
    redirect_uri: String,
    challenge: String,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    authorization: String,
    form: BTreeMap<String, String>,
}

type Reply = (&'static str, Vec<(&'static str, String)>, Value);

impl Provider {
    /// A provider whose access tokens live for `life` seconds.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(life: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = State { issuer: format!("http://{address}"), life, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut held = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while held.try_join_next().is_some() {}
                held.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, state, _server: server })
    }

    /// The `auth` of a connection that signs in here by a person's consent.
    pub fn auth(&self, secret: &str) -> Value {
        let at = |path: &str| format!("http://{}{path}", self.address);
        json!({
            "type": "oauth2",
            "grant": "authorization_code",
            "client_id": CLIENT.0,
            "client_secret": { "secret": secret },
            "issuer": at(""),
            "authorization_url": at("/authorize"),
            "token_url": at("/token"),
            "revocation_url": at("/revoke"),
            "scope": "read",
        })
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }

    /// A person who consents: follows the address as a browser does, and gives the address it is sent back to.
    ///
    /// # Errors
    /// If the provider does not send it back.
    pub async fn consent(&self, url: &str) -> Result<String> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = client.timeout(std::time::Duration::from_secs(10)).build()?;
        let answer = client.get(url).send().await?;
        ensure!(answer.status().as_u16() == 302, "the provider answered {}", answer.status());
        let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
        location.map(str::to_owned).context("the provider sent the browser nowhere")
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(request) = read(&mut stream).await else { return };
    let (status, headers, body) = state.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n{headers}\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    // Whoever hung up does not want the answer.
    drop(stream.write_all(answer.as_bytes()).await);
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
    let (head, length) = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
            let length = header(&head, "content-length").parse::<usize>().unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                bytes.drain(..end + 4);
                break (head, length);
            }
        }
        let read = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(chunk.get(..read).filter(|read| !read.is_empty())?);
        if bytes.len() > MAX_REQUEST {
            return None;
        }
    };
    let mut line = head.lines().next()?.split(' ');
    let (method, target) = (line.next()?.to_owned(), line.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let form = String::from_utf8_lossy(bytes.get(..length)?).into_owned();
    Some(Request {
        method,
        path: path.to_owned(),
        query: pairs(query),
        authorization: header(&head, "authorization"),
        form: pairs(&form),
    })
}

fn header(head: &str, name: &str) -> String {
    let found = head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// Names and values of a query or form.
pub fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, left @ ..]) => {
                let hex = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                out.push(hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0));
                rest = left;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/authorize") => self.authorize(request),
            ("POST", "/token") => self.token(request),
            ("POST", "/revoke") => self.revoke(request),
            ("GET", _) => self.system(request),
            _ => ("405 Method Not Allowed", Vec::new(), Value::Null),
        }
    }

    fn authorize(&mut self, request: &Request) -> Reply {
        let given = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let right = given("client_id") == CLIENT.0
            && given("response_type") == "code"
            && given("code_challenge_method") == "S256"
            && !given("code_challenge").is_empty();
        if !right {
            return ("400 Bad Request", Vec::new(), json!({ "error": "invalid_request" }));
        }
        let code = self.fresh("code");
        let redirect_uri = given("redirect_uri");
        let (state, iss) = (encoded(&given("state")), encoded(&self.issuer));
        let location = format!("{redirect_uri}?code={code}&state={state}&iss={iss}");
        self.codes.insert(code, Asked { redirect_uri, challenge: given("code_challenge") });
        ("302 Found", vec![("location", location)], Value::Null)
    }

    fn token(&mut self, request: &Request) -> Reply {
        let given = |name: &str| request.form.get(name).cloned().unwrap_or_default();
        let client = format!("{}:{}", encoded_client(CLIENT.0), encoded_client(CLIENT.1));
        if request.authorization != format!("Basic {}", STANDARD.encode(client)) {
            return self.refuse("401 Unauthorized", "invalid_client");
        }
        match given("grant_type").as_str() {
            "authorization_code" => {
                let code = given("code");
                if self.used_codes.contains(&code) {
                    return self.refuse("400 Bad Request", "invalid_grant");
                }
                let challenge = URL_SAFE_NO_PAD.encode(sha256(given("code_verifier").as_bytes()).as_bytes());
                let asked = self.codes.remove(&code);
                let fits = |asked: &Asked| asked.redirect_uri == given("redirect_uri") && asked.challenge == challenge;
                if !asked.as_ref().is_some_and(fits) {
                    return self.refuse("400 Bad Request", "invalid_grant");
                }
                self.used_codes.insert(code);
                self.counts.redeemed += 1;
                let family = self.next;
                self.grant(family, true)
            }
            "refresh_token" => {
                let token = given("refresh_token");
                if let Some(family) = self.spent.get(&token).copied() {
                    self.counts.reused += 1;
                    self.kill(family);
                    return self.refuse("400 Bad Request", "invalid_grant");
                }
                let Some(family) = self.refresh.remove(&token) else {
                    return self.refuse("400 Bad Request", "invalid_grant");
                };
                self.spent.insert(token, family);
                self.counts.refreshed += 1;
                self.grant(family, false)
            }
            _ => self.refuse("400 Bad Request", "unsupported_grant_type"),
        }
    }

    fn grant(&mut self, family: u64, first: bool) -> Reply {
        let (access, refresh) = (self.fresh("access"), self.fresh("refresh"));
        self.access.insert(access.clone(), family);
        self.refresh.insert(refresh.clone(), family);
        let mut body = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": self.life, "refresh_token": refresh,
            "scope": "read",
        });
        if first {
            let claims = json!({ "iss": self.issuer, "aud": CLIENT.0, "sub": "42", "email": ACCOUNT });
            let token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
            if let Some(fields) = body.as_object_mut() {
                fields.insert("id_token".to_owned(), token.into());
            }
        }
        ("200 OK", Vec::new(), body)
    }

    fn revoke(&mut self, request: &Request) -> Reply {
        let token = request.form.get("token").cloned().unwrap_or_default();
        let family = self.refresh.get(&token).or_else(|| self.access.get(&token)).copied();
        if let Some(family) = family {
            self.counts.revoked += 1;
            self.kill(family);
        }
        ("200 OK", Vec::new(), Value::Null)
    }

    /// The system behind: three items for whoever has a good token.
    fn system(&mut self, request: &Request) -> Reply {
        let token = request.authorization.strip_prefix("Bearer ").unwrap_or_default();
        if !self.access.contains_key(token) {
            return ("401 Unauthorized", vec![("www-authenticate", "Bearer".to_owned())], json!({ "error": "no" }));
        }
        self.counts.served += 1;
        ("200 OK", Vec::new(), json!({ "items": [{ "id": 1 }, { "id": 2 }, { "id": 3 }] }))
    }

    fn refuse(&mut self, status: &'static str, error: &str) -> Reply {
        self.counts.refused += 1;
        (status, Vec::new(), json!({ "error": error }))
    }

    fn kill(&mut self, family: u64) {
        self.access.retain(|_, of| *of != family);
        self.refresh.retain(|_, of| *of != family);
    }

    fn fresh(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}-{}-{}", self.next, sha256(format!("{}{}", self.issuer, self.next).as_bytes()))
            .replace("sha256:", "")
    }
}

/// As RFC 6749, section 2.3.1, wants a client's id and secret in a header.
fn encoded_client(text: &str) -> String {
    text.chars().map(|c| if c == ' ' { "+".to_owned() } else { c.to_string() }).collect()
}
