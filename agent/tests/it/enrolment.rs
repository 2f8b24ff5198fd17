//! Getting, renewing and recovering an identity.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use super::support::{
    agent::Agent,
    controller::{AGENT, Controller},
    tunnel::Tunnel,
};

#[tokio::test]
async fn a_token_becomes_an_identity_that_only_its_owner_may_read() {
    let controller = Controller::start().await;
    let agent = Agent::enrolled(&controller).await;
    let files = ["key.pem", "cert.pem", "roots.pem", "identity-key", "controller.json"];
    for file in files {
        let found = std::fs::metadata(agent.data().join("identity").join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert_eq!(std::fs::read_dir(agent.data().join("identity")).unwrap().count(), files.len());
    let status = agent.command(&["status", "--output", "json"], "").await;
    assert_eq!(status.code, Some(69), "it does not run");
    assert!(status.stdout.contains(&AGENT.to_string()), "{}", status.stdout);
}

#[tokio::test]
async fn a_second_enrolment_into_the_same_folder_is_refused() {
    let controller = Controller::start().await;
    let agent = Agent::enrolled(&controller).await;
    let again = agent.enrol(&controller.url(), &controller.token()).await;
    assert_eq!(again.code, Some(64));
    assert!(again.stderr.contains("enrolment.already_enrolled"), "{}", again.stderr);
}

#[tokio::test]
async fn a_token_that_the_controller_does_not_take_is_refused() {
    let controller = Controller::start().await;
    let (agent, used) = (Agent::new(), controller.token());
    controller.token();
    let refused = agent.enrol(&controller.url(), &used).await;
    assert_eq!(refused.code, Some(77));
    assert!(refused.stderr.contains("enrolment.token_refused"), "{}", refused.stderr);
    assert_eq!(agent.enrol(&controller.url(), "wht_nonsense").await.code, Some(64));
}

#[tokio::test]
async fn a_controller_other_than_the_tokens_learns_nothing() {
    let (mut impostor, controller) = (Controller::start().await, Controller::start().await);
    let refused = Agent::new().enrol(&impostor.url(), &controller.token()).await;
    assert_eq!(refused.code, Some(69));
    assert!(refused.stderr.contains("link.untrusted"), "{}", refused.stderr);
    assert!(impostor.script().identity_key.is_none());
    impostor.script().token = None;
    drop(impostor.next("", |_| Some(())));
}

#[tokio::test]
async fn a_clock_that_disagrees_with_the_certificate_is_named() {
    let controller = Controller::with_certificate_until(2001).await;
    let refused = Agent::new().enrol(&controller.url(), &controller.token()).await;
    assert!(refused.stderr.contains("link.clock_wrong"), "{}", refused.stderr);
}

#[tokio::test]
async fn nobody_there_and_a_wrong_name_are_told_apart() {
    let controller = Controller::start().await;
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let nobody = Agent::new().enrol(&format!("https://localhost:{port}"), &controller.token()).await;
    assert_eq!((nobody.code, nobody.stderr.contains("link.unreachable")), (Some(69), true), "{}", nobody.stderr);
    let other = format!("https://127.0.0.2:{}", controller.address().port());
    let other = Agent::new().enrol(&other, &controller.token()).await;
    assert!(other.stderr.contains("link."), "{}", other.stderr);
}

#[tokio::test]
async fn the_way_to_the_controller_may_lead_through_a_proxy() {
    let mut controller = Controller::start().await;
    let proxy = Tunnel::start("Basic YWdlbnQ6Z2VoZWlt").await;
    let mut agent = Agent::new();
    let password = agent.data().with_file_name("password");
    std::fs::write(&password, "geheim\n").unwrap();
    let section = |user: &str| {
        let (url, file) = (proxy.url(), password.display());
        format!("[controller_proxy]\nurl = {url:?}\nusername = {user:?}\npassword_file = \"{file}\"\n")
    };
    agent.configure(&section("stranger"));
    let refused = agent.enrol(&controller.url(), &controller.token()).await;
    assert!(refused.stderr.contains("link.proxy_refused"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("geheim"), "{}", refused.stderr);
    agent.configure(&section("agent"));
    assert_eq!(agent.enrol(&controller.url(), &controller.token()).await.code, Some(0));
    agent.start();
    controller.hello().await;
    assert_eq!(proxy.opened(), 2, "enrolment and session");
}

#[tokio::test]
async fn a_certificate_is_renewed_while_the_agent_works() {
    let mut controller = Controller::start().await;
    controller.script().renew_after = Duration::ZERO;
    let mut agent = Agent::enrolled(&controller).await;
    controller.script().renew_after = Duration::from_secs(86_400);
    let before = std::fs::read(agent.data().join("identity/cert.pem")).unwrap();
    agent.start();
    controller.hello().await;
    let renewed = async {
        while std::fs::read(agent.data().join("identity/cert.pem")).unwrap() == before
            || std::fs::read_to_string(agent.data().join("identity/key.pem")).unwrap().matches("BEGIN").count() > 1
        {
            tokio::task::yield_now().await;
        }
    };
    super::support::soon("the new certificate", renewed).await;
    agent.kill().await;
    agent.start();
    controller.hello().await;
    assert_eq!(controller.script().generation, 2);
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_recovered_with_the_identity_key() {
    let mut controller = Controller::start().await;
    controller.script().expired = true;
    let mut agent = Agent::enrolled(&controller).await;
    agent.start();
    controller.hello().await;
    assert!(!controller.script().expired, "the controller saw the proof");
}
