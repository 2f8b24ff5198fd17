//! Actions.

use core::time::Duration;

use super::{Invalid, bounded, parse};
use crate::{MAX_ACTION, MAX_ACTIVITY, MAX_ASK, frame::Action, wire};

pub(super) fn action(wire: wire::Action) -> Result<Action, Invalid> {
    bounded("activity", wire.activity.len(), MAX_ACTIVITY)?;
    bounded("with", wire.with.len().saturating_add(wire.records.len()), MAX_ACTION)?;
    Ok(Action {
        connection: parse("connection", &wire.connection)?,
        activity: wire.activity,
        with: wire.with,
        records: wire.records,
        time: Duration::from_millis(wire.time_ms).min(MAX_ASK),
        answer: wire.answer,
    })
}

pub(super) fn wire_action(action: Action) -> wire::Action {
    wire::Action {
        connection: action.connection.to_string(),
        activity: action.activity,
        with: action.with,
        records: action.records,
        time_ms: u64::try_from(action.time.as_millis()).unwrap_or(u64::MAX),
        answer: action.answer,
    }
}

/// The answer that comes with a result.
pub(super) fn answer(document: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Invalid> {
    bounded("answer", document.as_ref().map_or(0, Vec::len), MAX_ACTION)?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(with: usize, records: usize) -> Action {
        Action {
            connection: "desk".parse().unwrap(),
            activity: "incident.query".to_owned(),
            with: vec![b' '; with],
            records: vec![b' '; records],
            time: Duration::from_secs(30),
            answer: true,
        }
    }

    #[test]
    fn an_action_comes_through_as_it_was_and_what_is_too_large_means_nothing() {
        let largest = sent(MAX_ACTION - 10, 10);
        assert_eq!(action(wire_action(largest.clone())), Ok(largest));
        assert!(action(wire_action(sent(MAX_ACTION - 10, 11))).is_err());
        assert!(answer(Some(vec![0; MAX_ACTION + 1])).is_err());
        assert_eq!(answer(Some(vec![0; MAX_ACTION])).map(|it| it.map(|it| it.len())), Ok(Some(MAX_ACTION)));
    }
}
