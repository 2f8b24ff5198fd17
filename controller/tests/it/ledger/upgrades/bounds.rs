//! What neither tests of connections, nor plans, nor a removal of the environment do to a lock.

use wherry_domain::policy::Policy;
use wherry_trust::release::{Release, sign_release};

use super::{Shop, canary, upgrade, version};
use crate::support::{Agent, Crew, Disk, name, on_each_store, release};
use wherry_controller::engine::Wish;

on_each_store!(
    a_test_does_not_bring_back_what_a_canary_took_back,
    a_connector_on_trial_is_neither_pinned_nor_unpinned,
    a_plan_signs_nothing_and_what_it_says_can_be_signed,
    an_environment_that_is_made_again_tries_nothing,
    a_rollback_goes_back_and_a_second_one_further_back,
    a_test_takes_no_version_that_takes_something_away_or_that_agents_cannot_run,
);

async fn a_test_does_not_bring_back_what_a_canary_took_back(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("1.1.0").await;
    shop.perform(canary(5)).await.unwrap();
    shop.perform(Wish::Rollback { version: None }).await.unwrap();
    assert_eq!(shop.test().await.to.to_string(), "1.0.0");
    let shop = Shop { bench: shop.bench.restart().await, key: shop.key };
    assert_eq!(shop.test().await.to.to_string(), "1.0.0", "a restart forgot the canary");
    // A person may, and what comes after it may follow.
    shop.perform(Wish::Upgrade { version: version("1.1.0"), canary: None }).await.unwrap();
    assert_eq!(shop.version().await, "1.1.0");
    shop.publish("1.2.0").await;
    assert_eq!(shop.test().await.to.to_string(), "1.2.0");
}

async fn a_connector_on_trial_is_neither_pinned_nor_unpinned(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("1.1.0").await;
    let lock = shop.perform(canary(5)).await.unwrap();
    for wish in [Wish::Pin, Wish::Unpin] {
        assert_eq!(shop.perform(wish).await.unwrap_err().code.as_str(), "rollout.under_way");
    }
    assert_eq!(shop.lock().await, lock);
}

async fn a_plan_signs_nothing_and_what_it_says_can_be_signed(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut crew = Crew::of(&shop.bench).await;
    let mut hand = crew.enrol(&shop.bench, "pier-1").await;
    crew.found(&shop.bench, &mut hand).await;
    let policy = Policy::DisableAutoConnectorUpdate;
    shop.bench.ledger.set_policy("ada".to_owned(), Some(name("prod")), policy, "true".to_owned()).await.unwrap();
    for minor in 1..=8 {
        shop.publish(&format!("1.{minor}.0")).await;
    }
    // The index lists the newest ones alone, so each of these takes another index.
    let older = |text: &str| Wish::Upgrade { version: version(text), canary: None };
    let plans = [shop.plan(older("1.1.0")).await.unwrap(), shop.plan(older("1.2.0")).await.unwrap()];
    assert_eq!(plans[0].lock.index, plans[1].lock.index, "a plan signed an index");
    shop.sign(older("1.2.0"), &crew.operator).await.unwrap();
    let lock = shop.lock().await;
    assert_eq!((shop.version().await.as_str(), lock.index), ("1.2.0", plans[1].lock.index));
}

async fn an_environment_that_is_made_again_tries_nothing(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("1.1.0").await;
    let tried = shop.perform(canary(5)).await.unwrap();
    shop.bench.ledger.undeploy("test".to_owned(), name("prod"), name("desk")).await.unwrap();
    shop.bench.ledger.delete_environment("test".to_owned(), name("prod")).await.unwrap();
    shop.bench.ledger.create_environment("test".to_owned(), name("prod"), name("berlin")).await.unwrap();
    let lock = shop.lock().await;
    assert!(lock.trials.is_empty() && lock.version > tried.version);
    shop.perform(upgrade()).await.unwrap();
    assert_eq!(shop.version().await, "1.1.0");
}

async fn a_rollback_goes_back_and_a_second_one_further_back(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut crew = Crew::of(&shop.bench).await;
    let mut hand = crew.enrol(&shop.bench, "pier-1").await;
    crew.found(&shop.bench, &mut hand).await;
    let to = |text: &str| Wish::Upgrade { version: version(text), canary: None };
    for text in ["1.1.0", "1.2.0", "1.3.0"] {
        shop.publish(text).await;
        shop.perform(to(text)).await.unwrap();
    }
    let back = || shop.sign(Wish::Rollback { version: None }, &crew.operator);
    back().await.unwrap();
    assert_eq!(shop.version().await, "1.2.0");
    back().await.unwrap();
    assert_eq!(shop.version().await, "1.1.0", "a rollback went forward again");
    // What was left by rollbacks and came back counts again.
    shop.perform(Wish::Unpin).await.unwrap();
    shop.perform(to("1.3.0")).await.unwrap();
    back().await.unwrap();
    back().await.unwrap();
    assert_eq!(shop.version().await, "1.0.0");
    let refused = shop.plan(Wish::Rollback { version: None }).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "lock.nothing_before");
}

async fn a_test_takes_no_version_that_takes_something_away_or_that_agents_cannot_run(disk: Disk) {
    let shop = Shop::open(disk).await;
    let _agent = Agent::online(&shop.bench, "pier-1", 1).await;
    let schemes = |all: &[&str]| all.iter().map(|scheme| (*scheme).to_owned()).collect();
    let publish = async |version: &str, change: &dyn Fn(&mut Release)| {
        let wasm = format!("the component of http {version}").into_bytes();
        let mut made = release("http", version, &wasm);
        made.auth = schemes(&["basic", "bearer"]);
        change(&mut made);
        let envelope = sign_release(&made, &shop.key).unwrap().to_json();
        shop.bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    };
    publish("1.0.1", &|_| ()).await;
    assert_eq!(shop.test().await.to.to_string(), "1.0.1");
    publish("1.1.0", &|made| drop(made.activities.pop())).await;
    publish("1.2.0", &|made| made.auth = schemes(&["basic"])).await;
    publish("1.3.0", &|made| made.auth = schemes(&["basic", "bearer", "oauth2"])).await;
    publish("1.4.0", &|made| made.min_agent = version("9.9.9").unwrap()).await;
    assert_eq!(shop.test().await.to.to_string(), "1.0.1", "none of them follows unasked");
    let plan = shop.plan(upgrade()).await.unwrap();
    assert_eq!(plan.changes.agents_too_old, ["pier-1 has 0.1.0, 9.9.9 is needed"]);
    let wished = Wish::Upgrade { version: version("1.3.0"), canary: None };
    assert_eq!(shop.plan(wished).await.unwrap().changes.capabilities, ["auth oauth2"]);
    publish("1.5.0", &|_| ()).await;
    assert_eq!(shop.test().await.to.to_string(), "1.5.0");
}
