//! Who asked an agent to take no more work. Each asker takes back only what it asked itself.

use serde::{Deserialize, Serialize};

/// Who asked an agent to take no more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asker {
    /// The agent itself, because it stops; ends with that instance.
    Agent,
    /// A person; ends when a person says so.
    Operator,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drain {
    agent: bool,
    operator: bool,
}

impl Drain {
    pub(super) fn set(&mut self, by: Asker, draining: bool) {
        match by {
            Asker::Agent => self.agent = draining,
            Asker::Operator => self.operator = draining,
        }
    }

    pub(super) const fn is_on(self) -> bool {
        self.agent || self.operator
    }
}
