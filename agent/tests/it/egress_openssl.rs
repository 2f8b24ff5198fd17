//! TLS against `openssl s_server`: another implementation than ours, with the versions, demands and faults that customers'
//! systems have.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use rcgen::date_time_ymd;
use serde_json::{Value, json};
use wherry_agent::egress::EgressSettings;
use wherry_host::{Egress, EgressError};

use super::support::{
    shop::{Leaf, Signer, Vault, has, params},
    soon,
};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

#[tokio::test]
async fn a_server_of_tls_1_2_or_1_3_is_spoken_with_and_an_older_one_is_not() {
    let Some(bench) = Bench::new("a_server_of_tls_1_2_or_1_3_is_spoken_with_and_an_older_one_is_not") else { return };
    let leaf = bench.signer.sign(&params("desk", HERE));
    for (arguments, expected) in [
        ("-tls1_3", "200"),
        ("-tls1_2", "200"),
        // Without the second word Debian's own policy would refuse the version, and nothing of ours would be tested.
        ("-tls1_1 -cipher ALL:@SECLEVEL=0", "connection.tls_failed"),
        ("-tls1 -cipher ALL:@SECLEVEL=0", "connection.tls_failed"),
    ] {
        let server = bench.serve(&leaf, arguments);
        assert_eq!(bench.outcome(&server, "127.0.0.1", json!({})).await, expected, "{arguments}");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_known_expired_or_for_another_host_is_told_apart_and_refused() {
    const TEST: &str = "a_certificate_of_nobody_known_expired_or_for_another_host_is_told_apart_and_refused";
    let Some(bench) = Bench::new(TEST) else { return };
    let mut expired = params("expired", HERE);
    expired.not_after = date_time_ymd(2021, 1, 1);
    for (leaf, reason) in [
        (Signer::new("theirs").sign(&params("desk", HERE)), "untrusted: unknown issuer"),
        (bench.signer.sign(&expired), "untrusted: it has expired"),
        (bench.signer.sign(&params("other", &["other.example"])), "untrusted: it is for another host"),
    ] {
        let server = bench.serve(&leaf, "-tls1_3");
        assert_eq!(bench.outcome(&server, "127.0.0.1", json!({})).await, reason);
        let anybody = json!({ "allow_invalid_certificates": true });
        assert_eq!(bench.outcome(&server, "127.0.0.1", anybody).await, "200", "{reason}");
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_ours_and_says_that_it_misses_one() {
    const TEST: &str = "a_server_that_wants_a_certificate_gets_ours_and_says_that_it_misses_one";
    let Some(bench) = Bench::new(TEST) else { return };
    let leaf = bench.signer.sign(&params("desk", HERE));
    bench.vault.set("ours", bench.signer.sign(&params("wherry", &[])).both());
    bench.vault.set("theirs", Signer::new("theirs").sign(&params("wherry", &[])).both());
    let shown =
        |secret: &str| json!({ "client_certificate": { "type": "PEMKEY_BLOB", "store": { "secret": secret } } });
    for version in ["-tls1_2", "-tls1_3"] {
        let server = bench.serve(&leaf, &format!("{version} -Verify 1 -verify_return_error -CAfile ca.pem"));
        assert_eq!(bench.outcome(&server, "127.0.0.1", shown("ours")).await, "200", "{version}");
        for options in [json!({}), shown("theirs")] {
            let outcome = bench.outcome(&server, "127.0.0.1", options.clone()).await;
            // Before TLS 1.3, OpenSSL calls a certificate that is missing nothing but a failed handshake.
            let unnamed = version == "-tls1_2" && options == json!({});
            let told = if unnamed { "connection.tls_failed" } else { "connection.client_certificate" };
            assert_eq!(outcome, told, "{version} {options}");
        }
    }
}

/// An authority, and an agent that trusts it.
struct Bench {
    signer: Signer,
    vault: Vault,
}

/// A running server, gone when it is dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Bench {
    /// None where there is no `openssl`.
    fn new(test: &str) -> Option<Self> {
        let (signer, vault) = (Signer::new("ours"), Vault::new());
        std::fs::write(vault.path("ca.pem"), signer.pem()).unwrap();
        vault.set("ca", signer.pem());
        has("openssl", test).then_some(Self { signer, vault })
    }

    fn serve(&self, leaf: &Leaf, arguments: &str) -> Server {
        std::fs::write(self.vault.path("leaf.pem"), leaf.both()).unwrap();
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", "leaf.pem", "-key", "leaf.pem"])
            .args(arguments.split_whitespace())
            .current_dir(self.vault.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = lines.find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse().ok());
        Server { process, port: said.expect("openssl says where it listens") }
    }

    /// What comes of one request: `200`, or the code, or why the certificate is not trusted.
    async fn outcome(&self, server: &Server, host: &str, mut options: Value) -> String {
        if options["allow_invalid_certificates"].is_null() {
            options["ca"] = json!({ "secret": "ca" });
        }
        let url = format!("https://{host}:{}", server.port);
        let endpoint = self.vault.endpoint(&url, options, EgressSettings::default());
        let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::builder().uri(&url).body(body).unwrap();
        match soon("an answer", endpoint.send(request)).await {
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(EgressError::TlsUntrusted { reason, .. }) => format!("untrusted: {reason}"),
            Err(error) => error.code().to_string(),
        }
    }
}
