//! Side-effect classes.

use wherry_domain::effects::SideEffects;

use crate::wire;

/// None if the peer does not say, or names one that this build does not know.
pub(super) fn class(wire: wire::SideEffects) -> Option<SideEffects> {
    Some(match wire {
        wire::SideEffects::Unspecified => return None,
        wire::SideEffects::Read => SideEffects::Read,
        wire::SideEffects::Idempotent => SideEffects::Idempotent,
        wire::SideEffects::Keyed => SideEffects::Keyed,
        wire::SideEffects::Unsafe => SideEffects::Unsafe,
    })
}

pub(super) fn wire_class(class: Option<SideEffects>) -> i32 {
    let wire = match class {
        None => wire::SideEffects::Unspecified,
        Some(SideEffects::Read) => wire::SideEffects::Read,
        Some(SideEffects::Idempotent) => wire::SideEffects::Idempotent,
        Some(SideEffects::Keyed) => wire::SideEffects::Keyed,
        Some(SideEffects::Unsafe) => wire::SideEffects::Unsafe,
    };
    wire.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_comes_through_as_it_was_and_one_that_is_not_said_stays_unsaid() {
        let classes = [SideEffects::Read, SideEffects::Idempotent, SideEffects::Keyed, SideEffects::Unsafe];
        for said in classes.into_iter().map(Some).chain([None]) {
            assert_eq!(wire::SideEffects::try_from(wire_class(said)).map(class), Ok(said));
        }
    }
}
