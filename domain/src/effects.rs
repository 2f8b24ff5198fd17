//! Side-effect classes: what may be done again without asking.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What happens outside when an activity or operation runs, ordered from harmless to dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SideEffects {
    /// Changes nothing.
    Read,
    /// Changes something, but doing it again changes nothing more.
    Idempotent,
    /// The system outside tells repetitions apart by the key that every attempt carries.
    Keyed,
    /// Doing it again may do it twice.
    Unsafe,
}

impl SideEffects {
    /// Whether another attempt may begin while an earlier one may have reached the outside.
    pub const fn may_repeat(self) -> bool {
        match self {
            Self::Read | Self::Idempotent | Self::Keyed => true,
            Self::Unsafe => false,
        }
    }

    /// The word used in project files and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Keyed => "keyed",
            Self::Unsafe => "unsafe",
        }
    }
}

impl fmt::Display for SideEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
