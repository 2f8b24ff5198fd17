//! What a scheme is called, and the secrets it names.

use alloc::{vec, vec::Vec};

use super::{ApiKey, Auth, Auto, Crowd, LoginToken, OAuth1, OAuth2, SoapHeader};
use crate::{name::Name, project::SecretRef};

impl Auth {
    /// The word after `type`, by which connectors also say what they support.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
            Self::ApiKey(_) => "api_key",
            Self::OAuth1(_) => "oauth1",
            Self::OAuth2(_) => "oauth2",
            Self::LoginToken(_) => "login_token",
            Self::Crowd(_) => "crowd",
            Self::SoapHeader(_) => "soap_header",
            Self::Auto(_) => "auto",
        }
    }

    /// The secrets it names, in the order of its fields. One may be there twice.
    pub fn secrets(&self) -> Vec<&Name> {
        match self {
            Self::None => Vec::new(),
            Self::Basic { password, .. } => vec![&password.secret],
            Self::Bearer { token } => vec![&token.secret],
            Self::ApiKey(ApiKey { key, .. }) => vec![&key.secret],
            Self::OAuth1(oauth) => oauth1(oauth),
            Self::OAuth2(oauth) => oauth2(oauth),
            Self::LoginToken(login) => {
                let LoginToken { password, .. } = &**login;
                vec![&password.secret]
            }
            Self::Crowd(crowd) => {
                let Crowd { password, sso_app_password, .. } = &**crowd;
                all([Some(password), sso_app_password.as_ref()])
            }
            Self::SoapHeader(SoapHeader { password, .. }) => vec![&password.secret],
            Self::Auto(auto) => {
                let Auto { user: _, password, api_token, access_token } = &**auto;
                all([password.as_ref(), api_token.as_ref(), access_token.as_ref()])
            }
        }
    }
}

fn oauth1(oauth: &OAuth1) -> Vec<&Name> {
    let mut names = all([oauth.consumer_secret.as_ref(), Some(&oauth.token), oauth.token_secret.as_ref()]);
    names.extend(oauth.certificate.iter().flat_map(|store| store.secrets()));
    names
}

fn oauth2(oauth: &OAuth2) -> Vec<&Name> {
    let OAuth2 { client_secret, certificate, password, access_token, refresh_token, .. } = oauth;
    let secrets = [client_secret, password, access_token, refresh_token];
    let mut names: Vec<&Name> = secrets.into_iter().flatten().map(|secret| &secret.secret).collect();
    names.extend(certificate.iter().flat_map(|store| store.secrets()));
    names
}

fn all<'a>(secrets: impl IntoIterator<Item = Option<&'a SecretRef>>) -> Vec<&'a Name> {
    secrets.into_iter().flatten().map(|secret| &secret.secret).collect()
}
