//! What may become a connector, and what may not.

use semver::Version;
use wherry_host::{ActivityKind, Host, HostError, HostSettings};

use crate::support::components::{host, hostile, http, wasm};
use crate::support::invoke;

fn refusal(wat: &str) -> HostError {
    host().compile(&wat::parse_str(wat).unwrap()).expect_err("it was accepted")
}

#[tokio::test]
async fn the_http_connector_describes_itself() {
    let descriptor = http().describe().await.unwrap();
    let name = "http".parse().unwrap();
    assert_eq!(descriptor.belongs_to(&name, &Version::new(1, 0, 0)), Ok(()));
    let kinds: Vec<_> = descriptor.activities.iter().map(|activity| (activity.name.as_str(), activity.kind)).collect();
    let expected = [
        ("query", ActivityKind::Source),
        ("send", ActivityKind::Target),
        ("send.keyed", ActivityKind::Target),
        ("execute", ActivityKind::Source),
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_connector_that_lies_about_its_name_is_noticed() {
    let descriptor = hostile().describe().await.unwrap();
    let refused = descriptor.belongs_to(&"hostile".parse().unwrap(), &Version::new(1, 0, 0)).unwrap_err();
    assert_eq!(HostError::from(refused).code().as_str(), "sandbox.other_release");
}

#[test]
fn an_import_outside_the_contract_is_refused_by_name() {
    let component = r#"(component (import "evil:host/thing" (instance (export "f" (func)))))"#;
    let refused = refusal(component);
    assert_eq!(refused, HostError::ImportForbidden { name: "evil:host/thing".into() });
    assert_eq!(refused.code().as_str(), "sandbox.import_forbidden");
    for import in ["wasi:filesystem/preopens@0.2.6", "wasi:sockets/tcp@0.2.6", "wasi:http/types@0.3.0"] {
        let refused = refusal(&format!(r#"(component (import "{import}" (instance)))"#));
        assert_eq!(refused, HostError::ImportForbidden { name: import.into() });
    }
    let function = r#"(component (import "print" (func)))"#;
    assert_eq!(refusal(function), HostError::ImportForbidden { name: "print".into() });
}

#[test]
fn a_component_that_does_not_fit_the_contract_is_refused() {
    assert_eq!(refusal("(component)").code().as_str(), "sandbox.contract_mismatch");
    // A function that only a later minor version would have.
    let newer = r#"(component (import "wherry:connector/telemetry@1.1.0" (instance (export "gauge" (func)))))"#;
    let refused = refusal(newer);
    assert_eq!(refused.code().as_str(), "sandbox.contract_mismatch");
    assert!(refused.to_string().contains("gauge"), "{refused}");
}

#[test]
fn a_component_that_declares_too_much_is_refused_before_it_runs() {
    let memory = r"(component (core module $m (memory 16384)) (core instance (instantiate $m)))";
    assert_eq!(refusal(memory).code().as_str(), "sandbox.limit_declared");
    let table = r"(component (core module $m (table 10001 funcref)) (core instance (instantiate $m)))";
    assert_eq!(refusal(table).code().as_str(), "sandbox.limit_declared");
}

#[test]
fn proposals_that_are_switched_off_are_refused() {
    for module in [
        "(memory i64 1)",
        "(memory 1) (memory 1)",
        "(func $f (return_call $f))",
        "(memory 1 1 shared)",
        "(type (struct))",
        "(tag)",
    ] {
        let refused = refusal(&format!("(component (core module {module}))"));
        assert_eq!(refused.code().as_str(), "sandbox.invalid_component", "{module}");
    }
}

#[test]
fn bytes_that_are_no_component_are_refused() {
    let host = host();
    let good = wasm("hostile");
    let module = wat::parse_str("(module)").unwrap();
    let mut broken = good.clone();
    broken.iter_mut().skip(1_000).step_by(97).for_each(|byte| *byte ^= 0x55);
    for bytes in [&b""[..], b"MZ", &module, &good[..good.len() / 2], &broken] {
        let refused = host.compile(bytes).expect_err("it was accepted");
        assert_eq!(refused.code().as_str(), "sandbox.invalid_component");
    }
}

#[tokio::test]
async fn compiled_code_is_only_accepted_from_the_same_engine() {
    let host = host();
    let other = Host::new(HostSettings { stack_bytes: 512 << 10, ..HostSettings::default() }).unwrap();
    assert_eq!(host.compatibility().len(), 16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.cwasm");
    let code = host.compile(&wasm("hostile")).unwrap();
    std::fs::write(&path, &code).unwrap();
    let connector = host.load(&path).unwrap();
    assert_eq!(
        invoke("good", &serde_json::Value::Null).on(&connector).await.result.unwrap().output.as_deref(),
        Some("{}")
    );
    // Whether an engine accepts foreign code follows from the key: where keys differ, it must refuse.
    if other.compatibility() != host.compatibility() {
        assert_eq!(other.load(&path).err().unwrap().code().as_str(), "sandbox.stale_code");
    }
    let half = folder.path().join("half.cwasm");
    std::fs::write(&half, &code[..code.len() / 2]).unwrap();
    assert_eq!(host.load(&half).err().unwrap().code().as_str(), "sandbox.stale_code");
    assert_eq!(host.load(&folder.path().join("none")).err().unwrap().code().as_str(), "sandbox.unreadable");
}
