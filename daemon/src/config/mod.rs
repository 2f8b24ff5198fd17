//! Configuration in layers: defaults, file, environment, flags; each wins over the one before.
//!
//! Layering is the `config` crate's; reading the result is ours, because an operator should learn
//! of every fault at once, with the key it is in, and because a fault must not quote a value that
//! may be a secret.
//!
//! Keys unknown to a struct are refused, except below `#[serde(flatten)]` and inside internally
//! tagged or untagged enums, where serde hides the struct: give those `deny_unknown_fields`.

mod deserialize;
mod fault;
mod faults;
mod tree;

use std::{collections::HashMap, fs::File, io::Read, path::Path};

use serde::de::DeserializeOwned;

pub use self::faults::{ConfigFault, ConfigFaults, Faults};
use self::tree::{Origin, Tree};

/// Largest configuration file read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Loads the configuration of the process `name` (such as `agent`): the defaults of `T`, then the
/// TOML `file`, then variables such as `WHERRY_AGENT__A__B` for the key `a.b`, then `overrides` (key
/// and value) from the command line.
///
/// Values from the environment and the command line are text and become what `T` asks for; a list
/// is written with commas.
pub fn load<T: DeserializeOwned>(
    name: &str,
    file: Option<&Path>,
    overrides: &[(String, String)],
) -> Result<T, ConfigFaults> {
    let environment = std::env::vars_os()
        // What is not Unicode cannot be one of our keys; a value of ours that is not becomes a fault.
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    load_with(name, file, environment, overrides)
}

/// Reads the TOML `text` of `file` by itself: neither the environment nor the command line can change what it says.
///
/// # Errors
/// With every fault found.
pub fn parse<T: DeserializeOwned>(text: String, file: &Path) -> Result<T, ConfigFaults> {
    let text = check_syntax(file, text)?;
    let source = ::config::File::from_str(&text, ::config::FileFormat::Toml);
    let built = ::config::Config::builder().add_source(source).build();
    // Its syntax was checked above, so there is nothing left to go wrong.
    let built = built.map_err(|_| ConfigFaults::one("", "cannot be read", Origin::File))?;
    deserialize::every_fault(Tree::from(built.cache), Some(file))
}

fn load_with<T: DeserializeOwned>(
    name: &str,
    file: Option<&Path>,
    environment: HashMap<String, String>,
    overrides: &[(String, String)],
) -> Result<T, ConfigFaults> {
    let tree = layered(name, file, environment, overrides)?;
    deserialize::every_fault(tree, file)
}

fn layered(
    name: &str,
    file: Option<&Path>,
    environment: HashMap<String, String>,
    overrides: &[(String, String)],
) -> Result<Tree, ConfigFaults> {
    let mut builder = ::config::Config::builder();
    if let Some(path) = file {
        let text = read(path).and_then(|text| check_syntax(path, text))?;
        builder = builder.add_source(::config::File::from_str(&text, ::config::FileFormat::Toml));
    }
    let prefix = format!("WHERRY_{}", name.to_uppercase());
    let source = ::config::Environment::with_prefix(&prefix).prefix_separator("__").separator("__");
    builder = builder.add_source(source.source(Some(environment)));
    let flag = Origin::CommandLine.to_string();
    for (key, value) in overrides {
        let value = ::config::Value::new(Some(&flag), value.as_str());
        builder = builder
            .set_override(key, value)
            .map_err(|_| ConfigFaults::one(key, "this is not a key", Origin::CommandLine))?;
    }
    // Every source was read and checked above, so there is nothing left to go wrong.
    let layered = builder.build().map_err(|_| ConfigFaults::one("", "the layers do not fit together", Origin::File))?;
    Ok(Tree::from(layered.cache))
}

