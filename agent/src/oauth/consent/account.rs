//! Whose consent it is, in a word for the person who has to say whether it is theirs.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::oauth::{answer::Granted, client, flow::MAX_LABEL, settings::Settings, trouble::Trouble};

const UNKNOWN: &str = "unknown account";
/// Where Atlassian says which sites a token is good for.
const SITES: (&str, &str) = ("auth.atlassian.com", "https://api.atlassian.com/oauth/token/accessible-resources");
/// What names an account, the best first.
const NAMES: [&str; 5] = ["email", "preferred_username", "login", "name", "sub"];

/// The label of the account. The identity token came from the token endpoint itself, over TLS, so that its signature
/// says nothing more (OpenID Connect Core, section 3.1.3.7); what it says has to fit all the same.
pub(super) async fn of(settings: &Settings, granted: &Granted, nonce: &str) -> Result<String, Trouble> {
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
        if let Some(name) = named(&claims) {
            return Ok(name);
        }
    }
    Ok(asked(settings, granted).await.unwrap_or_else(|| UNKNOWN.to_owned()))
}

/// What the provider says when it is asked.
async fn asked(settings: &Settings, granted: &Granted) -> Option<String> {
    if settings.token_url.as_ref().and_then(Url::host_str) == Some(SITES.0) {
        let body = client::ask(settings, &Url::parse(SITES.1).ok()?, &granted.access).await?;
        let sites: Vec<Value> = serde_json::from_slice(&body).ok()?;
        let names: Vec<&str> = sites.iter().filter_map(|site| site.get("url")?.as_str()).take(10).collect();
        return (!names.is_empty()).then(|| clean(&names.join(", ")));
    }
    let body = client::ask(settings, settings.userinfo_url.as_ref()?, &granted.access).await?;
    named(&serde_json::from_slice(&body).ok()?)
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
