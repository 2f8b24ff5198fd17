//! What the history of a lock says of a move.

use super::{Move, Plan, Wish};

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
