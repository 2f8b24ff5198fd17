//! Every kind of fault of a project, with the place, code and suggestion that a person sees.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A project without faults, to which each case adds or replaces one file.
const SOUND: &[(&str, &str)] = &[
    ("wherry.yaml", "name: desk\nvariables: { site: ber }\n"),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://crm.example\nauth: { type: bearer, token: { secret: t } }\n",
    ),
    ("operations/copy.yaml", "source: { connection: crm, activity: query, with: { path: \"/{{ vars.site }}\" } }\n"),
];

/// A file, its content, and the faults as `file:line:column code [suggestion]`.
const CASES: &[(&str, &str, &[&str])] = &[
    // YAML itself
    ("operations/x.yaml", "source: [\n", &["operations/x.yaml:1:9 project.yaml_invalid"]),
    (
        "operations/x.yaml",
        "source: {connection: crm, activity: q}\nsource: {}\n",
        &["operations/x.yaml:2:1 project.yaml_invalid"],
    ),
    ("wherry.yaml", "name: desk\n---\nname: two\n", &["wherry.yaml:2:1 project.yaml_invalid"]),
    ("operations/x.yaml", "", &["operations/x.yaml:1:1 project.value_invalid"]),
    // keys
    ("wherry.yaml", "name: desk\nvariable: {}\n", &["wherry.yaml:2:1 project.key_unknown variables"]),
    ("wherry.yaml", "description: x\n", &["wherry.yaml:1:1 project.key_missing"]),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nuse_prxy: true\n",
        &["connections/crm.yaml:3:1 project.key_unknown use_proxy"],
    ),
    ("connections/crm.yaml", "url: https://x\n", &["connections/crm.yaml:1:1 project.key_missing"]),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\nretry: { attempts: 3, bckoff: fixed }\n",
        &["operations/x.yaml:2:23 project.key_unknown backoff"],
    ),
    // tls
    ("connections/crm.yaml", "connector: http\nurl: http://x\n", &["connections/crm.yaml:2:6 project.tls_required"]),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\ntls: { ca: abc }\n",
        &["connections/crm.yaml:3:12 project.value_invalid"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\ntls:\n  client_certificate: { type: P7BFILE, store: { file: /a } }\n",
        &["connections/crm.yaml:4:31 project.tls_invalid"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\ntls:\n  client_certificate: { type: PFXFLE, store: { file: /a, secret: b } }\n",
        &["connections/crm.yaml:4:31 project.value_invalid PFXFILE", "connections/crm.yaml:4:46 project.value_invalid"],
    ),
    // auth
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth:\n  type: login_token\n  username: u\n  pasword: { secret: p }\n",
        &["connections/crm.yaml:4:3 project.key_missing", "connections/crm.yaml:6:3 project.key_unknown password"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth:\n  type: oauth1\n  signature_method: RSA-SHA1\n  consumer_key: c\n  token: { secret: t }\n",
        &["connections/crm.yaml:4:3 project.auth_invalid"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth: { type: auto, user: u, api_token: { secret: t }, password: pw }\n",
        &["connections/crm.yaml:3:66 project.value_invalid"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth: { type: api_key, in: querry, name: k, key: { secret: t } }\n",
        &["connections/crm.yaml:3:28 project.value_invalid query"],
    ),
    // values
    ("wherry.yaml", "name: 5\n", &["wherry.yaml:1:7 project.value_invalid"]),
    ("wherry.yaml", "- name\n", &["wherry.yaml:1:1 project.value_invalid"]),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nuse_proxy: yes\n",
        &["connections/crm.yaml:3:12 project.value_invalid"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nuse_proxy: false\nproxy: dmz\n",
        &["connections/crm.yaml:4:8 project.proxy_contradicted"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nproxy: [dmz]\n",
        &["connections/crm.yaml:3:8 project.value_invalid"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth: { type: basik }\n",
        &["connections/crm.yaml:3:15 project.value_invalid basic"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth: { type: bearer, token: abc }\n",
        &["connections/crm.yaml:3:30 project.value_invalid"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\ntimeout: 5\n",
        &["operations/x.yaml:2:10 project.value_invalid"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\nside_effects: keyd\n",
        &["operations/x.yaml:2:15 project.value_invalid keyed"],
    ),
    // names
    (
        "connections/a:b.yaml",
        "connector: http\nurl: https://x\n",
        &["connections/a:b.yaml:1:1 project.name_invalid a-b.yaml"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: cr/m, activity: query }\n",
        &["operations/x.yaml:1:23 project.name_invalid cr-m"],
    ),
    (
        "wherry.yaml",
        "name: desk\nvariables: { site: ber, Big_One: 1 }\n",
        &["wherry.yaml:2:25 project.name_invalid big-one"],
    ),
    // references
    (
        "operations/x.yaml",
        "source: { connection: crn, activity: query }\n",
        &["operations/x.yaml:1:23 project.connection_unknown crm"],
    ),
    (
        "operations/x.yaml",
        "source:\n  connection: crm\n  activity: query\n  with:\n    path: \"/{{ vars.sitee }}\"\n",
        &["operations/x.yaml:5:11 project.variable_unknown vars.site"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\non_failure: coppy\n",
        &["operations/x.yaml:2:13 project.operation_unknown copy"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\non_success: x\n",
        &["operations/x.yaml:1:1 project.operation_cycle"],
    ),
    ("connections/crm.yaml", "connector: http\nurl: ftp://x\n", &["connections/crm.yaml:2:6 project.url_invalid"]),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\nretry: { attempts: 1000 }\n",
        &["operations/x.yaml:2:20 project.out_of_range"],
    ),
    // programs
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\ntransform: |\n  # one issue\n  { a: .b,\n    c: mapp(.d) }\n",
        &["operations/x.yaml:5:8 transform.invalid map"],
    ),
    (
        "operations/x.yaml",
        "transform: |-\n\n    .a\n    | mapp(.d)\nsource: { connection: crm, activity: query }\n",
        &["operations/x.yaml:4:7 transform.invalid map"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\nwhen: .open & true\ntransform: \"env\"\n",
        &["operations/x.yaml:2:13 transform.invalid", "operations/x.yaml:3:13 transform.invalid"],
    ),
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\ntransform:\n  a: .b\n",
        &["operations/x.yaml:3:3 project.value_invalid"],
    ),
    // not in this version
    (
        "operations/x.yaml",
        "source: { connection: crm, activity: query }\nschedule: { cron: \"* * * * *\" }\ntrigger: x\n",
        &["operations/x.yaml:2:1 project.not_supported", "operations/x.yaml:3:1 project.not_supported"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\noauth_settings_location: /x\n",
        &["connections/crm.yaml:3:1 project.not_supported"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth: { type: ntlm }\n",
        &["connections/crm.yaml:3:15 project.not_supported"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth:\n  type: auto\n  user: u\n  password: { secret: p }\n  sso_login_url: https://c\n",
        &["connections/crm.yaml:7:3 project.not_supported"],
    ),
    (
        "connections/crm.yaml",
        "connector: http\nurl: https://x\nauth: { type: saml }\n",
        &["connections/crm.yaml:3:15 project.not_supported"],
    ),
    ("templates/report.hbs", "x", &["templates:1:1 project.not_supported"]),
    // files that nothing would read
    ("operations/x.yml", "x", &["operations/x.yml:1:1 project.file_unknown x.yaml"]),
    ("operation/x.yaml", "x", &["operation:1:1 project.file_unknown operations"]),
    ("notes.yaml", "x", &["notes.yaml:1:1 project.file_unknown"]),
    ("README.md", "x", &[]),
    // a fault in one file does not hide those in others, nor make its own name unknown
    ("connections/crm.yaml", "connector: http\n", &["connections/crm.yaml:1:1 project.key_missing"]),
    ("wherry.yaml", "name: desk\nvariables: [site]\n", &["wherry.yaml:2:12 project.value_invalid"]),
];

#[test]
fn every_fault_is_reported_with_its_place_code_and_suggestion() {
    for (file, content, expected) in CASES {
        let folder = project(&[(file, content)]);
        assert_eq!(faults(folder.path()), *expected, "{file}:\n{content}");
    }
}

#[test]
fn all_faults_are_reported_at_once_in_the_order_of_files_and_lines() {
    let folder = project(&[
        ("connections/crm.yaml", "connector: http\nurl: ftp://x\n"),
        ("operations/b.yaml", "source: { connection: none, activity: query }\ntimeout: soon\n"),
        ("operations/a.yaml", "source: { connection: none, activity: query }\n"),
    ]);
    assert_eq!(
        faults(folder.path()),
        [
            "connections/crm.yaml:2:6 project.url_invalid",
            "operations/a.yaml:1:23 project.connection_unknown",
            "operations/b.yaml:2:10 project.value_invalid",
        ]
    );
}

#[test]
fn a_person_sees_the_place_the_line_and_the_way_out() {
    let folder = project(&[("operations/x.yaml", "source: { connection: crn, activity: query }\n")]);
    let output = check(folder.path(), &[]);
    let shown = String::from_utf8(output.stderr).unwrap();
    let file = folder.path().join("operations/x.yaml").display().to_string();
    assert_eq!(
        shown,
        format!(
            "{file}:1:23: no connection or alias of this project is called crn\n    \
             1 | source: {{ connection: crn, activity: query }}\n      \
             |                       ^\n      \
             code  project.connection_unknown\n      \
             fix   did you mean \"crm\"?\n\
             error: the project has 1 fault\n  \
             code   project.invalid\n  \
             see    docs/errors/project.invalid.md\n"
        )
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_password_written_into_a_connection_by_mistake_is_never_shown() {
    let text = "connector: http\nurl: https://x\nauth: { type: basic, username: me, password: hunter2, pasword: x }\n";
    let folder = project(&[("connections/crm.yaml", text)]);
    for format in ["table", "json"] {
        let output = check(folder.path(), &["--output", format]);
        let shown = String::from_utf8(output.stderr).unwrap();
        assert!(shown.contains("project.value_invalid") && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn links_out_of_the_folder_and_huge_files_are_not_read() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret.yaml"), "password: hunter2\n").unwrap();
    let folder = project(&[]);
    let link = folder.path().join("operations/leak.yaml");
    std::os::unix::fs::symlink(elsewhere.path().join("secret.yaml"), link).unwrap();
    fs::write(folder.path().join("operations/huge.yaml"), " ".repeat((1 << 20) + 1)).unwrap();
    fs::write(folder.path().join("operations/binary.yaml"), b"\xff\xfe").unwrap();
    assert_eq!(
        faults(folder.path()),
        [
            "operations/binary.yaml:1:1 project.file_unreadable",
            "operations/huge.yaml:1:1 project.too_large",
            "operations/leak.yaml:1:1 project.file_unreadable",
        ]
    );
}

#[test]
fn a_folder_without_a_project_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    assert_eq!(faults(folder.path()), ["wherry.yaml:1:1 project.file_missing"]);
    assert_eq!(faults(&folder.path().join("nowhere")), [":1:1 project.file_unreadable"]);
}

#[test]
fn every_key_of_the_format_is_accepted_as_the_domain_reads_it() {
    let folder = project(&[
        ("wherry.yaml", "name: desk\ndescription: all keys\nvariables: { site: ber, n: 5, list: [1] }\n"),
        (
            "connections/all.yaml",
            "connector: http\nurl: \"{{ vars.site }}\"\nauth: { type: basic, username: me, password: { secret: p } }\nuse_proxy: true\noptions: { a: { b: [1] } }\n",
        ),
        (
            "connections/none.yaml",
            "connector: http\nurl: http://x\nauth: { type: none }\ntls: { use_non_tls_connections: true }\n",
        ),
        (
            "connections/tls.yaml",
            "connector: http\nurl: https://x\ntls:\n  ca: { secret: ca }\n  client_certificate:\n    type: PFXBLOB\n    \
             store: { secret: store }\n    password: { secret: p }\n    subject: CN=me\n  server_certificate: \"sha256:\
             abababababababababababababababababababababababababababababababab\"\n  allow_invalid_certificates: true\n",
        ),
        (
            "connections/tls-file.yaml",
            "connector: http\nurl: https://x\ntls:\n  ca_file: /etc/ssl/ca.pem\n  \
             client_certificate: { type: PEMKEY_FILE, store: { file: /etc/ssl/me.pem } }\n",
        ),
        (
            "operations/all.yaml",
            "description: x\nsource: { connection: all, activity: query, with: { a: 1 } }\ntarget: { connection: crm, activity: send, with: {} }\n\
             when: .open\ntransform: |\n  { a: $vars.site }\n\
             retry: { attempts: 5, backoff: exponential, base: 1s, cap: 1m }\ntimeout: 5m\nside_effects: keyed\noffline_term: 1h\non_success: copy\non_failure: copy\n",
        ),
    ]);
    assert_eq!(faults(folder.path()), Vec::<String>::new());
}

#[test]
fn the_example_has_no_faults() {
    assert_eq!(faults(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/desk"))), Vec::<String>::new());
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, content) in SOUND.iter().chain(files) {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn check(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wherry"))
        .args(["project", "check"])
        .arg(folder)
        .args(arguments)
        .env_remove("WHERRY_URL")
        .env_remove("WHERRY_TOKEN")
        .env("WHERRY_CONFIG", folder.join("no-such-file"))
        .output()
        .unwrap()
}

fn faults(folder: &Path) -> Vec<String> {
    let output = check(folder, &["--output", "json"]);
    if output.status.code() == Some(0) {
        return Vec::new();
    }
    assert_eq!(output.status.code(), Some(2));
    let problem: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(problem["code"], "project.invalid");
    problem["errors"].as_array().unwrap().iter().map(|fault| line(fault, folder)).collect()
}

fn line(fault: &Value, folder: &Path) -> String {
    let file = Path::new(fault["file"].as_str().unwrap()).strip_prefix(folder).unwrap().display().to_string();
    let suggestion = fault["suggestion"].as_str().map(|text| format!(" {text}")).unwrap_or_default();
    format!("{file}:{}:{} {}{suggestion}", fault["line"], fault["column"], fault["code"].as_str().unwrap())
}