fn read(path: &Path) -> Result<String, ConfigFaults> {
    let refused = |reason: String| ConfigFaults::one("", &reason, Origin::File).in_file(path);
    let mut text = String::new();
    let file = File::open(path).map_err(|error| refused(format!("cannot be opened: {error}")))?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(refused(format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// Names line and column of a syntax fault; the parser's own text would quote the line.
fn check_syntax(path: &Path, text: String) -> Result<String, ConfigFaults> {
    let Err(error) = text.parse::<toml::Table>() else { return Ok(text) };
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    let reason = format!("line {line}, column {column}: {}", error.message().lines().next().unwrap_or("not TOML"));
    Err(ConfigFaults::one("", &reason, Origin::File).in_file(path))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Settings {
        name: String,
        #[serde(default)]
        session: Session,
        #[serde(default)]
        hosts: Vec<String>,
        #[serde(default)]
        limits: HashMap<String, u32>,
        #[serde(default)]
        mode: Mode,
        data: Data,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Session {
        port: u16,
        tls: bool,
        wait: Option<f64>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Data {
        dir: std::path::PathBuf,
        bytes: u64,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Quiet,
        Loud {
            volume: u8,
        },
    }

    const GOOD: &str = r#"
        name = "berlin"
        session = { port = 1, wait = 2.5 }
        limits = { a = 1, b = 2 }
        mode.loud.volume = 3
        [data]
        dir = "/data"
        bytes = 1_000
    "#;

    fn load_text(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, ConfigFaults> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        let flags: Vec<_> = flags.iter().map(owned).collect();
        load_with("agent", Some(&file), environment.iter().map(owned).collect(), &flags)
    }

    fn found(faults: &ConfigFaults) -> Vec<&str> {
        faults.faults().iter().map(|fault| fault.path.as_str()).collect()
    }

    #[test]
    fn each_layer_wins_over_the_one_before() {
        let environment = [
            ("WHERRY_AGENT__SESSION__PORT", "20"),
            ("WHERRY_AGENT__SESSION__TLS", "true"),
            ("WHERRY_AGENT__NAME", "7"),
            ("WHERRY_AGENT__HOSTS", "a.example, b.example"),
            ("WHERRY_CONTROLLER__NAME", "somebody else's"),
        ];
        let settings = load_text(GOOD, &environment, &[("session.port", "300"), ("mode", "quiet")]).unwrap();
        assert_eq!(settings.session, Session { port: 300, tls: true, wait: Some(2.5) });
        assert_eq!(settings.name, "7", "text stays text even if it looks like a number");
        assert_eq!(settings.hosts, ["a.example", "b.example"]);
        assert_eq!(settings.limits["b"], 2);
        assert_eq!((settings.mode, settings.data.bytes), (Mode::Quiet, 1_000));
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_keys_and_layers() {
        let text = r#"
            colour = "red"
            session = { port = 70000, tls = "hunter2", ports = 1, wait = 1 }
            hosts = ["a", 2, "c", false]
            limits = { a = "many" }
            mode.loud = { volume = 900, echo = 1 }
            [data]
            bytes = "lots"
        "#;
        let faults = load_text(text, &[("WHERRY_AGENT__SESSION__WAIT", "soon")], &[("quiet", "1")]).unwrap_err();
        let mut keys = found(&faults);
        keys.sort_unstable();
        let expected = [
            "colour",
            "data.bytes",
            "data.dir",
            "hosts[1]",
            "hosts[3]",
            "limits.a",
            "mode.loud.echo",
            "mode.loud.volume",
            "name",
            "quiet",
            "session.port",
            "session.ports",
            "session.tls",
            "session.wait",
        ];
        assert_eq!(keys, expected, "{faults}");
        let text = faults.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("session.wait: expected f64, found a text (in the environment)"), "{text}");
        assert!(text.contains("quiet: there is no such key") && text.contains("(in the command line)"), "{text}");
        assert!(text.contains("agent.toml"), "{text}");
    }

    #[test]
    fn a_syntax_fault_is_placed_without_quoting_the_line() {
        let faults = load_text("name = \"a\"\npassword = \"hunter2\n", &[], &[]).unwrap_err();
        let text = faults.to_string();
        assert!(text.contains("line 2") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_text_by_itself_is_read_with_all_its_faults() {
        let read = |text: &str| parse::<Session>(text.to_owned(), Path::new("policy.toml"));
        assert_eq!(read("port = 7").unwrap(), Session { port: 7, ..Session::default() });
        assert_eq!(found(&read("port = \"x\"\ntls = 1").unwrap_err()), ["port", "tls"]);
        assert!(read("port = ").unwrap_err().to_string().contains("policy.toml"));
    }

    #[test]
    fn a_missing_file_and_a_bad_flag_are_faults() {
        let missing = load_with::<Settings>("agent", Some(Path::new("/no/such.toml")), HashMap::new(), &[]);
        assert!(missing.unwrap_err().to_string().contains("/no/such.toml"));
        let flag = load_text(GOOD, &[], &[("a..b", "1")]).unwrap_err();
        assert_eq!(found(&flag), ["a..b"]);
    }

    #[test]
    fn faults_of_meaning_are_collected() {
        let mut faults = Faults::new();
        assert_eq!(faults.check::<u8, std::num::ParseIntError>("a", "12".parse()), Some(12));
        assert_eq!(faults.check::<u8, std::num::ParseIntError>("b", "x".parse()), None);
        faults.push("c.d", "must not be zero");
        assert_eq!(found(&faults.into_result().unwrap_err()), ["b", "c.d"]);
        Faults::new().into_result().unwrap();
    }
}
