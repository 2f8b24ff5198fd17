//! Enrolment tokens: made here, so that the controller learns only the half it needs to admit an agent.

use std::time::Duration;

use serde_json::{Value, json};
use wherry_domain::name::Name;
use wherry_trust::sealing::invite::{Destination, Invite};
use wherry_trust::token::{EnrolmentToken, SpkiPin};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::keystore::Keystore;
use crate::roster;

/// A token and where to use it.
pub(crate) struct Invitation {
    pub(crate) token: Zeroizing<String>,
    id: String,
    group: String,
    /// What `wherry-agent enrol --url` takes.
    pub(crate) endpoint: String,
    pub(crate) expires_at: String,
    /// What the person should know of it.
    pub(crate) note: Option<String>,
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

/// How much later than the token its invitation ends, so that no clock has to be exact.
const SLACK_MS: u64 = 86_400_000;

/// Makes a token for one agent of the group and registers its hash, with an invitation to the group's keys that the
/// operator's key signs.
pub(crate) async fn invite(
    client: &Client,
    group: &Name,
    life: Duration,
    keystore: Outcome<Keystore>,
) -> Outcome<Invitation> {
    let status = client.get(&["status"]).await?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pin: SpkiPin = text(&status, "ca_pin").parse().map_err(|_| {
        CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, "the controller names no certificate authority")
            .fix("check that the controller has the same version as this tool")
    })?;
    let token =
        EnrolmentToken::generate(pin).map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
    let (invite, note) = match sign(client, group, life, keystore, &token).await {
        Ok((invite, note)) => (Some(invite), note),
        Err(error) if without_keys(&error) => (None, Some(keyless(&error))),
        Err(error) => return Err(error),
    };
    let mut request = json!({
        "token_id": token.id().as_str(),
        "auth_hash": token.auth_hash().to_string(),
        "expires_in_s": life.as_secs(),
    });
    if let (Some(invite), Some(fields)) = (invite, request.as_object_mut()) {
        fields.insert("invite".to_owned(), json!(invite));
    }
    let answer = client.post(&["groups", group.as_str(), "enrolment-tokens"], request).await?;
    let endpoint = [text(&answer, "agent_endpoint"), text(&status, "agent_endpoint")];
    Ok(Invitation {
        token: token.reveal(),
        id: token.id().to_string(),
        group: group.to_string(),
        endpoint: endpoint.into_iter().find(|endpoint| !endpoint.is_empty()).unwrap_or_default(),
        expires_at: text(&answer, "expires_at"),
        note,
    })
}

/// The operator's invitation to the group's keys.
async fn sign(
    client: &Client,
    group: &Name,
    life: Duration,
    keystore: Outcome<Keystore>,
    token: &EnrolmentToken,
) -> Outcome<(Invite, Option<String>)> {
    let keystore = keystore?;
    let shown = roster::fetch(client, group).await?;
    let (operator, made) = keystore.operator()?;
    let public = operator.public();
    let known = shown.known(client, &keystore, &public)?;
    if known.is_some_and(|roster| !roster.is_operator(&public)) {
        let message = format!("your key {public} is not an operator's of group {group}");
        return Err(CliError::new(Exit::Denied, codes::OPERATOR_UNKNOWN, message)
            .fix(format!("an operator of the group runs: wherry key trust-operator --group {group} {public}")));
    }
    let founding = known.map(wherry_trust::sealing::roster::Roster::founding);
    let to = Destination { organisation: shown.organisation, group: shown.group, founding };
    let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let ends = roster::now_ms().saturating_add(life).saturating_add(SLACK_MS);
    let invite = Invite::make((token.id(), token.roster_part()), to, ends, &operator);
    let invite = invite.map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
    let note = made.then(|| {
        format!("made your operator key {}: keep it, secrets are set with it", keystore.operator_file().display())
    });
    Ok((invite, note))
}

/// Whether a token is useful without an invitation: whoever makes it just cannot let its agent have secrets.
fn without_keys(error: &CliError) -> bool {
    let older = error.code.as_str() == "request.path_unknown";
    older || [codes::NO_HOME, codes::ROSTER_UNPINNED, codes::OPERATOR_UNKNOWN].contains(&error.code)
}

fn keyless(error: &CliError) -> String {
    let fix = error.fix.as_deref().map(|fix| format!("; {fix}")).unwrap_or_default();
    format!("this token admits no agent to sealed secrets: {}{fix}", error.message)
}
