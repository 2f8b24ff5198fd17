//! Sessions of agents: one at a time, and only for those who may.

use std::time::Duration;

use wherry_controller::engine::Kind;
use wherry_daemon::ids;
use wherry_domain::{id::OrganisationId, run::Outcome};
use wherry_proto::frame::{Attempt, Decision, FromAgent, FromController, GoAwayReason, InFlight, Stage};
use wherry_trust::{
    names::AgentIdentity,
    release::{Prefix, Publisher},
};

use crate::support::{Agent, Bench, Disk, in_flight, name, on_each_store};

on_each_store!(
    a_session_begins_with_a_welcome_and_its_epoch_grows,
    a_newer_session_ends_the_older_one_whose_frames_change_nothing_any_more,
    a_stranger_and_a_stranger_to_the_protocol_are_refused,
    a_lock_ends_the_session_at_once_and_holds_until_it_is_taken_back,
    two_processes_that_push_each_other_out_lock_their_identity,
    an_agent_that_merely_restarts_often_is_not_locked,
    each_attempt_that_an_agent_names_gets_its_verdict,
    a_cancel_that_an_agent_missed_reaches_it_when_it_returns,
    an_agent_that_was_only_silent_is_sent_away_and_not_for_good,
    what_is_wanted_of_agents_reaches_those_who_are_there,
    a_draining_agent_gets_no_work_until_it_resumes,
    an_agent_that_holds_runs_is_not_removed_and_an_idle_one_hears_it,
    what_a_group_does_not_use_and_a_locked_agent_is_not_handed_out,
);

async fn a_session_begins_with_a_welcome_and_its_epoch_grows(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::enrol(&bench, "pier-1", 2).await;
    let state = async |bench: &Bench| bench.ledger.agent("pier-1".to_owned()).await.unwrap().state;
    assert_eq!(state(&bench).await, "awaiting");
    let welcome = agent.connect(&bench, &[]).await;
    assert_eq!((welcome.epoch, welcome.protocol, welcome.heartbeat), (1, 1, Duration::from_secs(10)));
    assert_eq!(welcome.desired.environments, [name("dev"), name("prod")]);
    assert_eq!(welcome.desired.publishers.len(), 1);
    assert_eq!(state(&bench).await, "live");
    bench.pass(Duration::from_secs(31)).await;
    assert_eq!(state(&bench).await, "suspect");
    agent.beat(&bench, &[]).await;
    assert_eq!(state(&bench).await, "live");
    agent.say(&bench, FromAgent::Goodbye { reason: "upgrade".to_owned() }).await;
    assert_eq!(state(&bench).await, "suspect", "its leases still run");
    bench.pass(Duration::from_secs(75)).await;
    assert_eq!(state(&bench).await, "lost");
    let bench = bench.restart().await;
    assert_eq!(agent.connect(&bench, &[]).await.epoch, 2, "the epoch went back");
}

async fn a_newer_session_ends_the_older_one_whose_frames_change_nothing_any_more(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    let mut newer = agent.copied();
    newer.instance = agent.instance;
    newer.connect(&bench, &in_flight(attempt)).await;
    let away = agent.last_frame().await;
    assert!(matches!(away, FromController::GoAway { reason: GoAwayReason::Superseded, .. }), "{away:?}");
    agent.report(&bench, attempt, Outcome::Succeeded).await;
    assert_eq!(newer.heard(&bench).await, [], "a frame of the older session was answered");
    assert_eq!(bench.state(run).await, "leased");
    bench.ledger.close_session(agent.id, agent.epoch).await;
    newer.succeed(&bench, attempt).await;
    assert_eq!(bench.state(run).await, "succeeded");
}

async fn a_stranger_and_a_stranger_to_the_protocol_are_refused(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::enrol(&bench, "pier-1", 1).await;
    let known = agent.identity.clone();
    let elsewhere: OrganisationId = ids::new_id();
    let identities = [
        AgentIdentity::new("wherry.local", elsewhere, known.group(), known.agent()),
        AgentIdentity::new("wherry.local", known.organisation(), ids::new_id(), known.agent()),
        AgentIdentity::new("wherry.local", known.organisation(), known.group(), ids::new_id()),
    ];
    for identity in identities {
        agent.identity = identity.unwrap();
        let hello = agent.hello(&[]);
        let refused = agent.greet(&bench, hello).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Forbidden, "agent.unknown"));
    }
    agent.identity = known;
    let mut hello = agent.hello(&[]);
    (hello.protocol_min, hello.protocol_max) = (2, 9);
    let refused = agent.greet(&bench, hello).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "agent.version_unsupported");
    agent.connect(&bench, &[]).await;
}

