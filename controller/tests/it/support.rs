//! What the tests stand on: a ledger on either store, agents without a network, a project to deploy.

mod agent;
mod api;
mod bench;
mod crew;
mod port;
mod project;

pub(crate) use agent::{Agent, failed, in_flight, invite, request};
pub(crate) use api::{Answer, Api};
pub(crate) use bench::{Bench, Disk, settings, soon, submission};
pub(crate) use crew::{Crew, Hand, keys, secret};
pub(crate) use port::{Identity, Served, code, csr, enrolment, handshake, identity, new_key};
pub(crate) use project::{desk, package, publisher_key, release};

/// A name, where a test knows that it is one.
pub(crate) fn name(text: &str) -> wherry_domain::name::Name {
    text.parse().unwrap()
}

/// Runs each test on the store in memory and on the one on disk.
macro_rules! on_each_store {
    ($($test:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() {
                Box::pin(super::$test(crate::support::Disk::memory())).await;
            })+
        }

        mod on_disk {
            $(#[tokio::test]
            async fn $test() {
                Box::pin(super::$test(crate::support::Disk::sled())).await;
            })+
        }
    };
}
pub(crate) use on_each_store;
