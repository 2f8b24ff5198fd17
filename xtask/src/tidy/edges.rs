//! Who may depend on whom: the table of the architecture, and the crates that only one place may use.

use toml::{Table, Value};

use super::Finding;
use super::tree::{File, Tree};

/// Each package of the workspace with the packages of the workspace it may use.
const EDGES: [(&str, &[&str]); 17] = [
    ("wherry-domain", &[]),
    ("wherry-proto", &["wherry-domain"]),
    ("wherry-trust", &["wherry-domain"]),
    ("wherry-daemon", &["wherry-domain"]),
    ("wherry-host", &["wherry-domain"]),
    ("wherry-expr", &["wherry-domain"]),
    ("wherry-expr-guest", &["wherry-expr"]),
    ("wherry-expr-box", &[]),
    ("wherry-controller", &["wherry-daemon", "wherry-domain", "wherry-expr", "wherry-proto", "wherry-trust"]),
    (
        "wherry-agent",
        &[
            "wherry-daemon",
            "wherry-domain",
            "wherry-expr-box",
            "wherry-host",
            "wherry-proto",
            "wherry-rsa-sha1",
            "wherry-trust",
            "wherry-worker",
        ],
    ),
    ("wherry-worker", &["wherry-host"]),
    ("wherry-rsa-sha1", &[]),
    ("wherry", &["wherry-domain", "wherry-expr", "wherry-manifest", "wherry-trust"]),
    ("wherry-deploy", &["wherry-agent", "wherry-controller"]),
    ("wherry-manifest", &[]),
    ("wherry-sandbox", &[]),
    ("xtask", &[]),
];
/// Connectors see the contract and its kit, nothing else.
const CONNECTOR: &str = "wherry-connector-";
const CONNECTOR_EDGES: &[&str] = &["wherry-sdk"];
/// The engine that runs manifests knows them too.
const DECLARATIVE: &str = "wherry-connector-declarative";
/// Whole-system tests and benchmarks may use everything.
const UNBOUND: [&str; 2] = ["wherry-tests", "wherry-bench"];

/// Outside crates, by name or by `name*`, with the only packages that may use them.
const RESERVED: [(&str, &[&str]); 10] = [
    ("sled", &["wherry-daemon"]),
    ("wasmtime*", &["wherry-host"]),
    ("jaq-*", &["wherry-expr", "wherry-expr-guest"]),
    ("prost*", &["wherry-proto"]),
    ("protox*", &["wherry-proto"]),
    ("tonic-prost*", &["wherry-proto"]),
    ("serde-saphyr", &["wherry"]),
    ("ring", &[]),
    ("rsa", &["wherry-rsa-sha1"]),
    ("openssl*", &[]),
];
/// The rules of the product need nothing else; a new name here is a decision about the architecture.
const DOMAIN_CRATES: [&str; 4] = ["semver", "serde", "serde_json", "thiserror"];

/// Checks the manifest of every package, and that only the store's folder names sled.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files().filter(|file| file.name() == "Cargo.toml");
    let mut findings: Vec<_> = manifests.flat_map(check_manifest).collect();
    findings.extend(tree.rust().filter_map(check_store));
    findings
}

fn check_manifest(file: &File) -> Vec<Finding> {
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::fault(&file.path, 1, format!("not a manifest: {error}"))],
    };
    let Some(package) = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str) else {
        return Vec::new(); // the workspace itself
    };
    if UNBOUND.contains(&package) {
        return Vec::new();
    }
    let Some(edges) = edges_of(package) else {
        let text = format!("package {package} is not in the table of edges, decide who may use it and whom it uses");
        return vec![Finding::fault(&file.path, 1, text)];
    };
    let complaints = dependencies(&manifest).into_iter().filter_map(|dependency| complaint(package, edges, dependency));
    complaints.map(|(name, why)| Finding::fault(&file.path, line_of(&file.text, &name), why)).collect()
}

fn edges_of(package: &str) -> Option<&'static [&'static str]> {
    if package == DECLARATIVE {
        return Some(&["wherry-manifest", "wherry-sdk"]);
    }
    if package.starts_with(CONNECTOR) {
        return Some(CONNECTOR_EDGES);
    }
    if package == "wherry-sdk" {
        return Some(&["wherry-sdk-macros"]);
    }
    if package == "wherry-sdk-macros" {
        return Some(&[]);
    }
    EDGES.iter().find(|(name, _)| *name == package).map(|(_, edges)| *edges)
}

/// One dependency of a package.
struct Dependency {
    name: String,
    for_tests: bool,
}

