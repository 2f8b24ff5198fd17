//! What the check says of the `tls` of a connection.

use serde_json::{Value, json};
use wherry_domain::project::{Project, check::check, tls::Tls};

/// The faults of a project with this connection, as `path code`.
fn faults(mut connection: Value) -> Vec<String> {
    connection["connector"] = json!("http");
    let project = json!({ "name": "desk", "variables": { "v": "x" }, "connections": { "c": connection } });
    let project: Project = serde_json::from_value(project).unwrap();
    let told = |fault: wherry_domain::project::check::Fault| format!("{} {}", fault.path[2..].join("."), fault.code);
    check(&project, None).into_iter().map(told).collect()
}

#[test]
fn plain_http_across_a_network_needs_its_switch() {
    let switched = json!({ "use_non_tls_connections": true });
    for (url, tls, expected) in [
        ("http://a.example", json!({}), "url project.tls_required"),
        ("http://a.example", switched.clone(), ""),
        ("http://10.0.0.1:8080/x", json!({}), "url project.tls_required"),
        ("http://localhost.:80", json!({}), "url project.tls_required"),
        ("http://127.0.0.1.evil.example", json!({}), "url project.tls_required"),
        ("http://[::2]", json!({}), "url project.tls_required"),
        ("http://127.0.0.1:8080", json!({}), ""),
        ("http://[::1]:8080", json!({}), ""),
        ("http://localhost/x", json!({}), ""),
        ("http://localhost/x", switched.clone(), ""),
        ("https://a.example", switched.clone(), "tls project.tls_invalid"),
        ("https://{{ vars.v }}", switched.clone(), "tls project.tls_invalid"),
        // Known on the agent only.
        ("http://{{ vars.v }}", json!({}), ""),
        ("{{ vars.v }}", switched, ""),
    ] {
        let found = faults(json!({ "url": url, "tls": tls }));
        assert_eq!(found.join(", "), expected, "{url} {tls}");
    }
    let proxied = faults(json!({ "url": "http://localhost", "use_proxy": true }));
    assert_eq!(proxied, ["url project.tls_required"], "the proxy's localhost is another machine");
}

#[test]
fn what_stands_under_tls_is_checked_in_its_place() {
    let pin = format!("sha256:{}", ["AB"; 32].join(":"));
    let store = |kind: &str, store: Value| json!({ "client_certificate": { "type": kind, "store": store } });
    let (secret, file) = (json!({ "secret": "s" }), json!({ "file": "/etc/ssl/me.pem" }));
    for (tls, expected) in [
        (json!({ "ca": { "secret": "ca" }, "server_certificate": pin }), ""),
        (json!({ "ca_file": "/etc/ssl/ca.pem" }), ""),
        (json!({ "ca": { "secret": "ca" }, "ca_file": "/etc/ssl/ca.pem" }), "tls.ca_file"),
        (json!({ "ca_file": "ca.pem" }), "tls.ca_file"),
        (json!({ "ca_file": "/etc/../var/lib/x" }), "tls.ca_file"),
        (json!({ "server_certificate": "sha256:abc" }), "tls.server_certificate"),
        (json!({ "server_certificate": "AB:CD" }), "tls.server_certificate"),
        (store("PEMKEY_BLOB", secret.clone()), ""),
        (store("PEMKEY_FILE", file.clone()), ""),
        (store("PFXBLOB", secret.clone()), ""),
        (store("JKSFILE", file.clone()), ""),
        (store("PEMKEY_BLOB", file.clone()), "tls.client_certificate.store"),
        (store("PEMKEY_FILE", secret.clone()), "tls.client_certificate.store"),
        (store("PEMKEY_FILE", json!({ "file": "me.pem" })), "tls.client_certificate.store"),
        (store("PPKFILE", file), "tls.client_certificate.type"),
        (store("USER", secret.clone()), "tls.client_certificate.type"),
        (
            json!({ "client_certificate": { "type": "PFXBLOB", "store": secret, "subject": "CN={{ vars.v }}" } }),
            "tls.client_certificate.subject",
        ),
    ] {
        let found = faults(json!({ "url": "https://a.example", "tls": tls }));
        let expected = if expected.is_empty() { vec![] } else { vec![format!("{expected} project.tls_invalid")] };
        assert_eq!(found, expected, "{tls}");
        // Without TLS none of it would hold.
        let plain = faults(json!({ "url": "http://127.0.0.1", "tls": tls }));
        assert_eq!(plain.last().map(String::as_str), Some("tls project.tls_invalid"), "{tls}");
    }
}

#[test]
fn a_variable_decides_nothing_about_trust() {
    for key in ["ca_file", "server_certificate"] {
        let found = faults(json!({ "url": "https://a.example", "tls": { key: "/{{ vars.v }}" } }));
        assert_eq!(found[0], format!("tls.{key} project.tls_invalid"));
    }
}

#[test]
fn a_connection_without_tls_options_is_stored_as_before() {
    let connection = json!({ "connector": "http", "url": "https://a", "auth": { "type": "none" } });
    let read: wherry_domain::project::Connection = serde_json::from_value(connection.clone()).unwrap();
    assert_eq!((&read.tls, serde_json::to_value(&read).unwrap()), (&Tls::default(), connection));
}
