//! Releases: who may publish what, and which statements are refused even when they are signed.

use std::collections::BTreeSet;

use wherry_domain::effects::SideEffects;
use wherry_trust::dsse::{self, Envelope, Limits};
use wherry_trust::keys::{SigningKey, sha256};
use wherry_trust::release::{
    Activity, ActivityKind, CONTRACT, Capabilities, PAYLOAD_TYPE, Publisher, Release, ReleaseError, WASM_LIMIT, Wasm,
    sign_release, verify_release,
};

use crate::for_each_changed_byte;

type Fault = Box<dyn Fn(&mut Release)>;

#[test]
fn a_release_reads_back_as_it_was_signed() {
    let key = SigningKey::generate().unwrap();
    let envelope = sign_release(&release("acme-crm"), &key).unwrap();
    let verified = verify_release(&envelope, &[publisher("acme", &key, "acme-*")]).unwrap();
    assert_eq!(verified.release, release("acme-crm"));
    assert_eq!(verified.publisher, "acme");
    assert_eq!(verified.key, key.public());
    let payload = envelope.verify(PAYLOAD_TYPE, &[key.public()], &Limits::default()).unwrap().payload;
    assert_eq!(verified.digest, sha256(&payload));
}

#[test]
fn every_changed_byte_of_a_release_is_refused() {
    let key = SigningKey::generate().unwrap();
    let publishers = [publisher("acme", &key, "*")];
    let json = sign_release(&release("http"), &key).unwrap().to_json();
    for_each_changed_byte(&json, |index, changed| {
        let accepted = Envelope::from_json(changed, &Limits::default())
            .is_ok_and(|envelope| verify_release(&envelope, &publishers).is_ok());
        assert!(!accepted, "byte {index}");
    });
}

