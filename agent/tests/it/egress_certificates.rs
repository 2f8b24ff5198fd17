//! Certificate stores as real tools write them.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use wherry_agent::certificates::{self, CertificateError, Certified, FileRules};
use wherry_daemon::tls;

use super::support::shop::{Signer, Vault, has, params, run};

const PASSWORD: &str = "pass:hunter2-hunter2";

/// A key with its certificate, an issuer in between and a root; and a second key of the same root.
fn workshop(folder: &Path) {
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
    write("ca.cnf", "basicConstraints=critical,CA:TRUE\n");
    write("leaf.cnf", "basicConstraints=critical,CA:FALSE\n");
    let request = |name: &str, key: &str| {
        run(
            folder,
            "openssl",
            &format!("req -new -newkey {key} -nodes -keyout {name}.key -subj /O=Example/CN={name} -out {name}.csr"),
        );
    };
    run(folder, "openssl", "req -x509 -newkey rsa:2048 -nodes -keyout root.key -subj /CN=root -days 30 -out root.pem");
    request("between", "rsa:2048");
    run(
        folder,
        "openssl",
        "x509 -req -in between.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 -extfile ca.cnf -out between.pem",
    );
    request("wherry", "rsa:2048");
    run(
        folder,
        "openssl",
        "x509 -req -in wherry.csr -CA between.pem -CAkey between.key -CAcreateserial -days 30 -extfile leaf.cnf -out wherry.pem",
    );
    run(folder, "openssl", "ecparam -name prime256v1 -out curve.pem");
    request("second", "ec:curve.pem");
    run(
        folder,
        "openssl",
        "x509 -req -in second.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 -extfile leaf.cnf -out second.pem",
    );
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    write("chain.pem", &(read("root.pem") + &read("between.pem")));
    run(
        folder,
        "openssl",
        &format!(
            "pkcs12 -export -inkey wherry.key -in wherry.pem -certfile chain.pem -passout {PASSWORD} -name wherry -out new.p12"
        ),
    );
}

struct Bench {
    vault: Vault,
    rules: FileRules,
}

impl Bench {
    fn new() -> Self {
        let vault = Vault::new();
        workshop(vault.folder.path());
        vault.set("password", "hunter2-hunter2");
        vault.set("wrong", "hunter3-hunter3");
        Self { vault, rules: FileRules::default() }
    }

    fn run(&self, program: &str, arguments: &str) {
        run(self.vault.folder.path(), program, arguments);
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.vault.path(file)).unwrap()
    }

    fn load(&self, store: Value) -> Result<Certified, CertificateError> {
        let store = serde_json::from_value(store).unwrap();
        let environment = "prod".parse().unwrap();
        certificates::load(&store, &self.rules, &|name| self.vault.secrets.get(&environment, name))
    }

    fn file(&self, kind: &str, file: &str, password: &str) -> Value {
        json!({ "type": kind, "store": { "file": self.vault.path(file) }, "password": { "secret": password } })
    }

    /// The file `certificate`.
    fn der(&self, certificate: &str) -> Vec<u8> {
        rustls_pki_types::CertificateDer::from_pem_slice(&self.read(certificate)).unwrap().to_vec()
    }

    /// Whether it is the key and chain of `wherry`, usable for TLS.
    #[track_caller]
    fn is_wherry(&self, loaded: Result<Certified, CertificateError>) {
        let loaded = loaded.map_err(|error| error.to_string()).unwrap();
        let chain: Vec<Vec<u8>> = loaded.chain.iter().map(|certificate| certificate.to_vec()).collect();
        assert_eq!(chain, [self.der("wherry.pem"), self.der("between.pem")], "leaf first, no root");
        let key = tls::provider().key_provider.load_private_key(loaded.key.clone_key()).unwrap();
        let wanted = rustls::sign::CertifiedKey::new(loaded.chain.clone(), key);
        wanted.keys_match().unwrap();
    }
}

#[track_caller]
fn code(loaded: Result<Certified, CertificateError>) -> (String, String) {
    let error = loaded.err().expect("a refusal");
    (error.code().as_str().to_owned(), error.to_string())
}

