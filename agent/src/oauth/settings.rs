//! What a connection's `oauth2` means: the endpoints, the client, and how tokens are got.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use wherry_daemon::clock::Clock;
use wherry_domain::{
    failure::Code,
    name::Name,
    project::auth::{Grant, Initiate, OAuth2, TextOrNumber, TokenFormat},
};
use wherry_trust::keys::Hasher;

use super::{sites, state::Means};
use crate::{
    auth::{AuthFailure, token::Wanted},
    egress::Destination,
};

/// Settings that do not make a whole.
const INVALID: Code = Code::new("oauth.settings_invalid");
/// The provider that takes JSON.
const ATLASSIAN: &str = "auth.atlassian.com";
/// How a connection's tokens come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The given access token is used until it expires.
    Given,
    /// They are got anew.
    Renewed(Means),
}

/// The settings of one connection, checked.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) wanted: Wanted,
    pub(super) way: Way,
    pub(super) token_url: Option<Url>,
    pub(super) authorization_url: Option<Url>,
    pub(super) par_url: Option<Url>,
    pub(super) revocation_url: Option<Url>,
    /// Where a name for the account can be asked for; what the connection names comes first.
    pub(super) userinfo_url: Option<Url>,
    /// Where the site has to be looked up.
    pub(super) sites: Option<Url>,
    pub(super) format: TokenFormat,
    clock: Clock,
}

impl Settings {
    /// Reads them; no secret is opened.
    pub(super) fn read(wanted: Wanted, clock: Clock) -> Result<Self, AuthFailure> {
        let oauth = &wanted.oauth;
        let url = |field: &str, text: &str| endpoint(&wanted, field, text);
        let rsso = |text: &str, path: &str| match (text, oauth.rsso_host.trim_end_matches('/')) {
            ("", "") => String::new(),
            ("", host) => format!("{host}/rsso/oauth2/{path}"),
            (text, _) => text.to_owned(),
        };
        let token_url = url("token_url", &rsso(&oauth.token_url, "token"))?;
        let way = way(oauth);
        if token_url.is_none() && way != Way::Given {
            return Err(invalid(&wanted, "it needs a token_url or an rsso_host"));
        }
        if oauth.client_id.is_empty() && way != Way::Given {
            return Err(invalid(&wanted, "it needs a client_id"));
        }
        let json = token_url.as_ref().and_then(Url::host_str) == Some(ATLASSIAN);
        let follows = if json { TokenFormat::Json } else { TokenFormat::Form };
        Ok(Self {
            way,
            authorization_url: url("authorization_url", &rsso(&oauth.authorization_url, "authorize"))?,
            par_url: url("par_url", &oauth.par_url)?,
            revocation_url: url("revocation_url", &rsso(&oauth.revocation_url, "revoke"))?,
            userinfo_url: match own_userinfo(oauth, &wanted.base) {
                Some(own) => url("userinfo_url", &own)?,
                None => url("rsso_host", &rsso("", "userinfo"))?,
            },
            sites: sites::listed(oauth, &wanted.base),
            format: oauth.token_format.unwrap_or(follows),
            token_url,
            wanted,
            clock,
        })
    }

    /// How its tokens are got anew; nothing if they are not.
    pub(super) const fn means(&self) -> Option<Means> {
        match self.way {
            Way::Given => None,
            Way::Renewed(means) => Some(means),
        }
    }

    pub(super) fn oauth(&self) -> &OAuth2 {
        &self.wanted.oauth
    }

