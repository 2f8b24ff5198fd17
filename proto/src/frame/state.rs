//! What connections remember between runs, as it travels and is kept.

use core::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use wherry_domain::{digest::Digest, name::Name};

/// The state of a connection in the agent's wrapping. Nobody but an agent looks inside, and nothing shows its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapped(pub Vec<u8>);

/// What a connection remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionState {
    /// The connection's name in the run's project.
    pub connection: Name,
    /// At most [`crate::MAX_STATE`] bytes.
    pub state: Wrapped,
    /// Of a change: the SHA-256 of the wrapped state that the attempt's offer brought and that this one was made from;
    /// `None` if there was none. What was made from anything but the newest state is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({} bytes)", self.0.len())
    }
}

impl Serialize for Wrapped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Wrapped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        // The text is nobody's business, so the error says nothing of it.
        STANDARD_NO_PAD.decode(text.as_bytes()).map(Self).map_err(|_| de::Error::custom("it is not base64"))
    }
}
