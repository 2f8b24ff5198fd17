//! Identifiers: a UUID v7 behind a prefix that says what it names, such as `run_0199…`.
//!
//! The bytes sort by time of creation, so a store key made of them lists in that order.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text is not the expected prefix and 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is written {prefix}_ followed by 32 lower-case hex digits")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

pub(crate) const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn parse(text: &str, prefix: &'static str) -> Result<u128, InvalidId> {
    let invalid = InvalidId { prefix };
    let hex = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(invalid)?;
    if hex.len() != 32 {
        return Err(invalid);
    }
    hex.bytes()
        .try_fold(0_u128, |value, digit| hex_value(digit).map(|low| (value << 4) | u128::from(low)).ok_or(invalid))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What every id of this kind begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps the 128 bits of a UUID.
            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            /// The 128 bits of the UUID.
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// Big-endian bytes, which sort like the ids themselves.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id behind [`Self::to_bytes`].
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }
        }

        impl From<u128> for $name {
            fn from(value: u128) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{:032x}", $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(|e: InvalidId| de::Error::custom(e.to_string()))
            }
        }
    };
}

id!(
    /// An organisation: owns everything.
    OrganisationId, "org"
);
id!(
    /// An agent group: serves environments.
    GroupId, "grp"
);
id!(
    /// An agent, for as long as its identity lives.
    AgentId, "agt"
);
id!(
    /// An environment of an organisation.
    EnvironmentId, "env"
);
id!(
    /// A deployment: an immutable snapshot of a project in an environment.
    DeploymentId, "dep"
);
id!(
    /// A run: one execution of an operation.
    RunId, "run"
);
id!(
    /// A connection of a project in an environment.
    ConnectionId, "con"
);
id!(
    /// One start of an agent process.
    InstanceId, "ins"
);
id!(
    /// A question to an agent about a connection.
    AskId, "ask"
);
id!(
    /// One attempt of a person to connect an account to a connection.
    FlowId, "flo"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_wrote() {
        let id = RunId::from_u128(0x0199_0000_0000_7000_8000_0000_0000_002a);
        assert_eq!(id.to_string(), "run_019900000000700080000000_0000002a".replace("0_0", "00"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(RunId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let agent = AgentId::from_u128(1).to_string();
        assert_eq!(agent.parse::<RunId>(), Err(InvalidId { prefix: "run" }));
        for bad in ["run_", "run", "run_0", "run_+0000000000000000000000000000001"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
