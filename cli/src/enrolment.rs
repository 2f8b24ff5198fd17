//! Enrolment tokens: made here, so that the controller learns only the half it needs to admit an agent.

use std::time::Duration;

use serde_json::{Value, json};
use wherry_domain::name::Name;
use wherry_trust::token::{EnrolmentToken, SpkiPin};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;

/// A token and where to use it.
pub(crate) struct Invitation {
    pub(crate) token: Zeroizing<String>,
    id: String,
    group: String,
    /// What `wherry-agent enrol --url` takes.
    pub(crate) endpoint: String,
    pub(crate) expires_at: String,
}

impl Invitation {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "token": self.token.as_str(),
            "token_id": self.id,
            "group": self.group,
            "agent_endpoint": self.endpoint,
            "expires_at": self.expires_at,
        })
    }
}

/// Makes a token for one agent of the group and registers its hash.
pub(crate) async fn invite(client: &Client, group: &Name, life: Duration) -> Outcome<Invitation> {
    let status = client.get(&["status"]).await?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pin: SpkiPin = text(&status, "ca_pin").parse().map_err(|_| {
        CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, "the controller names no certificate authority")
            .fix("check that the controller has the same version as this tool")
    })?;
    let token =
        EnrolmentToken::generate(pin).map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
    let request = json!({
        "token_id": token.id().as_str(),
        "auth_hash": token.auth_hash().to_string(),
        "expires_in_s": life.as_secs(),
    });
    let answer = client.post(&["groups", group.as_str(), "enrolment-tokens"], request).await?;
    let endpoint = [text(&answer, "agent_endpoint"), text(&status, "agent_endpoint")];
    Ok(Invitation {
        token: token.reveal(),
        id: token.id().to_string(),
        group: group.to_string(),
        endpoint: endpoint.into_iter().find(|endpoint| !endpoint.is_empty()).unwrap_or_default(),
        expires_at: text(&answer, "expires_at"),
    })
}