#[test]
fn pkcs12_of_openssl_new_and_old_opens_from_file_and_secret() {
    if !has("openssl", "PKCS#12 stores") {
        return;
    }
    let bench = Bench::new();
    let export = format!("pkcs12 -export -inkey wherry.key -in wherry.pem -certfile chain.pem -passout {PASSWORD}");
    bench.run("openssl", &format!("{export} -legacy -out legacy.p12"));
    bench.run("openssl", &format!("{export} -legacy -descert -out des.p12"));
    bench.run(
        "openssl",
        &format!("{export} -keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha512 -iter 10000 -out sha512.p12"),
    );
    bench.run("openssl", &format!("{export} -keypbe NONE -certpbe NONE -out open.p12"));
    for file in ["new.p12", "legacy.p12", "des.p12", "sha512.p12", "open.p12"] {
        bench.is_wherry(bench.load(bench.file("PFXFILE", file, "password")));
        let (wrong, message) = code(bench.load(bench.file("PFXFILE", file, "wrong")));
        assert_eq!(wrong, "certificate.password_wrong", "{file}: {message}");
        bench.vault.set("store", STANDARD.encode(bench.read(file)));
        let blob = json!({ "type": "PFXBLOB", "store": { "secret": "store" }, "password": { "secret": "password" } });
        bench.is_wherry(bench.load(blob));
    }
    // As `base64` wraps it.
    let wrapped: Vec<String> = STANDARD
        .encode(bench.read("new.p12"))
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8_lossy(line).into())
        .collect();
    bench.vault.set("store", wrapped.join("\n") + "\n");
    bench.is_wherry(
        bench.load(json!({ "type": "PFXBLOB", "store": { "secret": "store" }, "password": { "secret": "password" } })),
    );
    let without = json!({ "type": "PFXFILE", "store": { "file": bench.vault.path("new.p12") } });
    assert_eq!(code(bench.load(without)).0, "certificate.password_wrong");
}

#[test]
fn stores_of_java_open_as_java_writes_them_now_and_old_ones_say_how_to_convert_them() {
    if !has("openssl", "Java key stores") || !has("keytool", "Java key stores") {
        return;
    }
    let bench = Bench::new();
    let import = "-importkeystore -noprompt -srckeystore new.p12 -srcstoretype PKCS12 -srcstorepass hunter2-hunter2 -deststorepass hunter2-hunter2";
    bench.run("keytool", &format!("{import} -destkeystore client.jks"));
    for kind in ["JKSFILE", "PFXFILE"] {
        bench.is_wherry(bench.load(bench.file(kind, "client.jks", "password")));
    }
    bench.vault.set("store", STANDARD.encode(bench.read("client.jks")));
    bench.is_wherry(
        bench.load(json!({ "type": "JKSBLOB", "store": { "secret": "store" }, "password": { "secret": "password" } })),
    );
    for old in ["JKS", "JCEKS"] {
        bench.run("keytool", &format!("{import} -destkeystore old.{old} -deststoretype {old}"));
        let (refused, message) = code(bench.load(bench.file("JKSFILE", &format!("old.{old}"), "password")));
        assert_eq!(refused, "certificate.unsupported");
        assert!(message.contains("keytool -importkeystore"), "{message}");
        // What the message says works.
        let back = format!(
            "-importkeystore -noprompt -srckeystore old.{old} -srcstoretype {old} -srcstorepass hunter2-hunter2 -deststorepass hunter2-hunter2 -destkeystore {old}.p12 -deststoretype PKCS12"
        );
        bench.run("keytool", &back);
        bench.is_wherry(bench.load(bench.file("PFXFILE", &format!("{old}.p12"), "password")));
    }
    bench.run("keytool", "-import -noprompt -file root.pem -alias root -keystore trust.jks -storepass hunter2-hunter2");
    let (refused, message) = code(bench.load(bench.file("JKSFILE", "trust.jks", "password")));
    assert_eq!(refused, "certificate.malformed", "{message}");
}

