//! The audit: complete, in order, and changed by nobody unnoticed.

use wherry_controller::model::{AUDIT, AuditEntry, SCHEMA};
use wherry_daemon::store::{Direction, record};
use wherry_domain::digest::Digest;
use wherry_trust::keys::sha256;

use crate::support::{Agent, Bench, Disk, on_each_store};

on_each_store!(every_act_is_in_the_chain_with_who_did_it, the_chain_goes_on_after_a_restart_and_shows_a_changed_entry,);

async fn every_act_is_in_the_chain_with_who_did_it(disk: Disk) {
    let bench = Bench::ready(disk).await;
    Agent::enrol(&bench, "pier-1", 1).await;
    let run = bench.submit("look").await;
    bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), Some("stolen".to_owned())).await.unwrap();
    let whats: Vec<String> = chain(&bench).await.into_iter().map(|entry| entry.what).collect();
    let expected = [
        "publisher.trust",
        "connector.publish",
        "group.create",
        "environment.create",
        "project.deploy",
        "environment.create",
        "enrolment-token.create",
        "agent.enrol",
        "run.cancel",
        "agent.lock",
    ];
    assert_eq!(whats, expected);
    let last = chain(&bench).await.pop().unwrap();
    assert_eq!((last.who.as_str(), last.detail.as_str(), last.n), ("ada", "stolen", 10));
}

async fn the_chain_goes_on_after_a_restart_and_shows_a_changed_entry(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let bench = bench.restart().await;
    Agent::enrol(&bench, "pier-1", 1).await;
    let mut entries = chain(&bench).await;
    assert_eq!(first_fault(&entries), None);
    for (at, change) in [(0, 0), (3, 1), (6, 2)] {
        let mut changed = entries.clone();
        match change {
            0 => "mallory".clone_into(&mut changed[at].who),
            1 => changed[at].at_ms += 1,
            // Moved from one field into the next: the same bytes in a row.
            _ => {
                let moved = changed[at].target.remove(0);
                changed[at].what.push(moved);
            }
        }
        assert_eq!(first_fault(&changed), Some(at as u64 + 1));
    }
    entries.remove(4);
    assert_eq!(first_fault(&entries), Some(6), "a missing entry");
}

/// Every entry, read as it is stored.
async fn chain(bench: &Bench) -> Vec<AuditEntry> {
    bench.settle().await;
    let stored = bench.ledger.store.scan(AUDIT, &[], None, Direction::Ascending, 1_000).unwrap();
    let entries: Vec<AuditEntry> = stored.iter().map(|(_, bytes)| record::decode(SCHEMA, bytes).unwrap()).collect();
    let listed = bench.ledger.audit(None, 200).await.unwrap().items;
    assert!(listed.iter().rev().map(|entry| entry.hash).eq(entries.iter().map(|entry| entry.hash)));
    entries
}

/// The number of the first entry that does not follow from the one before. Written from the description in the model,
/// not from the ledger's code.
fn first_fault(entries: &[AuditEntry]) -> Option<u64> {
    let mut prev = Digest::from_bytes([0; 32]);
    for (entry, n) in entries.iter().zip(1_u64..) {
        let mut bytes = Vec::new();
        let mut field = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        };
        field(&entry.n.to_be_bytes());
        field(&entry.at_ms.to_be_bytes());
        for text in [&entry.who, &entry.what, &entry.target, &entry.detail] {
            field(text.as_bytes());
        }
        field(entry.prev.as_bytes());
        if entry.n != n || entry.prev != prev || entry.hash != sha256(&bytes) {
            return Some(entry.n);
        }
        prev = entry.hash;
    }
    None
}
