//! Which of a provider's sites a connection means: Atlassian takes the tokens of all sites at one address and tells
//! them apart by a cloud id, which nobody should have to look for.

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use wherry_domain::{failure::Code, project::auth::OAuth2};

use super::{client, settings::Settings};
use crate::auth::AuthFailure;

/// The account did not consent for the site.
const NOT_GRANTED: Code = Code::new("oauth.site_not_granted");
/// Nobody says which sites there are.
const UNANSWERED: Code = Code::new("oauth.provider_invalid");
/// Atlassian's authorisation server: whose tokens need a cloud id.
const ATLASSIAN: &str = "auth.atlassian.com";
/// Where it says which sites a token is good for.
const SITES: &str = "https://api.atlassian.com/oauth/token/accessible-resources";
/// Behind the origin of the sites, before the cloud id.
const GATEWAY: &str = "/ex/jira/";
/// Most sites that are looked through: who has more names the cloud id.
const MOST: usize = 1_000;

/// The address of the site that a cloud id names; nothing if there is none.
pub(crate) fn site(oauth: &OAuth2) -> Option<String> {
    if oauth.cloud_id.is_empty() {
        return None;
    }
    let own = Some(oauth.sites_url.as_str()).filter(|url| !url.is_empty());
    at(&Url::parse(own.unwrap_or(SITES)).ok()?, &oauth.cloud_id)
}

/// Where the sites of a connection are listed, if it names its site by its address alone. `base` is its URL.
pub(crate) fn listed(oauth: &OAuth2, base: &str) -> Option<Url> {
    let base = Url::parse(base).ok()?;
    if !oauth.cloud_id.is_empty() || base.path().starts_with(GATEWAY) {
        return None;
    }
    if !oauth.sites_url.is_empty() {
        return Url::parse(&oauth.sites_url).ok();
    }
    let token = Url::parse(&oauth.token_url).ok()?;
    (token.host_str() == Some(ATLASSIAN)).then(|| Url::parse(SITES).ok()).flatten()
}

/// Asks for the address of the connection's site with a token of its account.
///
/// # Errors
/// If the account has not consented for it, or nobody says so.
pub(super) async fn find(settings: &Settings, list: &Url, access: &SecretString) -> Result<String, AuthFailure> {
    let name = &settings.wanted.path.connection;
    let body = client::ask(settings, list, access).await;
    let sites = body.and_then(|body| serde_json::from_slice::<Vec<Site>>(&body).ok()).ok_or_else(|| {
        let message = format!("the provider of connection {name} does not say for which sites its token is good");
        AuthFailure::passing(UNANSWERED, message)
    })?;
    let own = Url::parse(&settings.wanted.base).ok().map(|url| url.origin());
    let meant = |site: &&Site| own.is_some() && Url::parse(&site.url).ok().map(|url| url.origin()) == own;
    let found = sites.iter().take(MOST).find(meant).and_then(|site| at(list, &site.id));
    found.ok_or_else(|| {
        let message = format!(
            "the account of connection {name} has consented for {} sites, and the one of its url is not among them: \
             connect it again and choose that site, or correct url",
            sites.len()
        );
        AuthFailure::permanent(NOT_GRANTED, message)
    })
}

#[derive(Deserialize)]
struct Site {
    id: String,
    url: String,
}

fn at(list: &Url, id: &str) -> Option<String> {
    let plain = !id.is_empty() && id.len() <= 100 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    plain.then(|| format!("{}{GATEWAY}{id}", list.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth(cloud_id: &str, sites_url: &str, token_url: &str) -> OAuth2 {
        serde_json::from_value(serde_json::json!({
            "grant": "authorization_code", "cloud_id": cloud_id, "sites_url": sites_url, "token_url": token_url,
        }))
        .unwrap()
    }

    #[test]
    fn a_cloud_id_is_looked_up_only_where_it_is_needed_and_not_given() {
        let atlassian = "https://auth.atlassian.com/oauth/token";
        let list = |id, sites, token, base| listed(&oauth(id, sites, token), base).map(String::from);
        assert_eq!(list("", "", atlassian, "https://acme.atlassian.net"), Some(SITES.to_owned()));
        assert_eq!(
            list("", "https://s.example/l", "https://t.example", "https://a.example"),
            Some("https://s.example/l".into())
        );
        for (id, token, base) in [
            ("c-1", atlassian, "https://acme.atlassian.net"),
            ("", "https://t.example", "https://acme.atlassian.net"),
            ("", atlassian, "https://api.atlassian.com/ex/jira/c-1"),
        ] {
            assert_eq!(list(id, "", token, base), None, "{id} {token} {base}");
        }
    }

    #[test]
    fn a_cloud_id_leads_to_the_address_of_its_site_and_nothing_else_does() {
        assert_eq!(site(&oauth("c-1", "", "")).as_deref(), Some("https://api.atlassian.com/ex/jira/c-1"));
        let own = oauth("c-1", "http://127.0.0.1:9/oauth/token/accessible-resources", "");
        assert_eq!(site(&own).as_deref(), Some("http://127.0.0.1:9/ex/jira/c-1"));
        for id in ["", "../x", "a/b", "a?b"] {
            assert_eq!(site(&oauth(id, "", "")), None, "{id}");
        }
    }
}
