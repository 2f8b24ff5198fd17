//! Runs that need secrets which only agents with the group's keys can open.

use std::time::Duration;

use serde_json::json;
use wherry_controller::engine::{Inquiry, Submission};
use wherry_domain::{failure::Code, id::RunId};
use wherry_proto::frame::{Answer, FromAgent, FromController, Heartbeat, KeyringReport, KeyringState, Question};

use crate::support::{Agent, Bench, Crew, Disk, failed, name, on_each_store, submission};

on_each_store!(
    a_run_that_needs_sealed_secrets_waits_for_an_agent_that_can_open_them_and_says_so,
    a_run_that_came_before_the_secret_was_sealed_waits_from_its_next_attempt_on,
    a_run_that_waits_while_its_secret_is_sealed_or_removed_follows_it,
    runs_that_need_keys_come_to_their_turn_on_a_seat_that_an_agent_without_keys_has,
    a_secret_that_is_not_sealed_to_the_group_holds_nothing_up,
    the_seat_of_an_agent_without_keys_goes_to_one_that_has_them,
    a_question_goes_to_an_agent_that_has_the_keys_however_busy_it_is,
);

async fn a_run_that_needs_sealed_secrets_waits_for_an_agent_that_can_open_them_and_says_so(disk: Disk) {
    let bench = ready(disk, false).await;
    let mut crew = Crew::of(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    let mut second = crew.enrol(&bench, "pier-2").await;
    let sealed = submit(&bench).await;
    assert_eq!(offers(&bench, &mut second.agent).await, 0, "it was invited and has said nothing yet");
    let join = second.join.to_json();
    second.report(&bench, KeyringState::PendingKeys, |report| report.join.clone_from(&join)).await;
    assert_eq!(offers(&bench, &mut second.agent).await, 0);
    let why = bench.ledger.why_waiting(sealed).await.unwrap().unwrap();
    assert_eq!(why.code, Code::new("secret.pending_keys"));
    // A run without secrets goes to it.
    bench.submit("look").await;
    let attempt = second.agent.offer().await.attempt;
    second.agent.succeed(&bench, attempt).await;
    assert_eq!((offers(&bench, &mut second.agent).await, bench.state(sealed).await), (0, "queued"));

    let bench = bench.restart().await;
    second.agent.connect(&bench, &[]).await;
    second.report(&bench, KeyringState::PendingKeys, |report| report.join.clone_from(&join)).await;
    assert_eq!(bench.state(sealed).await, "queued", "also after a restart");
    first.agent.connect(&bench, &[]).await;
    first.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    bench.settle().await;
    assert_eq!(bench.run(sealed).await.agent, Some(first.agent.id));
    assert_eq!(bench.ledger.why_waiting(sealed).await.unwrap(), None);

    crew.admit(&bench, &mut first, &second).await;
    second.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    let next = submit(&bench).await;
    bench.settle().await;
    assert_eq!(bench.run(next).await.agent, Some(second.agent.id), "it has the keys now");
}

async fn a_run_that_came_before_the_secret_was_sealed_waits_from_its_next_attempt_on(disk: Disk) {
    let bench = ready(disk, false).await;
    let mut crew = Crew::of(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    let mut second = crew.enrol(&bench, "pier-2").await;
    let run = submit(&bench).await;
    let attempt = second.agent.offer().await.attempt;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    second.agent.report(&bench, attempt, failed()).await;
    for _ in 0..6 {
        let beat = Heartbeat { number: 7, in_flight: Vec::new(), free_slots: 1 };
        second.agent.say(&bench, FromAgent::Heartbeat(beat)).await;
        bench.pass(Duration::from_secs(10)).await;
    }
    assert_eq!(offers(&bench, &mut second.agent).await, 0);
    assert!(bench.ledger.why_waiting(run).await.unwrap().is_some());
}

async fn a_run_that_waits_while_its_secret_is_sealed_or_removed_follows_it(disk: Disk) {
    let bench = ready(disk, false).await;
    let mut crew = Crew::of(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    let run = submit(&bench).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    let mut second = crew.enrol(&bench, "pier-2").await;
    assert_eq!(offers(&bench, &mut second.agent).await, 0);
    assert!(bench.ledger.why_waiting(run).await.unwrap().is_some());
    bench.ledger.remove_secret("ada".to_owned(), name("prod"), name("helix")).await.unwrap();
    assert_eq!(offers(&bench, &mut second.agent).await, 1);
}

async fn runs_that_need_keys_come_to_their_turn_on_a_seat_that_an_agent_without_keys_has(disk: Disk) {
    let bench = ready(disk, true).await;
    let mut crew = Crew::of(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    let mut second = crew.enrol(&bench, "pier-2").await;
    let unkeyed = || Submission { project: Some(name("remedy")), ..submission("look-up") };
    bench.try_submit(unkeyed()).await.unwrap();
    let attempt = second.agent.offer().await.attempt;
    let keyed = submit(&bench).await;
    bench.try_submit(unkeyed()).await.unwrap();
    second.agent.succeed(&bench, attempt).await;
    let attempt = second.agent.offer().await.attempt;
    bench.try_submit(unkeyed()).await.unwrap();

    first.agent.connect(&bench, &[]).await;
    first.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    second.agent.succeed(&bench, attempt).await;
    bench.settle().await;
    assert_eq!(bench.run(keyed).await.agent, Some(first.agent.id));
    assert_eq!(offers(&bench, &mut second.agent).await, 0, "the seat moved on");
    let attempt = first.agent.offer().await.attempt;
    first.agent.succeed(&bench, attempt).await;
    first.agent.offer().await;
}

async fn a_secret_that_is_not_sealed_to_the_group_holds_nothing_up(disk: Disk) {
    let bench = ready(disk, false).await;
    let mut crew = Crew::of(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "other", b"x").await.unwrap();
    crew.seal(&bench, "helix", b"x").await.unwrap();
    bench.ledger.remove_secret("ada".to_owned(), name("prod"), name("helix")).await.unwrap();
    bench.ledger.close_session(first.agent.id, first.agent.epoch).await;
    let mut second = crew.enrol(&bench, "pier-2").await;
    submit(&bench).await;
    assert_eq!(offers(&bench, &mut second.agent).await, 1, "its owner may have set the secret on it");
}

async fn the_seat_of_an_agent_without_keys_goes_to_one_that_has_them(disk: Disk) {
    let bench = ready(disk, true).await;
    let mut crew = Crew::of(&bench).await;
    let (mut first, mut second) = crew.pair(&bench, ["pier-1", "pier-2"]).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    let run = submit(&bench).await;
    bench.settle().await;
    let holder = bench.run(run).await.agent.unwrap();
    let (seated, other) = if holder == first.agent.id { (&mut first, &mut second) } else { (&mut second, &mut first) };
    let attempt = seated.agent.offer().await.attempt;
    seated.agent.succeed(&bench, attempt).await;
    let mut report = KeyringReport { state: KeyringState::PendingKeys, ..KeyringReport::default() };
    crew.known(&mut report);
    seated.agent.say(&bench, FromAgent::Keyring(report)).await;
    let next = submit(&bench).await;
    bench.settle().await;
    assert_eq!(bench.run(next).await.agent, Some(other.agent.id));
}

async fn a_question_goes_to_an_agent_that_has_the_keys_however_busy_it_is(disk: Disk) {
    let bench = ready(disk, false).await;
    let mut crew = Crew::of(&bench).await;
    let mut first = crew.enrol(&bench, "pier-1").await;
    crew.found(&bench, &mut first).await;
    crew.seal(&bench, "helix", b"hunter2").await.unwrap();
    submit(&bench).await;
    first.agent.offer().await;
    let _idle = crew.enrol(&bench, "pier-2").await;
    let inquiry = Inquiry {
        environment: name("prod"),
        project: Some(name("remedy")),
        connection: name("helix"),
        agent: None,
        question: Question::Test,
        limit: Duration::from_secs(1),
    };
    let asked = |frame: &FromController| if let FromController::Ask(ask) = frame { Some(ask.id) } else { None };
    let (answered, ()) = tokio::join!(bench.ledger.ask(inquiry), async {
        let id = first.agent.find(asked).await;
        let answer = Answer { id, duration: Duration::ZERO, path: None, result: Ok(Vec::new()) };
        first.agent.say(&bench, FromAgent::Answer(answer)).await;
    });
    assert_eq!(answered.unwrap().agent.as_str(), "pier-1");
}

async fn ready(disk: Disk, single_agent: bool) -> Bench {
    let bench = Bench::ready(disk).await;
    let auth = json!({ "type": "basic", "username": "u", "password": { "secret": "helix" } });
    let connection =
        json!({ "connector": "http", "url": "https://helix.example", "auth": auth, "single_agent": single_agent });
    let operation = json!({
        "source": { "connection": "helix", "activity": "list" },
        "retry": { "attempts": 5 },
    });
    let open = json!({ "connector": "http", "url": "https://desk.example", "single_agent": single_agent });
    let document = json!({
        "name": "remedy",
        "connections": { "helix": connection, "desk": open },
        "operations": { "incidents": operation, "look-up": { "source": { "connection": "desk", "activity": "list" } } },
    });
    let project = serde_json::from_value(document).unwrap();
    bench.ledger.deploy("test".to_owned(), name("prod"), project, false).await.unwrap();
    bench
}

async fn submit(bench: &Bench) -> RunId {
    let submission = Submission { project: Some(name("remedy")), ..submission("incidents") };
    bench.try_submit(submission).await.unwrap().record.spec.id
}

/// Offers among everything that was sent so far.
async fn offers(bench: &Bench, agent: &mut Agent) -> usize {
    agent.heard(bench).await.iter().filter(|frame| matches!(frame, FromController::Offer(_))).count()
}