#[test]
fn pem_opens_in_every_order_and_spelling_that_openssl_writes() {
    if !has("openssl", "PEM stores") {
        return;
    }
    let bench = Bench::new();
    bench.run("openssl", "rsa -in wherry.key -traditional -out rsa.key");
    bench.run("openssl", &format!("pkcs8 -topk8 -v2 aes-256-cbc -in wherry.key -passout {PASSWORD} -out sealed.key"));
    bench.run("openssl", &format!("rsa -in wherry.key -traditional -aes128 -passout {PASSWORD} -out proc.key"));
    bench.run("openssl", &format!("pkcs8 -topk8 -v1 PBE-SHA1-3DES -in wherry.key -passout {PASSWORD} -out old.key"));
    bench.run("openssl", &format!("pkcs12 -in new.p12 -passin {PASSWORD} -nodes -out all.pem"));
    let certificates = [bench.read("chain.pem"), bench.read("wherry.pem")].concat();
    for key in ["wherry.key", "rsa.key", "sealed.key"] {
        for text in [[bench.read(key), certificates.clone()].concat(), [certificates.clone(), bench.read(key)].concat()]
        {
            std::fs::write(bench.vault.path("store.pem"), &text).unwrap();
            bench.is_wherry(bench.load(bench.file("PEMKEY_FILE", "store.pem", "password")));
            bench.vault.set("store", &text);
            let blob =
                json!({ "type": "PEMKEY_BLOB", "store": { "secret": "store" }, "password": { "secret": "password" } });
            bench.is_wherry(bench.load(blob));
        }
    }
    bench.is_wherry(bench.load(bench.file("PEMKEY_FILE", "all.pem", "password")));
    let sealed = [bench.read("sealed.key"), certificates].concat();
    std::fs::write(bench.vault.path("store.pem"), sealed).unwrap();
    assert_eq!(code(bench.load(bench.file("PEMKEY_FILE", "store.pem", "wrong"))).0, "certificate.password_wrong");
    let without = json!({ "type": "PEMKEY_FILE", "store": { "file": bench.vault.path("store.pem") } });
    assert_eq!(code(bench.load(without)).0, "certificate.password_wrong");
    for old in ["proc.key", "old.key"] {
        let (refused, message) = code(bench.load(bench.file("PEMKEY_FILE", old, "password")));
        assert_eq!(refused, "certificate.unsupported", "{old}");
        assert!(message.contains("openssl pkcs8 -topk8"), "{message}");
    }
    for (bad, expected) in [("chain.pem", "certificate.malformed"), ("new.p12", "certificate.malformed")] {
        assert_eq!(code(bench.load(bench.file("PEMKEY_FILE", bad, "password"))).0, expected, "{bad}");
    }
    // A key alone is enough to sign with.
    let alone = bench.load(bench.file("PEMKEY_FILE", "wherry.key", "password")).unwrap();
    assert!(alone.chain.is_empty());
}

#[test]
fn a_subject_picks_one_of_several_certificates() {
    if !has("openssl", "subjects of certificates") {
        return;
    }
    let bench = Bench::new();
    let all = ["wherry.key", "wherry.pem", "second.key", "second.pem", "chain.pem"];
    let all: Vec<u8> = all.iter().flat_map(|file| bench.read(file)).collect();
    bench.vault.set("store", all);
    let with = |subject: Value| {
        bench.load(json!({ "type": "PEMKEY_BLOB", "store": { "secret": "store" }, "subject": subject }))
    };
    for first in
        [Value::Null, json!("*"), json!(""), json!("CN=wherry"), json!("O=Example"), json!("cn=WHERRY, o=example")]
    {
        bench.is_wherry(with(first));
    }
    for second in ["CN=second", "second", "O=Example,CN=second"] {
        assert_eq!(with(json!(second)).unwrap().chain[0].to_vec(), bench.der("second.pem"), "{second}");
    }
    for none in ["CN=third", "CN=root", "CN=wher", "OU=wherry", "CN=wherry,O=Other"] {
        let (refused, message) = code(with(json!(none)));
        assert_eq!(refused, "certificate.not_found", "{none}");
        assert!(!message.contains("Example"), "what is in the store stays on the agent: {message}");
    }
    let foreign = [bench.read("wherry.key"), bench.read("second.pem")].concat();
    bench.vault.set("store", foreign);
    assert_eq!(code(with(Value::Null)).0, "certificate.not_found");
}

#[test]
fn nonsense_is_no_store_and_says_nothing_of_what_it_is() {
    let (vault, signer) = (Vault::new(), Signer::new("ours"));
    let environment = "prod".parse().unwrap();
    vault.set("password", "hunter2-hunter2");
    let key = signer.sign(&params("wherry", &[])).key;
    for (kind, content) in [
        ("PEMKEY_BLOB", "hunter2"),
        ("PEMKEY_BLOB", "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n"),
        ("PEMKEY_BLOB", "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        (
            "PEMKEY_BLOB",
            &format!("{}-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", key.serialize_pem()),
        ),
        ("PFXBLOB", "hunter2"),
        ("PFXBLOB", "aHVudGVyMg=="),
        ("PFXBLOB", "MIIB"),
        ("JKSBLOB", "aHVudGVyMg=="),
    ] {
        vault.set("store", content);
        let store = json!({ "type": kind, "store": { "secret": "store" }, "password": { "secret": "password" } });
        let store = serde_json::from_value(store).unwrap();
        let lookup = |name: &wherry_domain::name::Name| vault.secrets.get(&environment, name);
        let error = certificates::load(&store, &FileRules::default(), &lookup).err().unwrap();
        assert_eq!(error.code().as_str(), "certificate.malformed", "{kind} {content}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
