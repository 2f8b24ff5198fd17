//! An agent keeps memory of ended instances for the next ones: nothing is left in it, and every wall stands as without.

use serde_json::{Value, json};
use wherry_host::{Call, ConnectorFault, Host, HostSettings, Limit};

use crate::support::components::{by_hand, hostile_with};
use crate::support::invoke;

fn room_for(instances: usize) -> HostSettings {
    HostSettings { instances, ..HostSettings::default() }
}

#[tokio::test]
async fn an_instance_finds_nothing_of_the_one_before() {
    let connector = by_hand(&Host::new(room_for(1)).unwrap(), "(start $mark)");
    for _ in 0..3 {
        let finished = invoke("", &Value::Null).task(|task| task.call = Call::Test).on(&connector).await;
        // It breaks off later, at a handle it guesses; with a mark found it would not come that far.
        assert!(finished.fault().to_string().contains("handle"), "{finished:?}");
    }
}

#[tokio::test]
async fn what_runs_into_a_wall_leaves_its_place_to_the_next() {
    let connector = hostile_with(room_for(1));
    for _ in 0..3 {
        let bomb = invoke("memory", &Value::Null).on(&connector).await;
        assert_eq!(bomb.fault(), &ConnectorFault::Limit(Limit::Memory { limit_bytes: 64 << 20 }));
        assert_eq!(invoke("panic", &json!({"name": "Miller"})).on(&connector).await.code(), "sandbox.trap");
        assert_eq!(invoke("good", &Value::Null).on(&connector).await.output(), json!({}));
    }
}

#[tokio::test]
async fn more_instances_than_there_is_room_for_are_refused_by_name() {
    let connector = hostile_with(room_for(1));
    let slow = || invoke("sleep", &Value::Null).task(|task| task.time_limit_ms = 500).on(&connector);
    let (one, two) = tokio::join!(slow(), slow());
    let mut codes = [one.code(), two.code()];
    codes.sort();
    assert_eq!(codes, ["sandbox.instance_limit", "sandbox.time_limit"]);
}
