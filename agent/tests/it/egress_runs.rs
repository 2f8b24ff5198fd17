//! TLS options of a connection, from the deployment to the log of a run.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wherry_domain::{policy::Policies, run::Outcome};
use wherry_proto::frame::{Desired, Ending, FromController, Report};

use super::support::{
    agent::Agent,
    controller::Controller,
    package::Package,
    project::{Plan, offer},
    shop::{Secure, Signer, params},
    system::System,
};

/// What one run of `read` from `url` with these options came to, on an agent with this configuration.
async fn run(url: &str, tls: Value, configuration: &str) -> Report {
    run_under(Policies::default(), (url, tls), configuration).await
}

/// The same under these rules of the organisation.
async fn run_under(policies: Policies, (url, tls): (&str, Value), configuration: &str) -> Report {
    let mut controller = Controller::start().await;
    let digest = Plan { tls, ..Plan::read(url) }.deploy(&controller, &Package::http());
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure(configuration);
    agent.start();
    controller.hello().await;
    let desired = controller.script().desired();
    let policies = BTreeMap::from([("prod".parse().unwrap(), policies)]);
    controller.say(FromController::Desired(Desired { policies, ..desired })).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    controller.result().await
}

fn code(report: &Report) -> &str {
    match &report.ending {
        Ending::Ended(Outcome::Failed(failure)) => failure.code.as_str(),
        Ending::Ended(Outcome::Succeeded) => "succeeded",
        other @ (Ending::Ended(Outcome::Cancelled) | Ending::Interrupted) => panic!("{other:?}"),
    }
}

fn warnings(report: &Report) -> Vec<&str> {
    report.log.iter().filter(|line| line.level == "warn").map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn plain_http_runs_where_it_is_asked_for_and_every_run_says_so() {
    let system = System::with_items(1).await;
    let asked_for = json!({ "use_non_tls_connections": true });
    let local = run(&system.url(), json!({}), "").await;
    assert_eq!((code(&local), warnings(&local)), ("succeeded", vec![]), "this machine is no network");
    let warned = run(&system.url(), asked_for.clone(), "").await;
    let [warning] = warnings(&warned)[..] else { panic!("{:?}", warned.log) };
    assert!(code(&warned) == "succeeded" && warning.contains("use_non_tls_connections"), "{warning}");
    let before = system.connections();
    let refused = run(&system.url(), asked_for, "[tls]\nrefuse_non_tls = true\n").await;
    assert_eq!(code(&refused), "connection.tls_refused");
    let across = run("http://10.255.255.1", json!({}), "").await;
    assert_eq!(code(&across), "connection.tls_required");
    assert_eq!(system.connections(), before);
}

#[tokio::test]
async fn certificates_of_anybody_are_taken_where_that_is_asked_for_and_every_run_says_so() {
    let system = Secure::start(&Signer::new("ours").sign(&params("desk", &["localhost", "127.0.0.1"])), None).await;
    let strict = run(system.url(), json!({}), "").await;
    assert_eq!(code(&strict), "connection.tls_untrusted");
    let anybody = json!({ "allow_invalid_certificates": true });
    let warned = run(system.url(), anybody.clone(), "").await;
    let [warning] = warnings(&warned)[..] else { panic!("{:?}", warned.log) };
    assert!(warning.contains("allow_invalid_certificates"), "{warning}");
    assert!(!code(&warned).starts_with("connection."), "it was asked: {:?}", warned.ending);
    let before = system.connections();
    let refused = run(system.url(), anybody, "[tls]\nrefuse_invalid_certificates = true\n").await;
    assert_eq!((code(&refused), system.connections()), ("connection.tls_refused", before));
}

/// A controller refuses such a deployment as well; the agent does not rely on that.
#[tokio::test]
async fn what_the_organisation_refuses_does_not_run_on_an_agent_whatever_is_deployed_there() {
    let system = System::with_items(1).await;
    let plain = json!({ "use_non_tls_connections": true });
    let no_plain = Policies { refuse_non_tls: true, ..Policies::default() };
    let refused = run_under(no_plain.clone(), (&system.url(), plain), "").await;
    assert_eq!((code(&refused), system.connections()), ("policy.tls_refused", 0));
    let others = run_under(no_plain, (&system.url(), json!({})), "").await;
    assert_eq!(code(&others), "succeeded");

    let secure = Secure::start(&Signer::new("ours").sign(&params("desk", &["localhost", "127.0.0.1"])), None).await;
    let no_invalid = Policies { refuse_invalid_certificates: true, ..Policies::default() };
    let anybody = json!({ "allow_invalid_certificates": true });
    let refused = run_under(no_invalid, (secure.url(), anybody), "").await;
    assert_eq!((code(&refused), secure.connections()), ("policy.tls_refused", 0));
}
