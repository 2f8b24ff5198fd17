//! What proves that an answer of the browser belongs to a consent that was begun here.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use url::Url;
use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code as FailureCode, Failure},
    id::FlowId,
};
use wherry_trust::{
    keys::{equal_in_constant_time, sha256},
    seal_local::mac,
};
use zeroize::Zeroizing;

use super::record::Record;
use crate::oauth::{OAuth, answer::MAX_TOKEN, flow::Code};

/// The `state` is not the one that was made here.
pub(super) const STATE: FailureCode = FailureCode::new("oauth.state_invalid");
/// The answer came from another issuer than the one asked.
const ISSUER: FailureCode = FailureCode::new("oauth.issuer_mismatch");

/// Whether the answer belongs to what was asked here.
pub(super) fn check(oauth: &OAuth, record: &Record, code: &Code) -> Result<(), Failure> {
    let state = code.state.expose_secret();
    let foreign =
        || Failure::permanent(STATE, "the answer of the browser does not belong to this consent, begin again");
    let bytes = URL_SAFE_NO_PAD.decode(state).map_err(|_| foreign())?;
    let (flow, rest) = bytes.split_first_chunk::<16>().ok_or_else(foreign)?;
    let (chance, found) = rest.split_first_chunk::<16>().ok_or_else(foreign)?;
    let own = tag(oauth, record.flow, &record.connection, chance);
    let hash = sha256(state.as_bytes());
    let ours = *flow == record.flow.to_bytes()
        && equal_in_constant_time(&own, found)
        && equal_in_constant_time(hash.as_bytes(), &record.state);
    if !ours || code.code.expose_secret().is_empty() || code.code.expose_secret().len() > MAX_TOKEN {
        return Err(foreign());
    }
    // RFC 9207. Without a configured issuer the provider is known by the host of its token endpoint alone.
    let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(ToOwned::to_owned));
    let same = match (&code.iss, record.issuer.as_str()) {
        (None, _) => true,
        (Some(iss), "") => host(iss).is_some() && host(iss) == host(&record.token_url),
        (Some(iss), issuer) => iss == issuer,
    };
    if !same {
        let message = "the answer of the browser came from another issuer, check issuer in the connection";
        return Err(Failure::permanent(ISSUER, message));
    }
    Ok(())
}

/// The MAC in a `state`.
pub(super) fn tag(oauth: &OAuth, flow: FlowId, connection: &ConnectionPath, chance: &[u8]) -> [u8; 32] {
    let connection = connection.to_string();
    mac(&oauth.0.ground.key, &[b"wherry/oauth/state/v1", &flow.to_bytes(), connection.as_bytes(), chance])
}

/// 32 random bytes: a verifier of 43 characters (RFC 7636, section 4.1).
pub(super) fn random() -> SecretText {
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// Wiped when it is dropped.
pub(super) type SecretText = Zeroizing<String>;
