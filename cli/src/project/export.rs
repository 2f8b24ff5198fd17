//! A deployed project written back as files, from which it can be deployed anywhere else.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The files of a project, each with its text, from the project as JSON.
pub(crate) fn files(project: &Value) -> Vec<(PathBuf, String)> {
    let mut manifest = project.as_object().cloned().unwrap_or_default();
    let mut files = Vec::new();
    for folder in ["connections", "operations"] {
        let Some(Value::Object(members)) = manifest.remove(folder) else { continue };
        let file = |(name, member): (String, Value)| (Path::new(folder).join(format!("{name}.yaml")), yaml(&member));
        files.extend(members.into_iter().map(file));
    }
    files.push(("wherry.yaml".into(), yaml(&Value::Object(manifest))));
    files.sort();
    files
}

/// Writes the files below a new folder; one that is there is left alone.
pub(crate) fn write(folder: &Path, files: &[(PathBuf, String)]) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create_new(&path)?.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// A value as YAML. Texts are quoted unless nothing else can be read into them; those with several lines are blocks.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    if let Value::Object(fields) = value
        && !fields.is_empty()
    {
        map(&mut text, fields, 0);
    } else {
        text.push_str(&inline(value));
        text.push('\n');
    }
    text
}

fn map(text: &mut String, fields: &Map<String, Value>, depth: usize) {
    for (key, value) in fields {
        text.push_str(&"  ".repeat(depth));
        text.push_str(&scalar(key));
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                map(text, inner, depth + 1);
            }
            Value::String(lines) if is_block(lines) => block(text, lines, depth + 1),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                text.push(' ');
                text.push_str(&inline(value));
                text.push('\n');
            }
        }
    }
}

/// Programs are easier to read line by line; anything unusual is quoted.
fn is_block(text: &str) -> bool {
    let plain =
        text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{feff}' && c != '\u{2028}' && c != '\u{2029}'));
    let begins = text.chars().next().is_some_and(|first| !first.is_whitespace());
    text.contains('\n') && plain && begins && !text.ends_with("\n\n") && !text.lines().any(|line| line.ends_with(' '))
}

fn block(text: &mut String, lines: &str, depth: usize) {
    text.push_str(if lines.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in lines.lines() {
        if !line.is_empty() {
            text.push_str(&"  ".repeat(depth));
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// JSON is YAML, so a list, an empty map or a quoted text is written as that.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn scalar(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    if begins && plain && !words.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn what_was_written_reads_back_as_it_was() {
        let hard = json!({
            "plain": "desk", "no": "no", "number": "0025", "half": 1.5, "empty": {}, "list": [1, "a: b", {"c": null}],
            "program": "select(.a)\n| .b\n", "open": "one\n\n  two", "odd": " leading\nand trailing \n", "tab": "a\tb",
            "colon": "a: b", "quote": "it's \"so\"", "hash": "a #b", "unicode": "Büro \u{2028} x", "deep": {"er": {"key with space": true}},
            "url": "https://eu.example/x?y={{ vars.z }}", "dash": "- x", "tilde": "~", "blank": "", "lines": "\n", "many": "a\n\n\n",
        });
        let text = yaml(&hard);
        assert_eq!(parse(&text).unwrap().to_json(), hard, "{text}");
    }

    #[test]
    fn a_project_becomes_a_folder() {
        let project = json!({
            "name": "desk", "aliases": {"crm": {"connector": "http"}}, "variables": {"n": 1},
            "connections": {"eu": {"connector": "http", "url": "https://eu.example"}}, "operations": {},
        });
        let files = files(&project);
        let names: Vec<_> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(names, ["connections/eu.yaml", "wherry.yaml"]);
        assert!(files[1].1.contains("aliases:\n  crm:\n    connector: http\n"), "{}", files[1].1);
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("desk");
        write(&target, &files).unwrap();
        assert!(super::super::load(&target).outcome().is_ok());
        assert!(write(&target, &files).is_err(), "what is there is left alone");
    }
}