async fn a_lock_ends_the_session_at_once_and_holds_until_it_is_taken_back(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), Some("stolen".to_owned())).await.unwrap();
    let away = agent.last_frame().await;
    assert!(matches!(away, FromController::GoAway { reason: GoAwayReason::Locked, .. }), "{away:?}");
    let bench = bench.restart().await;
    let hello = agent.hello(&[]);
    let refused = agent.greet(&bench, hello.clone()).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Forbidden, "agent.locked"));
    assert!(refused.message.contains("stolen"), "{refused}");
    bench.submit("look").await;
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), None).await.unwrap();
    agent.connect(&bench, &[]).await;
    agent.offer().await;
}

async fn two_processes_that_push_each_other_out_lock_their_identity(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let mut two = one.copied();
    two.connect(&bench, &[]).await;
    one.connect(&bench, &[]).await;
    let hello = two.hello(&[]);
    let refused = two.greet(&bench, hello).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "agent.locked");
    assert!(matches!(one.last_frame().await, FromController::GoAway { .. }));
    assert_eq!(bench.ledger.agent("pier-1".to_owned()).await.unwrap().state, "locked");
    // A person who has cleaned up gets a fresh start.
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), None).await.unwrap();
    one.connect(&bench, &[]).await;
    one.connect(&bench, &[]).await;
    two.connect(&bench, &[]).await;
}

async fn an_agent_that_merely_restarts_often_is_not_locked(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    for _ in 0..9 {
        // Its power went away each time, so that nobody closed the stream before.
        agent.instance = ids::new_id();
        agent.connect(&bench, &[]).await;
        bench.pass(Duration::from_secs(5)).await;
    }
}

async fn each_attempt_that_an_agent_names_gets_its_verdict(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 4).await;
    let mut other = Agent::enrol(&bench, "pier-2", 4).await;
    let mut attempts = Vec::new();
    for _ in 0..3 {
        bench.submit("look").await;
        attempts.push(agent.offer().await.attempt);
    }
    let unheard_of = Attempt { run: ids::new_id(), ..attempts[0] };
    let named = |attempt, stage| InFlight { attempt, stage };
    let welcome = agent
        .connect(
            &bench,
            &[
                named(attempts[0], Stage::Started),
                named(attempts[1], Stage::Finished),
                named(attempts[2], Stage::Interrupted),
                named(unheard_of, Stage::Accepted),
            ],
        )
        .await;
    let expected = [
        (attempts[0], Decision::Keep),
        (attempts[1], Decision::Report),
        (attempts[2], Decision::Report),
        (unheard_of, Decision::Drop),
    ];
    assert_eq!(welcome.verdicts, expected);
    let welcome = other.connect(&bench, &in_flight(attempts[0])).await;
    assert_eq!(welcome.verdicts, [(attempts[0], Decision::Drop)], "another agent's run was kept");
}

async fn a_cancel_that_an_agent_missed_reaches_it_when_it_returns(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    bench.ledger.close_session(agent.id, agent.epoch).await;
    bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    assert_eq!(bench.state(run).await, "leased");
    let welcome = agent.connect(&bench, &in_flight(attempt)).await;
    assert_eq!(welcome.verdicts, [(attempt, Decision::Keep)]);
    assert_eq!(agent.frame().await, FromController::Cancel(attempt));
}

async fn an_agent_that_was_only_silent_is_sent_away_and_not_for_good(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    bench.pass(Duration::from_secs(75)).await;
    // An agent that hears it is locked gives up for good.
    let away = agent.last_frame().await;
    assert!(matches!(away, FromController::GoAway { reason: GoAwayReason::Drain, .. }), "{away:?}");
    agent.connect(&bench, &[]).await;
    bench.submit("look").await;
    agent.offer().await;
}

async fn what_is_wanted_of_agents_reaches_those_who_are_there(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    bench.ledger.distrust_publisher("ada".to_owned(), "acme".to_owned()).await.unwrap();
    bench.ledger.create_environment("ada".to_owned(), name("test"), name("berlin")).await.unwrap();
    let heard = agent.heard(&bench).await;
    let [FromController::Desired(first), FromController::Desired(second)] = heard.as_slice() else {
        panic!("{heard:?}")
    };
    assert_eq!((first.publishers.len(), first.environments.len()), (0, 2));
    assert_eq!(second.environments, [name("dev"), name("prod"), name("test")]);
}

