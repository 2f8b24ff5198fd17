//! Which version of a connector an attempt runs on.

use wherry_domain::{
    digest::Digest,
    lock::{Lock, Locked},
    name::Name,
};

/// Where a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The lock in force.
    Lock,
    /// Its trial.
    Trial,
    /// The set before it, because what the lock names is quarantined here.
    Before,
}

/// The version for an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) locked: Locked,
    pub(super) place: Place,
    /// What it should have been: that is quarantined here, or still being made ready.
    pub(super) instead_of: Option<Locked>,
    /// The next in line, which may run while this one is being made ready.
    pub(super) meanwhile: Option<(Locked, Place)>,
}

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    /// The lock does not name the connector.
    NotLocked,
    /// What it names is quarantined, and so is what there was before, if there was anything.
    Quarantined(Box<Locked>),
}

/// What there was before, if it is older than what the lock names. After a rollback it is the version that was withdrawn,
/// which no failure of the older one may bring back.
pub(super) fn way_back<'a>(lock: &Lock, name: &Name, before: Option<&'a Locked>) -> Option<&'a Locked> {
    let current = lock.connectors.get(name)?;
    before.filter(|before| before.version < current.version)
}

/// The trial's version for whoever takes part in it, else the lock's, else the one before: the first that is not
/// quarantined here.
pub(super) fn choose(
    lock: &Lock,
    name: &Name,
    on_trial: bool,
    before: Option<&Locked>,
    quarantined: impl Fn(Digest) -> bool,
) -> Result<Choice, NoChoice> {
    let trial = lock.trials.get(name).filter(|_| on_trial).map(|locked| (locked, Place::Trial));
    let current = lock.connectors.get(name).map(|locked| (locked, Place::Lock));
    let before = way_back(lock, name, before).map(|locked| (locked, Place::Before));
    let mut wanted: Option<&Locked> = None;
    let mut in_turn = [trial, current, before].into_iter().flatten();
    while let Some((locked, place)) = in_turn.next() {
        if !quarantined(locked.wasm) {
            let next = in_turn.find(|(next, _)| next.wasm != locked.wasm && !quarantined(next.wasm));
            let meanwhile = next.map(|(next, place)| (next.clone(), place));
            return Ok(Choice { locked: locked.clone(), place, instead_of: wanted.cloned(), meanwhile });
        }
        wanted = wanted.or(Some(locked));
    }
    Err(wanted.map_or(NoChoice::NotLocked, |wanted| NoChoice::Quarantined(Box::new(wanted.clone()))))
}

#[cfg(test)]
mod tests {
    use super::{super::before::tests::*, *};

    fn chosen(
        lock: &Lock,
        on_trial: bool,
        before: Option<u8>,
        bad: &[u8],
    ) -> Result<(u64, Place, Option<u64>), NoChoice> {
        let (name, before) = ("http".parse().unwrap(), before.map(locked));
        let bad: Vec<Digest> = bad.iter().map(|v| locked(*v).wasm).collect();
        let choice = choose(lock, &name, on_trial, before.as_ref(), |digest| bad.contains(&digest))?;
        Ok((choice.locked.version.major, choice.place, choice.instead_of.map(|locked| locked.version.major)))
    }

    #[test]
    fn attempts_run_on_the_lock_and_those_of_a_trial_on_the_trial() {
        let lock = lock(1, &[("http", 2)], &[("http", 3)]);
        assert_eq!(chosen(&lock, false, Some(1), &[]), Ok((2, Place::Lock, None)));
        assert_eq!(chosen(&lock, true, Some(1), &[]), Ok((3, Place::Trial, None)));
        let settled = super::super::before::tests::lock(2, &[("http", 3)], &[]);
        assert_eq!(chosen(&settled, true, None, &[]), Ok((3, Place::Lock, None)), "what became of the trial");
    }

    #[test]
    fn what_is_quarantined_gives_way_to_what_was_there_before() {
        let lock = lock(1, &[("http", 2)], &[("http", 3)]);
        assert_eq!(chosen(&lock, true, Some(1), &[3]), Ok((2, Place::Lock, Some(3))));
        assert_eq!(chosen(&lock, true, Some(1), &[3, 2]), Ok((1, Place::Before, Some(3))));
        assert_eq!(chosen(&lock, false, Some(1), &[2]), Ok((1, Place::Before, Some(2))));
        assert_eq!(chosen(&lock, false, Some(1), &[2, 1]), Err(NoChoice::Quarantined(Box::new(locked(2)))));
        assert_eq!(chosen(&lock, false, None, &[2]), Err(NoChoice::Quarantined(Box::new(locked(2)))));
    }

    #[test]
    fn what_may_run_meanwhile_is_the_next_in_line_that_is_not_quarantined() {
        let meanwhile = |on_trial, bad: &[u8]| {
            let (lock, before) = (lock(1, &[("http", 2)], &[("http", 3)]), locked(1));
            let bad: Vec<Digest> = bad.iter().map(|v| locked(*v).wasm).collect();
            let name = "http".parse().unwrap();
            let choice = choose(&lock, &name, on_trial, Some(&before), |digest| bad.contains(&digest)).unwrap();
            choice.meanwhile.map(|(locked, place)| (locked.version.major, place))
        };
        assert_eq!(meanwhile(true, &[]), Some((2, Place::Lock)));
        assert_eq!(meanwhile(true, &[2]), Some((1, Place::Before)));
        assert_eq!(meanwhile(false, &[]), Some((1, Place::Before)));
        assert_eq!(meanwhile(false, &[1]), None);
    }

    #[test]
    fn what_a_rollback_withdrew_is_not_brought_back_by_a_quarantine() {
        let lock = lock(3, &[("http", 2)], &[]);
        assert_eq!(chosen(&lock, false, Some(3), &[2]), Err(NoChoice::Quarantined(Box::new(locked(2)))));
        assert_eq!(chosen(&lock, false, Some(3), &[]), Ok((2, Place::Lock, None)));
    }

    #[test]
    fn what_the_lock_does_not_name_is_not_run_although_it_was_there_before() {
        let lock = lock(1, &[("crm", 2)], &[]);
        assert_eq!(chosen(&lock, false, Some(1), &[]), Err(NoChoice::NotLocked));
    }
}