fn complaint(package: &str, edges: &[&str], dependency: Dependency) -> Option<(String, String)> {
    let Dependency { name, for_tests } = dependency;
    let ours = name == "wherry" || name.starts_with("wherry-") || name == "xtask";
    if ours {
        let why = format!("{package} may not use {name}, the architecture gives it {edges:?}");
        return (!edges.contains(&name.as_str())).then_some((name, why));
    }
    let reserved = RESERVED.iter().find(|(pattern, _)| matches(pattern, &name));
    if let Some((_, users)) = reserved.filter(|(_, users)| !users.contains(&package)) {
        let why = if users.is_empty() {
            format!("nothing may use {name}")
        } else {
            format!("{package} may not use {name}, which belongs to {users:?}")
        };
        return Some((name, why));
    }
    let foreign = package == "wherry-domain" && !for_tests && !DOMAIN_CRATES.contains(&name.as_str());
    foreign.then(|| (name.clone(), format!("wherry-domain may use {DOMAIN_CRATES:?} only, not {name}")))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |stem| name.starts_with(stem))
}

/// All dependencies: normal, for building, for tests, and those of single targets.
fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    tables.flat_map(dependencies_of).collect()
}

fn dependencies_of(table: &Table) -> Vec<Dependency> {
    let kinds = [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
    let mut found = Vec::new();
    for (kind, for_tests) in kinds {
        for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
            // A renamed dependency counts under its real name.
            let name = value.get("package").and_then(Value::as_str).unwrap_or(key);
            found.push(Dependency { name: name.to_owned(), for_tests });
        }
    }
    found
}

fn line_of(text: &str, name: &str) -> usize {
    let at = text.lines().position(|line| line.trim_start().starts_with(name) || line.contains(&format!("\"{name}\"")));
    at.map_or(1, |line| line + 1)
}

fn check_store(file: &File) -> Option<Finding> {
    if file.path.starts_with("daemon/src/store") || file.is_test() {
        return None;
    }
    let source = file.source();
    let at = source.code().find("sled::")?;
    let text = "sled is used in daemon/src/store only: everything else goes through the store";
    Some(Finding::fault(&file.path, source.line_of(at), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_the_architecture_are_accepted() {
        assert_eq!(complaints("wherry-agent", "[dependencies]\nwherry-host = {}\ntonic = \"1\""), [""; 0]);
        assert_eq!(
            complaints("wherry-domain", "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nproptest = \"1\""),
            [""; 0]
        );
        assert_eq!(complaints("wherry-tests", "[dependencies]\nwherry-controller = {}"), [""; 0]);
        assert_eq!(complaints("wherry-connector-jira", "[dependencies]\nwherry-sdk = {}"), [""; 0]);
        assert!(check(&Tree::of(&[("Cargo.toml", "[workspace.dependencies]\nsled = \"1\"")])).is_empty());
    }

    #[test]
    fn every_other_edge_is_a_fault() {
        for (package, dependencies) in [
            ("wherry-domain", "[dependencies]\ntokio = \"1\""),
            ("wherry-domain", "[build-dependencies]\nwherry-trust = {}"),
            ("wherry-controller", "[dependencies]\nwherry-host = {}"),
            ("wherry-controller", "[dependencies]\nwherry-agent = {}"),
            ("wherry-controller", "[dependencies]\nsled = \"1\""),
            ("wherry-agent", "[dependencies]\nwasmtime = \"1\""),
            ("wherry-agent", "[dev-dependencies]\nwasmtime-wasi = \"1\""),
            ("wherry-agent", "[dependencies]\nprost = \"1\""),
            ("wherry-agent", "[dependencies]\nengine = { package = \"wasmtime\" }"),
            ("wherry-agent", "[target.'cfg(unix)'.dependencies]\nsled = \"1\""),
            ("wherry", "[dependencies]\nwherry-proto = {}"),
            ("wherry", "[dependencies]\nwherry-controller = {}"),
            ("wherry-controller", "[dependencies]\nserde-saphyr = \"1\""),
            ("wherry-connector-jira", "[dependencies]\nwherry-domain = {}"),
            ("wherry-trust", "[dependencies]\nring = \"1\""),
            ("newcomer", ""),
        ] {
            assert_eq!(complaints(package, dependencies).len(), 1, "{package}: {dependencies}");
        }
    }

    #[test]
    fn sled_is_named_in_the_store_only() {
        let sources = |path| check(&Tree::of(&[(path, "//! sled::\nfn a() { sled::open(x) }")])).len();
        assert_eq!(sources("daemon/src/store/disk.rs"), 0);
        assert_eq!(sources("daemon/src/store.rs"), 0);
        assert_eq!(sources("daemon/src/clock.rs"), 1);
        assert_eq!(sources("agent/src/journal.rs"), 1);
    }

    fn complaints(package: &str, dependencies: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{package}\"\n{dependencies}\n");
        check(&Tree::of(&[("x/Cargo.toml", &manifest)])).into_iter().map(|finding| finding.text).collect()
    }
}
