//! The receiving end of a run: one instance of a connector, or a team of them.

use wherry_host::ToConnector;

use super::{
    side::{Said, Side},
    team::Team,
};

/// What takes the records. Dropping it stops it at once.
pub(super) enum Target {
    One(Side),
    Many(Box<Team>),
}

impl Target {
    /// Waits until it says something or takes `outgoing`.
    pub(super) async fn next(&mut self, outgoing: &mut Option<ToConnector>) -> Said {
        match self {
            Self::One(side) => side.next(outgoing).await,
            Self::Many(team) => team.next(outgoing).await,
        }
    }

    /// Asks it to stop soon.
    pub(super) fn cancel(&mut self) {
        match self {
            Self::One(side) => side.cancel(),
            Self::Many(team) => team.cancel(),
        }
    }
}
