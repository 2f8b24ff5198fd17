//! A provider that rotates refresh tokens and ends a consent when one of them comes twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use url::form_urlencoded;

use crate::support::system::{Asked, CLOSED, Reply, System};

pub(crate) struct Provider {
    pub(crate) system: System,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    families: HashMap<usize, Family>,
    made: usize,
    /// Requests to the token endpoint.
    pub(crate) asked: usize,
    /// Consents that ended because a refresh token came twice.
    pub(crate) revoked: usize,
    /// Refresh tokens that came a second time and were taken.
    pub(crate) spared: usize,
    /// How often each refresh token came.
    pub(crate) uses: HashMap<String, usize>,
    /// So many answers are lost on their way, after the request was carried out.
    pub(crate) lose: usize,
    /// Whether the last refresh token is taken once more, as some providers do for some time.
    pub(crate) lenient: bool,
    /// Answered instead of anything else.
    pub(crate) says: Option<(u16, String)>,
    /// Bodies that came.
    pub(crate) bodies: Vec<HashMap<String, String>>,
    /// Their `Authorization`.
    pub(crate) proofs: Vec<Option<String>>,
    /// Tokens that were revoked by request.
    pub(crate) taken_back: Vec<String>,
    /// Sites that an account consented for; none for a provider that does not say.
    pub(crate) sites: Option<String>,
    /// `code_challenge` by code.
    pub(crate) codes: HashMap<String, String>,
}

#[derive(Default)]
struct Family {
    newest: usize,
    dead: bool,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let system = System::replying(move |asked| shared.lock().unwrap().answer(asked)).await;
        Self { system, state }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Requests to the token endpoint, and consents that ended.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.asked, state.revoked)
    }

    /// A refresh token of a new consent.
    pub(crate) fn consent(&self) -> String {
        self.lock().consent()
    }
}

impl State {
    pub(crate) fn consent(&mut self) -> String {
        self.made += 1;
        self.families.insert(self.made, Family::default());
        format!("rt.{}.0", self.made)
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        if asked.line.starts_with("POST /revoke") {
            let mut form = form_urlencoded::parse(asked.body.as_bytes());
            self.taken_back.extend(form.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned()));
            return (200, String::new()).into();
        }
        if let Some(sites) = self.sites.as_ref().filter(|_| asked.line.starts_with("GET /sites")) {
            return (200, sites.clone()).into();
        }
        if !asked.line.starts_with("POST /token") {
            return (404, "{}".to_owned()).into();
        }
        self.asked += 1;
        let form: HashMap<String, String> = form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
        self.proofs.push(asked.header("authorization").map(ToOwned::to_owned));
        let grant = form.get("grant_type").cloned().unwrap_or_default();
        let answer = match (&self.says, grant.as_str()) {
            (Some(says), _) => says.clone(),
            (None, "refresh_token") => self.refresh(form.get("refresh_token").map_or("", String::as_str)),
            (None, "authorization_code") => self.redeem(&form),
            (None, _) => {
                (200, format!(r#"{{"access_token":"at.{}","token_type":"bearer","expires_in":3600}}"#, self.asked))
            }
        };
        self.bodies.push(form);
        if self.lose > 0 {
            self.lose -= 1;
            return (CLOSED, String::new()).into();
        }
        answer.into()
    }

    fn refresh(&mut self, token: &str) -> (u16, String) {
        *self.uses.entry(token.to_owned()).or_default() += 1;
        let refused = (400, r#"{"error":"invalid_grant"}"#.to_owned());
        let mut numbers = token.split('.').skip(1).filter_map(|number| number.parse::<usize>().ok());
        let (Some(family), Some(number)) = (numbers.next(), numbers.next()) else { return refused };
        let Some(known) = self.families.get_mut(&family).filter(|family| !family.dead) else { return refused };
        if number == known.newest {
            known.newest += 1;
        } else if self.lenient && number + 1 == known.newest {
            self.spared += 1;
        } else {
            known.dead = true;
            self.revoked += 1;
            return refused;
        }
        (200, tokens(family, known.newest))
    }

    fn redeem(&mut self, form: &HashMap<String, String>) -> (u16, String) {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let challenge =
            URL_SAFE_NO_PAD.encode(wherry_trust::keys::sha256(field("code_verifier").as_bytes()).as_bytes());
        match self.codes.remove(&field("code")) {
            Some(known) if known == challenge => {
                let token = self.consent();
                let family = token.split('.').nth(1).and_then(|number| number.parse().ok()).unwrap();
                (200, tokens(family, 0))
            }
            _ => (400, r#"{"error":"invalid_grant"}"#.to_owned()),
        }
    }
}

fn tokens(family: usize, number: usize) -> String {
    format!(
        r#"{{"access_token":"at.{family}.{number}","token_type":"Bearer","expires_in":3600,"refresh_token":"rt.{family}.{number}","scope":"read"}}"#
    )
}
