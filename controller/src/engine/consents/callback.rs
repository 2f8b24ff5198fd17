//! The browser comes back from a provider. Whatever it brings comes from a stranger.

use wherry_domain::{
    consent::Event,
    failure::{Code, Failure},
    id::FlowId,
};
use wherry_proto::frame::{OAuthAsked, Unshown, Wrapped};
use wherry_trust::sealing::left::{self, Matter, Spot};

use super::hash;
use crate::engine::{Ledger, Refusal, Turn};

/// The person, or the provider, said no.
const CONSENT_REFUSED: Code = Code::new("oauth.consent_refused");
/// The answer comes from another provider than the one that was asked.
const ISSUER_MISMATCH: Code = Code::new("oauth.issuer_mismatch");
/// Words of RFC 6749 (4.1.2.1) and OpenID Connect Core (3.1.2.6) that are told to people; others are not repeated.
const KNOWN: [&str; 11] = [
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
];

/// What the page says when a code was taken.
pub const BACK: &str = "Go back to where you began and confirm the account there. You can close this page.";

/// What a browser brought, whose shape was checked.
pub struct Back {
    /// The `state`.
    pub state: String,
    /// The code, or the provider's word for why there is none.
    pub result: Result<String, String>,
    /// The provider's name for itself.
    pub iss: Option<String>,
}

impl Ledger {
    /// Takes what the browser brought, once.
    ///
    /// # Errors
    /// If no flow waits for this `state`, or the answer is a refusal or another provider's.
    pub async fn came_back(&self, back: Back) -> Result<(), Refusal> {
        self.act(move |turn| turn.came_back(back)).await?
    }
}

impl Turn<'_> {
    /// The outer result is that of the turn; the inner one is for the page.
    #[expect(clippy::unnecessary_wraps, reason = "a flow that fails is a change that stands")]
    fn came_back(&mut self, back: Back) -> Result<Result<(), Refusal>, Refusal> {
        let Back { state, result, iss } = back;
        let state_hash = hash(&state);
        let flow = self.state.flows.all.iter().find(|(_, flow)| flow.machine.waits_for(&state_hash));
        let Some((id, issuer)) = flow.map(|(id, flow)| (*id, flow.issuer.clone())) else {
            let message = "no sign-in waits for this answer: it was used already, took too long, or is not one of ours";
            return Ok(Err(Refusal::invalid("oauth.state_invalid", message)));
        };
        let failure = if !issuer.is_empty() && iss.as_ref() != Some(&issuer) {
            let message = "the answer names another provider than the one that was asked, or none";
            Failure::permanent(ISSUER_MISMATCH, message)
        } else {
            match result {
                Ok(code) => {
                    let code = self.code_for_agent(id, code, state, iss);
                    self.flow_event(id, Event::Returned { state_hash }, Some(code));
                    return Ok(self.late(id));
                }
                Err(word) => {
                    let word = KNOWN.into_iter().find(|known| *known == word).unwrap_or("an unknown reason");
                    Failure::permanent(CONSENT_REFUSED, format!("the provider sent no code: {word}"))
                }
            }
        };
        let refusal =
            Refusal { code: failure.code.clone(), ..Refusal::invalid("oauth.state_invalid", failure.message.clone()) };
        self.flow_event(id, Event::Refused { state_hash, failure }, None);
        Ok(Err(refusal))
    }

    /// What the browser brought, on its way to the agent: sealed to the key of its group if there is one. Then only
    /// an agent of the group reads it, wherever the frame lies on its way.
    fn code_for_agent(&self, id: FlowId, code: String, state: String, iss: Option<String>) -> OAuthAsked {
        if let Some(sealed) = self.sealed_code(id, &code, &state, iss.as_deref().unwrap_or_default()) {
            return OAuthAsked::SealedCode { flow: id, sealed: Wrapped(sealed) };
        }
        OAuthAsked::Code { flow: id, code: Unshown(code), state: Unshown(state), iss }
    }

    fn sealed_code(&self, id: FlowId, code: &str, state: &str, iss: &str) -> Option<Vec<u8>> {
        let flow = self.state.flows.all.get(&id).filter(|flow| flow.opens_sealed)?;
        let (group, epoch, key) = self.sealing_key_of(flow.agent)?;
        let content = left::join(&[code.as_bytes(), state.as_bytes(), iss.as_bytes()]);
        let name = id.to_string();
        let spot = Spot { home: (self.state.organisation, group), matter: Matter::Code, name: &name };
        let sealed = left::seal(&spot, (epoch, &key), &content);
        sealed.inspect_err(|error| tracing::error!(%error, "a code could not be sealed to the group")).ok()
    }

    /// Whether the flow went on.
    fn late(&self, id: FlowId) -> Result<(), Refusal> {
        let over = self.state.flows.all.get(&id).is_none_or(|flow| flow.machine.is_over());
        let message = "the sign-in took too long, or the agent went away: begin again";
        if over { Err(Refusal::invalid("oauth.flow_expired", message)) } else { Ok(()) }
    }
}
