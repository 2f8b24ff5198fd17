//! TLS as a connection asks for it, against real servers: who may answer, and who the agent says it is.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use rcgen::{KeyPair, PublicKeyData, date_time_ymd};
use serde_json::{Value, json};
use wherry_agent::egress::{EgressSettings, Endpoint};
use wherry_host::{Body, Egress, EgressError};
use wherry_trust::keys::sha256;

use super::support::{
    shop::{Leaf, Secure, Signer, Vault, params},
    soon,
};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

fn get(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
}

async fn ask(endpoint: &Endpoint, url: &str) -> Result<u16, EgressError> {
    let answer = soon("an answer", endpoint.send(get(url))).await?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await?;
    Ok(status)
}

/// What comes of one request: `200`, or the code and reason.
async fn outcome(vault: &Vault, system: &Secure, options: Value) -> String {
    let endpoint = vault.endpoint(system.url(), options, EgressSettings::default());
    match ask(&endpoint, system.url()).await {
        Ok(status) => status.to_string(),
        Err(EgressError::TlsUntrusted { reason, .. }) => format!("untrusted: {reason}"),
        Err(error) => format!("{}: {error}", error.code()),
    }
}

fn fingerprint(der: &[u8]) -> String {
    sha256(der).to_string()
}

fn expired(names: &[&str]) -> rcgen::CertificateParams {
    let mut params = params("expired", names);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

#[tokio::test]
async fn a_connection_trusts_its_own_authorities_and_no_others() {
    let (ours, theirs, vault) = (Signer::new("ours"), Signer::new("theirs"), Vault::new());
    let system = Secure::start(&ours.sign(&params("desk", HERE)), None).await;
    vault.set("ours", ours.pem());
    vault.set("theirs", theirs.pem());
    vault.set("both", theirs.pem() + &ours.pem());
    vault.set("none", "no certificate");
    let file = vault.path("ours.pem");
    std::fs::write(&file, ours.pem()).unwrap();
    for (options, expected) in [
        (json!({}), "untrusted: unknown issuer"),
        (json!({ "ca": { "secret": "theirs" } }), "untrusted: unknown issuer"),
        (json!({ "ca": { "secret": "ours" } }), "200"),
        (json!({ "ca": { "secret": "both" } }), "200"),
        (json!({ "ca_file": file }), "200"),
    ] {
        assert_eq!(outcome(&vault, &system, options.clone()).await, expected, "{options}");
    }
    for (options, code) in [
        (json!({ "ca": { "secret": "none" } }), "certificate.malformed"),
        (json!({ "ca": { "secret": "nowhere" } }), "secret.missing"),
        (json!({ "ca_file": vault.path("nowhere") }), "certificate.unreadable"),
    ] {
        let endpoint = vault.endpoint(system.url(), options.clone(), EgressSettings::default());
        assert_eq!(endpoint.renew_tls().unwrap_err().failure().code.as_str(), code, "{options}");
        let refused = ask(&endpoint, system.url()).await.unwrap_err();
        assert!(matches!(refused, EgressError::Credentials { .. }), "{refused}");
        assert_eq!(system.clients().len(), 3, "no session without what was asked for");
    }
}

#[tokio::test]
async fn dates_and_names_of_certificates_count() {
    let (signer, vault) = (Signer::new("ours"), Vault::new());
    vault.set("ca", signer.pem());
    let mut future = params("future", HERE);
    future.not_before = date_time_ymd(2080, 1, 1);
    for (params, expected) in [
        (expired(HERE), "untrusted: it has expired"),
        (future, "untrusted: it is not valid yet, check the clocks"),
        (params("elsewhere", &["desk.example"]), "untrusted: it is for another host"),
    ] {
        let system = Secure::start(&signer.sign(&params), None).await;
        assert_eq!(outcome(&vault, &system, json!({ "ca": { "secret": "ca" } })).await, expected);
        let lax = json!({ "ca": { "secret": "ca" }, "allow_invalid_certificates": true });
        assert_eq!(outcome(&vault, &system, lax).await, "200", "instead of {expected}");
    }
    let unknown = Secure::start(&Signer::new("theirs").sign(&params("desk", HERE)), None).await;
    assert_eq!(outcome(&vault, &unknown, json!({ "allow_invalid_certificates": true })).await, "200");
}

#[tokio::test]
async fn a_pin_holds_for_the_certificate_its_key_and_its_authority() {
    let (ours, theirs, vault) = (Signer::new("ours"), Signer::new("theirs"), Vault::new());
    vault.set("ca", ours.pem());
    let (leaf, other) = (ours.sign(&params("desk", HERE)), ours.sign(&params("other", HERE)));
    let system = Secure::start(&leaf, None).await;
    let seen = fingerprint(&leaf.certificate).trim_start_matches("sha256:").to_uppercase();
    let seen: Vec<&str> = (0..32).map(|at| &seen[2 * at..2 * at + 2]).collect();
    let not_pinned = format!("untrusted: it is not what server_certificate names, its SHA-256 is {}", seen.join(":"));
    let right = fingerprint(&leaf.certificate);
    let spki = fingerprint(&leaf.key.subject_public_key_info());
    let wrong = fingerprint(&other.certificate);
    for (pin, with_ca, without_ca) in [
        // A fingerprint comes on top of everything else.
        (right.as_str(), "200", "untrusted: unknown issuer"),
        (&spki, "200", "untrusted: unknown issuer"),
        (&wrong, &not_pinned, &not_pinned),
        // A certificate is enough by itself.
        (&leaf.pem, "200", "200"),
        (&ours.pem(), "200", "200"),
        (&format!("{}{}", theirs.pem(), ours.pem()), "200", "200"),
        // What is not pinned is not trusted, whatever else is.
        (&other.pem, &not_pinned, &not_pinned),
        (&theirs.pem(), &not_pinned, &not_pinned),
    ] {
        let ca = json!({ "ca": { "secret": "ca" }, "server_certificate": pin });
        assert_eq!(outcome(&vault, &system, ca).await, with_ca, "{pin}");
        assert_eq!(outcome(&vault, &system, json!({ "server_certificate": pin })).await, without_ca, "{pin}");
    }
}

#[tokio::test]
async fn a_pin_holds_also_where_every_certificate_is_allowed() {
    let (ours, theirs, vault) = (Signer::new("ours"), Signer::new("theirs"), Vault::new());
    let leaf = ours.sign(&expired(&["desk.example"]));
    let system = Secure::start(&leaf, None).await;
    let lax = |pin: &str| json!({ "server_certificate": pin, "allow_invalid_certificates": true });
    let other = ours.sign(&params("other", HERE));
    for pin in
        [&fingerprint(&leaf.certificate), &fingerprint(&leaf.key.subject_public_key_info()), &leaf.pem, &ours.pem()]
    {
        assert_eq!(outcome(&vault, &system, lax(pin)).await, "200", "{pin}");
        let strict = outcome(&vault, &system, json!({ "server_certificate": pin })).await;
        assert!(strict.starts_with("untrusted: "), "{pin}: {strict}");
    }
    for pin in [&fingerprint(&other.certificate), &other.pem, &theirs.pem()] {
        let refused = outcome(&vault, &system, lax(pin)).await;
        assert!(refused.contains("it is not what server_certificate names"), "{pin}: {refused}");
    }
}

#[tokio::test]
async fn a_pinned_certificate_of_no_authority_still_has_dates_and_names() {
    let vault = Vault::new();
    let alone = |params: rcgen::CertificateParams| {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Leaf { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    };
    for (params, expected) in [
        (params("alone", HERE), "200"),
        (expired(HERE), "untrusted: it has expired"),
        (params("alone", &["desk.example"]), "untrusted: it is for another host"),
    ] {
        let leaf = alone(params);
        let system = Secure::start(&leaf, None).await;
        assert_eq!(outcome(&vault, &system, json!({ "server_certificate": leaf.pem })).await, expected);
    }
}

#[tokio::test]
async fn both_sides_show_a_certificate_where_the_system_wants_one() {
    let (ours, clients, vault) = (Signer::new("ours"), Signer::new("clients"), Vault::new());
    vault.set("ca", ours.pem());
    let me = clients.sign(&params("wherry", &[]));
    vault.set("me", me.both());
    vault.set("stranger", Signer::new("theirs").sign(&params("wherry", &[])).both());
    vault.set("key-only", me.key.serialize_pem());
    let store = |secret: &str| json!({ "type": "PEMKEY_BLOB", "store": { "secret": secret } });
    let with = |secret: &str| json!({ "ca": { "secret": "ca" }, "client_certificate": store(secret) });
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let system = Secure::with(&ours.sign(&params("desk", HERE)), Some(&clients), &[version]).await;
        assert_eq!(outcome(&vault, &system, with("me")).await, "200");
        assert_eq!(system.clients(), [Some(me.certificate.clone())]);
        for bad in [json!({ "ca": { "secret": "ca" } }), with("stranger")] {
            let refused = outcome(&vault, &system, bad.clone()).await;
            assert!(refused.starts_with("connection.client_certificate: "), "{bad}: {refused}");
        }
        let open = Secure::with(&ours.sign(&params("desk", HERE)), None, &[version]).await;
        assert_eq!(outcome(&vault, &open, with("me")).await, "200", "a system need not ask");
        assert_eq!(open.clients(), [None]);
    }
    let endpoint = vault.endpoint("https://127.0.0.1:1", with("key-only"), EgressSettings::default());
    assert_eq!(endpoint.renew_tls().unwrap_err().failure().code.as_str(), "certificate.malformed");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_by_the_next_request() {
    let (ours, vault) = (Signer::new("ours"), Vault::new());
    vault.set("ca", ours.pem());
    let (old, new) = (ours.sign(&params("old", &[])), ours.sign(&params("new", &[])));
    vault.set("me", old.both());
    let system = Secure::start(&ours.sign(&params("desk", HERE)), Some(&ours)).await;
    let options = json!({
        "ca": { "secret": "ca" },
        "client_certificate": { "type": "PEMKEY_BLOB", "store": { "secret": "me" } },
    });
    let endpoint = vault.endpoint(system.url(), options, EgressSettings::default());
    for _ in 0..2 {
        endpoint.renew_tls().unwrap();
        assert_eq!(ask(&endpoint, system.url()).await, Ok(200));
    }
    assert_eq!(system.connections(), 1, "while nothing changes a connection is used again");
    vault.set("me", new.both());
    endpoint.renew_tls().unwrap();
    assert_eq!(ask(&endpoint, system.url()).await, Ok(200));
    assert_eq!(system.clients(), [Some(old.certificate), Some(new.certificate)]);
}
