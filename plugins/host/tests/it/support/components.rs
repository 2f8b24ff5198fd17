//! The components under test: built where that is due, compiled once per engine, then loaded from disk as an agent
//! would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use wherry_host::{Connector, Host, HostSettings};

pub(crate) const PLUGINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub(crate) fn host() -> Host {
    Host::new(HostSettings::default()).unwrap()
}

pub(crate) fn http() -> Connector {
    load(&host(), "http")
}

pub(crate) fn http_with(settings: HostSettings) -> Connector {
    load(&Host::new(settings).unwrap(), "http")
}

pub(crate) fn hostile() -> Connector {
    load(&host(), "hostile")
}

pub(crate) fn hostile_with(settings: HostSettings) -> Connector {
    load(&Host::new(settings).unwrap(), "hostile")
}

/// The component written by hand, with this in its marked place.
pub(crate) fn by_hand(host: &Host, start: &str) -> Connector {
    let wat = include_str!("../by_hand.wat").replace(";; start", start);
    host.load_wasm(&wat::parse_str(wat).unwrap()).unwrap()
}

/// The bytes of `plugins/<name>`.
pub(crate) fn wasm(name: &str) -> Vec<u8> {
    std::fs::read(find(name)).unwrap()
}

fn load(host: &Host, name: &str) -> Connector {
    let wasm = find(name);
    let compiled = compiled(name, &wasm, &host.compatibility(), |wasm| host.compile(wasm).unwrap());
    host.load(&compiled).unwrap()
}

/// Compiles what has not been compiled yet; the tests run in a process each, and compiling is the slow part.
pub(crate) fn compiled(
    name: &str,
    wasm: &Path,
    compatibility: &str,
    compile: impl FnOnce(&[u8]) -> Vec<u8>,
) -> PathBuf {
    let age = modified(wasm).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let compiled = cache.join(format!("{name}-{age}-{compatibility}.cwasm"));
    if !compiled.exists() {
        let code = compile(&std::fs::read(wasm).unwrap());
        std::fs::create_dir_all(cache).unwrap();
        let unfinished = tempfile::NamedTempFile::new_in(cache).unwrap();
        std::fs::write(unfinished.path(), code).unwrap();
        unfinished.persist(&compiled).unwrap();
    }
    compiled
}

/// The connector that the guide explains.
pub(crate) fn contacts() -> Connector {
    load(&host(), "contacts")
}

/// The connector for Jira Service Management.
pub(crate) fn jira() -> Connector {
    load(&host(), "jira-service-management")
}

/// The component that was built when the contract was frozen.
pub(crate) fn frozen() -> Connector {
    let wasm = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/contract-1.0.0.wasm");
    let host = host();
    let compiled = compiled("contract-1.0.0", &wasm, &host.compatibility(), |wasm| host.compile(wasm).unwrap());
    host.load(&compiled).unwrap()
}

fn find(name: &str) -> PathBuf {
    let folder = [format!("{PLUGINS}/{name}/src"), format!("{PLUGINS}/examples/{name}/src")];
    let folder = folder.iter().find(|folder| Path::new(folder).exists()).unwrap();
    let sources = [folder, &format!("{PLUGINS}/sdk/src"), &format!("{PLUGINS}/wit/v1")];
    built(&format!("wherry-connector-{name}"), &sources.map(String::as_str))
}

/// A component in `$WHERRY_CONNECTORS`, or in the target folder, where it is built unless it is newer than its source.
pub(crate) fn built(package: &str, sources: &[&str]) -> PathBuf {
    let file = format!("{}.wasm", package.replace('-', "_"));
    if let Some(folder) = std::env::var_os("WHERRY_CONNECTORS") {
        return Path::new(&folder).join(file);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built = target.join("wasm32-wasip2/connector").join(file);
    let newest = sources.iter().map(|folder| newest(Path::new(folder))).max().unwrap();
    if !built.exists() || modified(&built) < newest {
        build(package);
    }
    built
}

/// One build at a time in this process; other processes wait for cargo's own lock.
static BUILDING: Mutex<()> = Mutex::new(());

fn build(package: &str) {
    let _turn = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--package", package, "--target", "wasm32-wasip2", "--profile", "connector", "--lib"])
        .current_dir(PLUGINS)
        .status()
        .unwrap();
    assert!(status.success(), "{package} does not build");
}

fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { newest(&path) } else { modified(&path) }).max().unwrap()
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}
