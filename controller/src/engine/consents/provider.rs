//! To whom a person may be sent for a consent.

use wherry_domain::{
    name::Name,
    project::{
        application::origin,
        auth::{ClientAuthentication, Grant, OAuth2},
        template::Scope,
    },
};

use crate::engine::{Refusal, Turn, owners::oauth_of, state::Current};

/// Who may be asked for consent, and how the answer is known.
pub(super) struct Provider {
    pub(super) origin: String,
    pub(super) issuer: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) public_client: bool,
}

impl Turn<'_> {
    /// Whom people may be sent to: what an administrator registered, or whoever deployed the connection wrote.
    pub(super) fn provider(&self, current: &Current, connection: &Name) -> Result<Provider, Refusal> {
        let project = &current.snapshot.project;
        let oauth = project.connections.get(connection).and_then(|connection| oauth_of(&connection.auth));
        let oauth = oauth.filter(|oauth| oauth.grant == Grant::AuthorizationCode).ok_or_else(|| {
            let message = format!("{connection} does not sign in by a person's consent: its grant is another one");
            Refusal::conflict("oauth.not_interactive", message)
        })?;
        let registered = oauth.application.as_ref().and_then(|name| self.state.applications.get(name));
        let registered = registered.map(|one| &one.application);
        let scope = Scope { vars: &project.variables, run: "", agent: "" };
        let filled = |text: &str| {
            let value = scope.resolve(&text.into()).ok();
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let deployed = filled(address(oauth));
        let approved = registered.map(|one| one.authorization_url.as_str()).filter(|url| !url.is_empty());
        let approved = origin(approved.unwrap_or(&deployed)).ok_or_else(|| {
            let message =
                format!("the authorization_url of {connection} is no https:// address: correct and deploy it");
            Refusal::invalid("oauth.provider_invalid", message)
        })?;
        let redirect_uri = registered.map(|one| one.redirect_uri.clone()).filter(|uri| !uri.is_empty());
        let public_client = oauth.client_authentication == ClientAuthentication::None;
        Ok(Provider { origin: approved, issuer: filled(&oauth.issuer), redirect_uri, public_client })
    }
}

fn address(oauth: &OAuth2) -> &str {
    if oauth.authorization_url.is_empty() { &oauth.rsso_host } else { &oauth.authorization_url }
}
