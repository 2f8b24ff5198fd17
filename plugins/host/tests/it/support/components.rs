//! The components under test: built where that is due, compiled once per engine, then loaded from disk as an agent
//! would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use wherry_host::{Connector, Host, HostSettings};

const PLUGINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub(crate) fn host() -> Host {
    Host::new(HostSettings::default()).unwrap()
}

pub(crate) fn http() -> Connector {
    load(&host(), "http")
}

pub(crate) fn hostile() -> Connector {
    load(&host(), "hostile")
}

pub(crate) fn hostile_with(settings: HostSettings) -> Connector {
    load(&Host::new(settings).unwrap(), "hostile")
}

/// The bytes of `plugins/<name>`.
pub(crate) fn wasm(name: &str) -> Vec<u8> {
    std::fs::read(find(name)).unwrap()
}

/// Compiles what has not been compiled yet; the tests run in a process each, and compiling is the slow part.
fn load(host: &Host, name: &str) -> Connector {
    let wasm = find(name);
    let age = modified(&wasm).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let compiled = cache.join(format!("{name}-{age}-{}.cwasm", host.compatibility()));
    if !compiled.exists() {
        let code = host.compile(&std::fs::read(&wasm).unwrap()).unwrap();
        std::fs::create_dir_all(cache).unwrap();
        let unfinished = tempfile::NamedTempFile::new_in(cache).unwrap();
        std::fs::write(unfinished.path(), code).unwrap();
        unfinished.persist(&compiled).unwrap();
    }
    host.load(&compiled).unwrap()
}

/// A component in `$WHERRY_CONNECTORS`, or in the target folder, where it is built unless it is newer than its source.
fn find(name: &str) -> PathBuf {
    let file = format!("wherry_connector_{name}.wasm");
    if let Some(folder) = std::env::var_os("WHERRY_CONNECTORS") {
        return Path::new(&folder).join(file);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built = target.join("wasm32-wasip2/connector").join(file);
    let sources = [format!("{PLUGINS}/{name}/src"), format!("{PLUGINS}/wit/v1")];
    let newest = sources.iter().map(|folder| newest(Path::new(folder))).max().unwrap();
    if !built.exists() || modified(&built) < newest {
        build(name);
    }
    built
}

/// One build at a time in this process; other processes wait for cargo's own lock.
static BUILDING: Mutex<()> = Mutex::new(());

fn build(name: &str) {
    let _turn = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let package = format!("wherry-connector-{name}");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--package", &package, "--target", "wasm32-wasip2", "--profile", "connector", "--lib"])
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