#[test]
fn a_publisher_cannot_sign_for_anothers_name() {
    let (acme, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let publishers = [publisher("acme", &acme, "acme-*"), publisher("other", &other, "other-*")];
    for (name, key) in [("other-crm", &acme), ("acme-crm", &other), ("acmebank", &acme)] {
        let envelope = sign_release(&release(name), key).unwrap();
        let refused = verify_release(&envelope, &publishers).unwrap_err();
        assert_eq!(refused.code().as_str(), "release.prefix_foreign", "{name}");
    }
    let envelope = sign_release(&release("other-crm"), &other).unwrap();
    assert_eq!(verify_release(&envelope, &publishers).unwrap().publisher, "other");
}

#[test]
fn a_key_with_two_prefixes_publishes_under_both() {
    let key = SigningKey::generate().unwrap();
    let publishers = [publisher("crm team", &key, "acme-*"), publisher("web team", &key, "web-*")];
    let envelope = sign_release(&release("web-hook"), &key).unwrap();
    assert_eq!(verify_release(&envelope, &publishers).unwrap().publisher, "web team");
}

#[test]
fn an_unknown_publisher_is_refused() {
    let envelope = sign_release(&release("http"), &SigningKey::generate().unwrap()).unwrap();
    let refused = verify_release(&envelope, &[publisher("acme", &SigningKey::generate().unwrap(), "*")]);
    assert_eq!(refused.unwrap_err().code().as_str(), "envelope.signer_unknown");
}

#[test]
fn a_signature_over_another_type_is_no_release() {
    let key = SigningKey::generate().unwrap();
    let payload = serde_json::to_vec(&release("http")).unwrap();
    let envelope = dsse::sign("application/json", &payload, &key);
    let refused = verify_release(&envelope, &[publisher("acme", &key, "*")]).unwrap_err();
    assert_eq!(refused.code().as_str(), "envelope.type_unexpected");
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    let key = SigningKey::generate().unwrap();
    let good = serde_json::to_string(&release("http")).unwrap();
    for (from, to) in [
        ("{\"v\"", "{\"extra\":1,\"v\""),
        ("{\"sha256\"", "{\"extra\":1,\"sha256\""),
        ("{\"egress\"", "{\"files\":[],\"egress\""),
        ("{\"name\":\"query\"", "{\"extra\":1,\"name\":\"query\""),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let envelope = dsse::sign(PAYLOAD_TYPE, changed.as_bytes(), &key);
        let refused = verify_release(&envelope, &[publisher("acme", &key, "*")]).unwrap_err();
        assert_eq!(refused.code().as_str(), "release.malformed", "{to}");
    }
}

#[test]
fn a_complaint_about_a_long_document_stays_short() {
    let key = SigningKey::generate().unwrap();
    let payload = format!("{{\"{}\u{1b}[2J\":1}}", "x".repeat(10_000)).replace('\u{1b}', "\\u001b");
    let envelope = dsse::sign(PAYLOAD_TYPE, payload.as_bytes(), &key);
    let text = verify_release(&envelope, &[publisher("acme", &key, "*")]).unwrap_err().to_string();
    assert!(text.len() < 1000 && text.chars().all(|c| !c.is_control()), "{text}");
}

#[test]
fn statements_outside_the_limits_are_refused_on_both_sides() {
    let key = SigningKey::generate().unwrap();
    let many = |count: usize| (0..count).map(|index| format!("host-{index}.example")).collect::<BTreeSet<_>>();
    let faults: [(&str, Fault); 11] = [
        ("v", Box::new(|release| release.v = 2)),
        ("contract", Box::new(|release| release.contract = "wherry:connector@2.0.0".into())),
        ("wasm.length", Box::new(|release| release.wasm.length = 0)),
        ("wasm.length", Box::new(|release| release.wasm.length = WASM_LIMIT + 1)),
        ("notes", Box::new(|release| release.notes = "x".repeat(16 * 1024 + 1))),
        ("capabilities", Box::new(move |release| release.capabilities.egress = many(65))),
        ("capabilities", Box::new(|release| release.capabilities.egress = ["a/b".to_owned()].into())),
        ("capabilities", Box::new(|release| release.capabilities.imports = [String::new()].into())),
        ("activities", Box::new(|release| release.activities.clear())),
        ("activities", Box::new(|release| release.activities.push(release.activities[0].clone()))),
        ("activities", Box::new(|release| release.activities[0].name = "..".into())),
    ];
    for (field, fault) in faults {
        let mut changed = release("http");
        fault(&mut changed);
        assert_field(sign_release(&changed, &key).unwrap_err(), field);
        let envelope = dsse::sign(PAYLOAD_TYPE, &serde_json::to_vec(&changed).unwrap(), &key);
        assert_field(verify_release(&envelope, &[publisher("acme", &key, "*")]).unwrap_err(), field);
    }
    let mut largest = release("http");
    largest.wasm.length = WASM_LIMIT;
    assert!(sign_release(&largest, &key).is_ok());
}

#[test]
fn only_the_signed_component_matches() {
    let wasm = Wasm::of(b"component");
    assert!(wasm.matches(b"component"));
    assert!(!wasm.matches(b"componenT"));
    assert!(!wasm.matches(b"component "));
}

#[test]
fn an_upgrade_names_each_capability_it_adds() {
    let old = Capabilities { egress: ["a.example".into()].into(), ..Capabilities::default() };
    let mut new = old.clone();
    assert!(new.beyond(&old).is_empty());
    new.egress.insert("b.example".into());
    new.imports.insert("net".into());
    assert_eq!(new.beyond(&old), ["egress b.example", "import net"]);
    assert!(Capabilities::default().beyond(&new).is_empty());
}

fn assert_field(error: ReleaseError, expected: &str) {
    assert_eq!(error.code().as_str(), "release.unacceptable");
    assert!(matches!(&error, ReleaseError::Unacceptable { field, .. } if *field == expected), "{error}");
}

fn publisher(name: &str, key: &SigningKey, prefix: &str) -> Publisher {
    Publisher { name: name.into(), key: key.public(), prefix: prefix.parse().unwrap() }
}

fn release(name: &str) -> Release {
    let activity = |name: &str, kind, side_effects| Activity { name: name.into(), kind, side_effects };
    Release {
        v: 1,
        name: name.parse().unwrap(),
        version: "1.2.3".parse().unwrap(),
        wasm: Wasm::of(b"component"),
        descriptor: None,
        contract: CONTRACT.into(),
        capabilities: Capabilities { oauth: ["authorization_code".into()].into(), ..Capabilities::default() },
        min_agent: "0.1.0".parse().unwrap(),
        activities: vec![
            activity("query", ActivityKind::Source, SideEffects::Read),
            activity("incident.create", ActivityKind::Target, SideEffects::Keyed),
        ],
        auth: ["basic".into()].into(),
        notes: "first".into(),
    }
}
