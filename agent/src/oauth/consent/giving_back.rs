//! Tokens that nobody will use any more go back to whoever gave them.

use http::StatusCode;
use secrecy::SecretString;
use wherry_domain::project::auth::TokenFormat;

use crate::oauth::{
    OAuth,
    client::{self, Parameters},
    settings::Settings,
    tokens::Tokens,
};

/// Gives tokens back; whether the provider took them.
pub(super) async fn give_back(oauth: &OAuth, settings: &Settings, tokens: &Tokens) -> bool {
    revoke(oauth, settings, (tokens.refresh.as_ref(), tokens.access.as_ref())).await
}

/// RFC 7009, with the refresh token if there is one; whether the provider took it.
pub(super) async fn revoke(
    oauth: &OAuth,
    settings: &Settings,
    tokens: (Option<&SecretString>, Option<&SecretString>),
) -> bool {
    let Some(url) = &settings.revocation_url else { return false };
    let (token, hint) = match tokens {
        (Some(refresh), _) => (refresh, "refresh_token"),
        (None, Some(access)) => (access, "access_token"),
        (None, None) => return false,
    };
    let mut parameters = Parameters::default();
    parameters.set_secret("token", token);
    parameters.set("token_type_hint", hint);
    let Ok(headers) = client::prove(settings, &oauth.0.ground.files, url, &mut parameters) else { return false };
    let answer = client::post(settings, url, TokenFormat::Form, headers, &parameters).await;
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}
