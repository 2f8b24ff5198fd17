//! What the history of a lock says of a move.

use wherry_domain::name::Name;

use super::{Move, Plan, Wish};
use crate::engine::Refusal;

/// In a few words, with those of the person who made it.
pub(super) fn why(asked: &Move, plan: &Plan) -> String {
    let what = match &asked.wish {
        Wish::Upgrade { canary: Some(terms), .. } => {
            let time = wherry_domain::duration::format(terms.time);
            format!("canary of {}: {} of the attempts for {time}", plan.to, terms.share)
        }
        Wish::Upgrade { canary: None, .. } => "upgrade".to_owned(),
        Wish::Rollback { .. } => "rollback".to_owned(),
        Wish::Pin => "pin".to_owned(),
        Wish::Unpin => "unpin".to_owned(),
    };
    if asked.why.is_empty() { what } else { format!("{what}: {}", asked.why) }
}

/// Only a canary's end moves its connector.
pub(super) fn under_way(environment: &Name, name: &Name, version: &semver::Version) -> Refusal {
    let message = format!(
        "a canary of {name} {version} is under way: wait for it, end it with `wherry connector upgrade {name} --environment \
         {environment} --to {version}`, or take it back with `wherry connector rollback {name} --environment {environment}`"
    );
    Refusal::conflict("rollout.under_way", message)
}