    /// Now, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.wall_unix_millis()
    }

    pub(super) fn open(&self, name: &Name) -> Result<Arc<SecretString>, AuthFailure> {
        (self.wanted.secret)(name)
    }

    /// The token endpoint, which every way but [`Way::Given`] has.
    pub(super) fn token_url(&self) -> Result<&Url, AuthFailure> {
        self.token_url.as_ref().ok_or_else(|| invalid(&self.wanted, "it needs a token_url or an rsso_host"))
    }

    /// A failure of these settings.
    pub(super) fn invalid(&self, what: &str) -> AuthFailure {
        invalid(&self.wanted, what)
    }

    /// When a given access token was made, and for how long it is good, both in milliseconds.
    pub(super) fn given_times(&self) -> Result<(Option<u64>, Option<u64>), AuthFailure> {
        let number = |field: &str, value: &Option<TextOrNumber>| match value {
            None => Ok(None),
            Some(TextOrNumber::Number(number)) => Ok(Some(*number)),
            Some(TextOrNumber::Text(text)) if text.trim().is_empty() => Ok(None),
            Some(TextOrNumber::Text(text)) => {
                let wrong = |_| self.invalid(&format!("{field} is not a number"));
                text.trim().parse().map(Some).map_err(wrong)
            }
        };
        let created = number("created_ms", &self.oauth().created_ms)?;
        let life = number("expires_in", &self.oauth().expires_in)?;
        Ok((created, life.map(|seconds| seconds.saturating_mul(1_000))))
    }

    /// What tokens descend from: where one of these changes, they are another client's or another consent's.
    pub(super) fn seed(&self) -> Result<[u8; 32], AuthFailure> {
        let oauth = self.oauth();
        let mut hasher = Hasher::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        };
        add(b"wherry/oauth/seed/v1");
        add(self.token_url.as_ref().map_or("", Url::as_str).as_bytes());
        add(oauth.client_id.as_bytes());
        add(oauth.username.as_bytes());
        add(oauth.scope.as_bytes());
        let secrets = match self.way {
            Way::Given => [oauth.access_token.as_ref(), None],
            Way::Renewed(Means::Acquire) => [oauth.client_secret.as_ref(), oauth.password.as_ref()],
            Way::Renewed(Means::Refresh) => [oauth.access_token.as_ref(), oauth.refresh_token.as_ref()],
        };
        for name in secrets {
            match name {
                Some(name) => add(self.open(&name.secret)?.expose_secret().as_bytes()),
                None => add(b""),
            }
        }
        let (created, life) = self.given_times()?;
        add(&created.unwrap_or(0).to_be_bytes());
        add(&life.unwrap_or(0).to_be_bytes());
        Ok(*hasher.finish().as_bytes())
    }
}

/// `OFF` wins over the grant: the person said that nothing shall be got.
const fn way(oauth: &OAuth2) -> Way {
    match (oauth.initiate, oauth.grant) {
        (Some(Initiate::Off), _) | (None, Grant::AccessToken) => Way::Given,
        (None | Some(Initiate::GetAndRefresh), Grant::ClientCredentials | Grant::Password) => {
            Way::Renewed(Means::Acquire)
        }
        (Some(Initiate::GetAndRefresh), Grant::AccessToken)
        | (Some(Initiate::Refresh), _)
        | (None | Some(Initiate::GetAndRefresh), Grant::AuthorizationCode | Grant::RefreshToken) => {
            Way::Renewed(Means::Refresh)
        }
    }
}

fn endpoint(wanted: &Wanted, field: &str, text: &str) -> Result<Option<Url>, AuthFailure> {
    if text.is_empty() {
        return Ok(None);
    }
    let destination = Destination::parse(text).map_err(|error| invalid(wanted, &format!("{field}: {error}")))?;
    if !destination.secure() && !(wanted.calls)(destination).is_private() {
        return Err(invalid(wanted, &format!("{field} does not begin with https://")));
    }
    let url = Url::parse(text).map_err(|_| invalid(wanted, &format!("{field} is not a URL")))?;
    if url.fragment().is_some() {
        return Err(invalid(wanted, &format!("{field} has a fragment, remove what stands behind #")));
    }
    Ok(Some(url))
}

/// What the connection names itself, as a whole address: behind `base` if it begins with a slash.
fn own_userinfo(oauth: &OAuth2, base: &str) -> Option<String> {
    let own = oauth.userinfo_url.as_str();
    match own {
        "" => None,
        path if path.starts_with('/') => Some(format!("{}{path}", base.trim_end_matches('/'))),
        url => Some(url.to_owned()),
    }
}

fn invalid(wanted: &Wanted, what: &str) -> AuthFailure {
    AuthFailure::permanent(INVALID, format!("oauth2 of connection {}: {what}", wanted.path.connection))
}
