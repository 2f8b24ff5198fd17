//! Processes that die in the middle of a refresh, by a signal that nobody can catch.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::*;

const FOLDER: &str = "WHERRY_TEST_TOKENS";
const PROVIDER: &str = "WHERRY_TEST_PROVIDER";
const GIVEN: &str = "WHERRY_TEST_GIVEN";
const HOURS: &str = "WHERRY_TEST_HOURS";
/// How often it is killed.
const KILLS: u32 = 40;

/// A provider that takes the last refresh token once more ends nothing, whenever the process dies. Only if it dies in two
/// refreshes in a row, a person is asked: a third use of one refresh token would be a guess.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_goes_on_where_a_provider_is_patient() {
    let Told { revoked, spared, people, most, ended } = kill_often(true).await;
    println!("{KILLS} kills, {spared} refresh tokens sent again, {people} times a person was asked");
    assert_eq!((revoked, ended.as_str()), (0, "connected"));
    assert!(spared > 0, "no process died in the middle of a refresh");
    assert!(most <= 2, "a refresh token came {most} times");
    assert!(people <= spared, "{people} times a person was asked, after {spared} repeated requests");
}

/// A strict provider may end the consent; then the agent says so, and sends nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_says_what_was_lost_where_a_provider_is_strict() {
    let Told { revoked, people, most, ended, .. } = kill_often(false).await;
    println!("{KILLS} kills, {revoked} consents ended, {people} times a person was asked");
    assert_eq!(ended, "connected");
    assert!(revoked > 0, "no process died in the middle of a refresh");
    assert!(revoked <= people, "{revoked} consents ended, and {people} times a person was asked");
    assert!(most <= 2, "a refresh token came {most} times");
}

/// What came of it.
struct Told {
    revoked: usize,
    spared: usize,
    /// How often the agent said that it needs consent, and a person gave it.
    people: usize,
    /// Uses of the refresh token that was used most.
    most: usize,
    ended: String,
}

/// The process that is killed. Each refresh is due as soon as the one before it is over.
#[tokio::test]
#[ignore = "started and killed by the tests above"]
async fn victim() {
    let (source, agent) = child();
    loop {
        if token(&source).await.is_err_and(|code| code == "oauth.needs_consent") {
            return;
        }
        agent.hand.advance(HOUR + HOUR);
    }
}

async fn kill_often(lenient: bool) -> Told {
    let (provider, dir) = (Provider::start().await, tempfile::tempdir().unwrap());
    let (url, mut given) = (provider.system.url(), provider.consent());
    provider.lock().lenient = lenient;
    let (mut hours, mut people) = (0, 0);
    for round in 0..KILLS {
        // Its clock begins after every one before it.
        hours += 100_000;
        let before = provider.lock().asked;
        let mut victim = start(dir.path().to_owned(), &url, &given, hours);
        let gave_up = until_it_asks(&mut victim, || provider.lock().asked > before).await;
        // Each other time as soon as the provider has a request, before anything of its answer can be on disk; else
        // anywhere within the requests and the writing that follow, which take a few milliseconds each.
        if round % 2 == 1 {
            tokio::time::sleep(Duration::from_micros(u64::from(round * 7_919 % 20_000))).await;
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        if gave_up {
            people += 1;
            given = provider.consent();
        }
    }
    // The last one may have died in a refresh, too.
    let mut ended = last(dir.path(), &url, &given, hours + 200_000).await;
    if ended == "oauth.needs_consent" {
        people += 1;
        ended = last(dir.path(), &url, &provider.consent(), hours + 400_000).await;
    }
    let state = provider.lock();
    let most = state.uses.values().copied().max().unwrap_or(0);
    Told { revoked: state.revoked, spared: state.spared, people, most, ended }
}

/// Whether the process ended by itself, because it needs consent, before it asked for a token.
async fn until_it_asks(victim: &mut Child, asked: impl Fn() -> bool) -> bool {
    for _ in 0..300_000 {
        if asked() {
            return false;
        }
        if let Some(status) = victim.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return true;
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    panic!("waited in vain for a request of the new process");
}

async fn last(dir: &std::path::Path, url: &str, given: &str, hours: u32) -> String {
    let (clock, hand) = clock();
    hand.advance(HOUR * hours);
    let agent = Agent::alone(dir, &(clock, hand));
    agent.set("client", "c");
    agent.set("refresh", given);
    let source = agent.source(url, refreshed(url)).unwrap();
    token(&source).await.err().unwrap_or_else(|| "connected".to_owned())
}

fn start(folder: PathBuf, url: &str, given: &str, hours: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["oauth::kill::victim", "--exact", "--ignored"])
        .env(FOLDER, folder)
        .env(PROVIDER, url)
        .env(GIVEN, given)
        .env(HOURS, hours.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn child() -> (wherry_agent::auth::Source, Agent) {
    let var = |name: &str| std::env::var(name).unwrap();
    let time = clock();
    time.1.advance(HOUR * var(HOURS).parse().unwrap());
    let agent = Agent::alone(&PathBuf::from(var(FOLDER)), &time);
    agent.set("client", "c");
    agent.set("refresh", &var(GIVEN));
    let source = agent.source(&var(PROVIDER), refreshed(&var(PROVIDER))).unwrap();
    (source, agent)
}
