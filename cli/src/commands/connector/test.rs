//! `wherry connector test`.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::Context;
use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;
use crate::prompt::confirm;
use crate::table::{Column, list, text};
use crate::trial::case::{self, Case};
use crate::trial::{self, Finding, System, build};
use crate::{manifest, package};

const FINDINGS: &[Column] =
    &[text("CASE", "case"), text("CHECK", "check"), text("RESULT", "result"), list("FAULTS", "faults")];
/// Shorter words of a credential stand in ordinary texts too.
const SECRET: usize = 6;

/// Runs the connector in the real host against recorded answers, and checks that it keeps the contract.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The connector's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// A component that is built already.
    #[arg(long, value_name = "COMPONENT")]
    wasm: Option<PathBuf>,
    /// Records the cases that have no recording yet, from the system at this address.
    #[arg(long, value_name = "URL")]
    record: Option<String>,
    /// While recording: a file with the credential as one header, such as `authorization: Bearer ...`.
    #[arg(long, value_name = "FILE", requires = "record")]
    credential: Option<PathBuf>,
    /// While recording: does not ask before a case changes something in the system, as targets do.
    #[arg(long, requires = "record")]
    yes: bool,
}

impl Test {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let tests = self.folder.join("tests");
        let mut cases = case::all(&tests)?;
        let manifest = manifest::of_folder(&self.folder).filter(|_| self.wasm.is_none());
        let packed = manifest.map(|manifest| manifest::pack(&manifest, None)?.to_file()).transpose()?;
        let component = match (&self.wasm, &packed) {
            (Some(component), _) => {
                package::component(component)?;
                component.clone()
            }
            (None, Some(packed)) => packed.path().to_owned(),
            (None, None) => build::component(&self.folder).await?,
        };
        let mut recorded = Vec::new();
        if let Some(url) = &self.record {
            recorded = self.record(&component, &cases, url, context).await?;
            cases = case::all(&tests)?;
        }
        let spinner = context.screen.spinner("testing the connector".to_owned());
        let findings = trial::carry_out(&component, &cases).await;
        spinner.finish_and_clear();
        let findings = findings?;
        let told = tell(&findings, context);
        let failed = |name: &str| findings.iter().any(|finding| !finding.passed && finding.case == name);
        for (name, file) in recorded.iter().filter(|(name, _)| failed(name)) {
            context.screen.note(&format!(
                "{name} failed with what was just recorded: correct the case, or delete {} to record it again",
                file.display()
            ));
        }
        told
    }

    /// Records every case that has no recording yet; their names and files.
    async fn record(
        &self,
        component: &Path,
        cases: &[Case],
        url: &str,
        context: &Context,
    ) -> Outcome<Vec<(String, PathBuf)>> {
        let system = system(url, self.credential.as_deref())?;
        let missing: Vec<&Case> = cases.iter().filter(|case| case.lines.is_none()).collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let changing = trial::changing(component, &missing).await?;
        if !changing.is_empty() {
            let calls: Vec<String> =
                changing.iter().map(|case| format!("{} calls {}", case.name, case.content.activity)).collect();
            confirm(&format!("Recording really changes the system at {url}: {}. Go on?", calls.join(", ")), self.yes)?;
        }
        for case in &missing {
            record(component, case, &system, context).await?;
        }
        Ok(missing.into_iter().map(|case| (case.name.clone(), case.recording.clone())).collect())
    }
}

async fn record(component: &Path, case: &Case, system: &System, context: &Context) -> Outcome {
    let mut secrets = system.secrets.clone();
    secrets.extend(case.content.secrets.iter().cloned());
    let system = System { secrets, url: system.url.clone(), credential: system.credential.clone() };
    let lines = trial::record(component, case, &system).await?;
    let text = format!("{:#}\n", Value::Array(lines));
    fs::write(&case.recording, text).map_err(|error| unwritable(&case.recording, error))?;
    context.screen.note(&format!("recorded {}; read it before you keep it", case.recording.display()));
    Ok(())
}

fn tell(findings: &[Finding], context: &Context) -> Outcome {
    let failed = findings.iter().filter(|finding| !finding.passed).count();
    let items: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let result = if finding.passed { "ok" } else { "FAILED" };
            json!({
                "case": finding.case,
                "check": finding.check,
                "result": result,
                "passed": finding.passed,
                "faults": finding.faults,
            })
        })
        .collect();
    context.screen.list(FINDINGS, &json!({ "items": items, "passed": failed == 0 }));
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} of {} checks failed", findings.len());
    Err(CliError::new(Exit::Failed, codes::CONNECTOR_TEST_FAILED, message))
}

/// The system, its credential, and every part of the credential that could stand in an answer.
fn system(url: &str, credential: Option<&Path>) -> Outcome<System> {
    let Some(file) = credential else {
        return Ok(System { url: url.to_owned(), credential: None, secrets: Vec::new() });
    };
    let text = fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
    let header = text.trim().split_once(':').filter(|(name, value)| !name.is_empty() && !value.trim().is_empty());
    let (name, value) =
        header.ok_or_else(|| unreadable(file, "it holds no header, such as authorization: Bearer ..."))?;
    let value = value.trim();
    let words = value.split_whitespace().filter(|word| word.len() >= SECRET);
    let mut secrets: Vec<String> = words.clone().map(str::to_owned).collect();
    for word in words {
        // Basic: the password inside.
        let plain = STANDARD.decode(word).ok().and_then(|plain| String::from_utf8(plain).ok());
        if let Some((_, password)) = plain.as_deref().and_then(|plain| plain.split_once(':')) {
            secrets.push(password.to_owned());
        }
    }
    // Longer ones first: a part of a secret must not spoil the whole.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(System { url: url.to_owned(), credential: Some((name.trim().to_owned(), value.to_owned())), secrets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_credential_counts_as_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credential");
        fs::write(&file, format!("Authorization: Basic {}\n", STANDARD.encode("me:pass word"))).unwrap();
        let system = system("https://crm.example", Some(&file)).unwrap();
        assert_eq!(system.secrets, [STANDARD.encode("me:pass word"), "pass word".to_owned()]);
        assert_eq!(system.credential.unwrap().0, "Authorization");
        fs::write(&file, "only-a-token").unwrap();
        assert!(super::system("https://crm.example", Some(&file)).is_err());
    }
}
