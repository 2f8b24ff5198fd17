//! What connections remember.

use super::{Invalid, parse};
use crate::{
    MAX_STATE, MAX_STATES,
    frame::{ConnectionState, Wrapped},
    wire,
};

pub(super) fn states(list: Vec<wire::ConnectionState>) -> Result<Vec<ConnectionState>, Invalid> {
    if list.len() > MAX_STATES {
        return Err(Invalid::new("states", format!("there are {} of them, more than {MAX_STATES}", list.len())));
    }
    list.into_iter().map(state).collect()
}

fn state(wire: wire::ConnectionState) -> Result<ConnectionState, Invalid> {
    if wire.state.len() > MAX_STATE {
        return Err(Invalid::new("state", format!("it has {} bytes, more than {MAX_STATE}", wire.state.len())));
    }
    Ok(ConnectionState {
        connection: parse("connection", &wire.connection)?,
        state: Wrapped(wire.state),
        base: if wire.base.is_empty() { None } else { Some(parse("base", &wire.base)?) },
    })
}

pub(super) fn wire_states(list: Vec<ConnectionState>) -> Vec<wire::ConnectionState> {
    let one = |one: ConnectionState| wire::ConnectionState {
        connection: one.connection.to_string(),
        state: one.state.0,
        base: one.base.map(|base| base.to_string()).unwrap_or_default(),
    };
    list.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use wherry_domain::{digest::Digest, fence::Fence, id::RunId};

    use super::*;
    use crate::frame::{Attempt, FromAgent};

    fn checkpoint(states: usize, bytes: usize) -> FromAgent {
        let state = |number: usize| ConnectionState {
            connection: format!("desk-{number}").parse().unwrap(),
            state: Wrapped(vec![7; bytes]),
            base: (number > 0).then(|| Digest::from_bytes([3; 32])),
        };
        let attempt = Attempt { run: RunId::from_u128(1), fence: Fence::from_bits(1) };
        FromAgent::Checkpoint { attempt, cursor: "{}".to_owned(), states: (0..states).map(state).collect() }
    }

    #[test]
    fn states_come_through_as_they_were_and_too_many_or_too_large_ones_mean_nothing() {
        let largest = checkpoint(MAX_STATES, MAX_STATE);
        assert_eq!(FromAgent::from_wire(largest.clone().into_wire()), Ok(Some(largest)));
        for bad in [checkpoint(MAX_STATES + 1, 0), checkpoint(1, MAX_STATE + 1)] {
            assert!(FromAgent::from_wire(bad.into_wire()).is_err());
        }
    }

    #[test]
    fn what_is_stored_of_a_state_reads_back_and_shows_nothing() {
        let FromAgent::Checkpoint { states, .. } = checkpoint(2, 5) else { unreachable!() };
        let stored = format!("{:?}", states);
        assert!(stored.contains("5 bytes") && !stored.contains("7, 7"), "{stored}");
    }
}
