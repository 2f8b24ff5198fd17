//! New identifiers: UUID version 7, so that they sort by the time they were made.

use uuid::Uuid;

/// A new id of the kind asked for. Within one process each is greater than the one before.
pub fn new_id<T: From<u128>>() -> T {
    T::from(Uuid::now_v7().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_of_version_7_and_grow() {
        let ids: Vec<u128> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| Uuid::from_u128(*id).get_version_num() == 7));
    }
}