async fn a_draining_agent_gets_no_work_until_it_resumes(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    assert!(bench.ledger.drain("ada".to_owned(), "pier-1".to_owned(), true).await.unwrap().agent.draining);
    bench.submit("look").await;
    agent.beat(&bench, &[]).await;
    assert_eq!(agent.heard(&bench).await, []);
    let bench = bench.restart().await;
    agent.connect(&bench, &[]).await;
    assert_eq!(agent.heard(&bench).await, [], "a restart made it forget");
    bench.ledger.drain("ada".to_owned(), agent.id.to_string(), false).await.unwrap();
    agent.offer().await;
}

async fn an_agent_that_holds_runs_is_not_removed_and_an_idle_one_hears_it(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    let held = bench.ledger.remove_agent("ada".to_owned(), "pier-1".to_owned()).await.unwrap_err();
    assert_eq!(held.code.as_str(), "resource.in_use");
    agent.succeed(&bench, attempt).await;
    bench.ledger.remove_agent("ada".to_owned(), "pier-1".to_owned()).await.unwrap();
    let away = agent.last_frame().await;
    assert!(matches!(away, FromController::GoAway { reason: GoAwayReason::Removed, .. }), "{away:?}");
    let hello = agent.hello(&[]);
    assert_eq!(agent.greet(&bench, hello).await.unwrap_err().code.as_str(), "agent.unknown");
    let gone = bench.ledger.agent("pier-1".to_owned()).await.unwrap_err();
    assert_eq!(gone.code.as_str(), "agent.not_found");
}

async fn what_a_group_does_not_use_and_a_locked_agent_is_not_handed_out(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let agent = Agent::enrol(&bench, "pier-1", 1).await;
    let connector = bench.ledger.connectors(None).await.unwrap().remove(0).digest;
    let (deployment, _) = bench.ledger.operations(name("prod")).await.unwrap().remove(0);
    bench.ledger.connector_for(agent.identity.clone(), connector).await.unwrap();
    bench.ledger.document_for(agent.identity.clone(), deployment.digest).await.unwrap();

    // What the lock names and runs began with is handed out; whatever else is published stays out of reach, and deploying
    // again moves no lock.
    let key = crate::support::publisher_key();
    let trusted = Publisher { name: "ours".to_owned(), key: key.public(), prefix: Prefix::all() };
    bench.ledger.trust_publisher("ada".to_owned(), trusted).await.unwrap();
    bench.submit("look").await;
    let publish = async |connector: &str, version: &str| {
        let (envelope, wasm) = crate::support::package(connector, version, &key);
        bench.ledger.publish("ada".to_owned(), envelope, wasm).await.unwrap().0.digest
    };
    let (newer, unused) = (publish("http", "2.0.0").await, publish("secret-crm", "1.0.0").await);
    let mut changed = crate::support::desk();
    changed.description = "deployed again".to_owned();
    bench.ledger.deploy("ada".to_owned(), name("prod"), changed, false).await.unwrap();
    let handed = bench.ledger.connector_for(agent.identity.clone(), connector).await.unwrap();
    assert_eq!((handed.name.as_str(), handed.version.to_string().as_str()), ("http", "1.0.0"));
    for digest in [newer, unused] {
        let refused = bench.ledger.connector_for(agent.identity.clone(), digest).await.unwrap_err();
        assert_eq!(refused.kind, Kind::NotFound);
    }

    // An agent of a group that serves another environment.
    let elsewhere = bench.ledger.create_environment("ada".to_owned(), name("test"), name("paris")).await.unwrap().1;
    let foreign = AgentIdentity::new("wherry.local", agent.identity.organisation(), elsewhere.id, agent.id).unwrap();
    for identity in [foreign, {
        bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), Some("x".to_owned())).await.unwrap();
        agent.identity
    }] {
        assert_eq!(bench.ledger.connector_for(identity.clone(), connector).await.unwrap_err().kind, Kind::Forbidden);
        assert_eq!(bench.ledger.document_for(identity, deployment.digest).await.unwrap_err().kind, Kind::Forbidden);
    }
}
