//! Names that stand for connections, and how often a connection may be called.

use alloc::format;

use super::{Check, OUT_OF_RANGE};
use crate::{
    name::Name,
    project::{Alias, Connection, alias::ALIAS_CLASH},
    throttle::{MAX_CONCURRENT, MAX_REQUESTS},
};

impl Check<'_> {
    pub(super) fn alias(&mut self, name: &Name, alias: &Alias) {
        if self.project.connections.contains_key(name) {
            let message = format!("an alias and a connection are both called {name}: rename one of them");
            self.fault(&["aliases", name.as_str()], ALIAS_CLASH, message);
        }
        self.connector(&["aliases", name.as_str(), "connector"], &alias.connector);
    }

    pub(super) fn throttle(&mut self, name: &Name, connection: &Connection) {
        if connection.throttle.is_some_and(|limits| !limits.is_in_range()) {
            let message = format!(
                "a throttle has 1 to {MAX_REQUESTS} requests per 1ms to 24h, and 1 to {MAX_CONCURRENT} concurrent ones"
            );
            self.fault(&["connections", name.as_str(), "throttle"], OUT_OF_RANGE, message);
        }
    }
}
