//! Whose consent it is, in a word for the person who has to say whether it is theirs.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::oauth::{answer::Granted, client, flow::MAX_LABEL, settings::Settings, sites, trouble::Trouble};

const UNKNOWN: &str = "unknown account";
/// Where Atlassian says whose token it is, if the person lets it.
const ATLASSIAN: (&str, &str, &str) = ("auth.atlassian.com", "read:me", "https://api.atlassian.com/me");
/// What names an account, the best first: OpenID Connect's words and those of Jira's `myself`.
const NAMES: [&str; 9] =
    ["email", "emailAddress", "preferred_username", "login", "displayName", "name", "nickname", "sub", "accountId"];

/// Whose tokens they are, if they are good for the connection's site.
pub(super) async fn whose(settings: &Settings, granted: &Granted, nonce: &str) -> Result<String, Trouble> {
    let site = match &settings.sites {
        Some(list) => Some(sites::find(settings, list, &granted.access).await.map_err(Trouble::Setting)?),
        None => None,
    };
    of(settings, granted, nonce, site.as_deref()).await
}

/// The label of the account. The identity token came from the token endpoint itself, over TLS, so that its signature
/// says nothing more (OpenID Connect Core, section 3.1.3.7); what it says has to fit all the same.
/// `site` is the address of the connection's site, if it was looked up.
async fn of(settings: &Settings, granted: &Granted, nonce: &str, site: Option<&str>) -> Result<String, Trouble> {
    let oauth = settings.oauth();
    if let Some(claims) = granted.id_token.as_ref().and_then(|token| claims(token.expose_secret())) {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let wrong = |what: &str| Trouble::Invalid(format!("its id_token is for another {what}"));
        let openid = oauth.scope.split_whitespace().any(|scope| scope == "openid");
        if openid && text("nonce") != Some(nonce) {
            return Err(wrong("request"));
        }
        if !oauth.issuer.is_empty() && text("iss") != Some(oauth.issuer.as_str()) {
            return Err(wrong("issuer"));
        }
        let mine = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(&oauth.client_id)),
            Some(one) => one.as_str() == Some(&oauth.client_id),
            None => false,
        };
        if !mine {
            return Err(wrong("client"));
        }
        if let Some(name) = named(&claims).filter(|_| oauth.userinfo_url.is_empty()) {
            return Ok(name);
        }
    }
    Ok(asked(settings, granted, site).await.unwrap_or_else(|| UNKNOWN.to_owned()))
}

/// What the provider says when it is asked; if it does not say whose token it is, for which site.
async fn asked(settings: &Settings, granted: &Granted, site: Option<&str>) -> Option<String> {
    let own = &settings.oauth().userinfo_url;
    let url = match site.filter(|_| own.starts_with('/')) {
        Some(site) => Url::parse(&format!("{site}{own}")).ok(),
        None => settings.userinfo_url.clone().or_else(|| atlassian(settings)),
    };
    if let Some(url) = url
        && let Some(body) = client::ask(settings, &url, &granted.access).await
        && let Some(name) = serde_json::from_slice(&body).ok().and_then(|claims| named(&claims))
    {
        return Some(name);
    }
    site.map(|_| clean(&format!("an account of {}", settings.wanted.base)))
}

fn atlassian(settings: &Settings) -> Option<Url> {
    let (host, scope, url) = ATLASSIAN;
    let theirs = settings.token_url.as_ref().and_then(Url::host_str) == Some(host);
    let may = settings.oauth().scope.split_whitespace().any(|one| one == scope);
    (theirs && may).then(|| Url::parse(url).ok()).flatten()
}

fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn named(claims: &Value) -> Option<String> {
    let name = NAMES.iter().find_map(|name| claims.get(*name)?.as_str().filter(|text| !text.trim().is_empty()))?;
    Some(clean(name))
}

/// Nothing that a terminal or a page could take for something else.
fn clean(text: &str) -> String {
    let plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(plain).take(MAX_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_plain_text_of_bounded_length() {
        assert_eq!(clean("Ada\u{202e}\n\u{1b}[31m"), "Ada[31m");
        assert_eq!(clean(&"x".repeat(1_000)).len(), MAX_LABEL);
    }

    #[test]
    fn the_best_name_is_taken() {
        let claims = serde_json::json!({ "sub": "42", "email": " ", "name": "Ada" });
        assert_eq!(named(&claims).as_deref(), Some("Ada"));
    }
}
