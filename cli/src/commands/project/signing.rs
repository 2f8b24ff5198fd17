//! Deployments under this person's own key. What the controller made of the project is compared with the folder first:
//! a signature is worth nothing if it covers what nobody read.

use serde_json::{Map, Value, json};
use wherry_domain::digest::Digest;
use wherry_domain::name::Name;
use wherry_domain::project::{Mapping, Project, Snapshot};
use wherry_trust::deployment::Statement;
use wherry_trust::keys::{SigningKey, sha256};

use super::super::Context;
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::prompt::confirm;

/// What is asked of the controller.
pub(crate) enum Asked {
    /// To deploy.
    Deploy,
    /// To check and change nothing.
    DryRun,
    /// For the document that the key of this id is to sign.
    ToSign(String),
    /// To deploy under this envelope.
    Signed(Value),
}

impl Asked {
    /// The fields that say so.
    pub(super) fn fields(self) -> Map<String, Value> {
        let fields = match self {
            Self::Deploy => json!({}),
            Self::DryRun => json!({"dry_run": true}),
            Self::ToSign(signer) => json!({"dry_run": true, "sign": signer}),
            Self::Signed(envelope) => json!({"envelope": envelope}),
        };
        match fields {
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        }
    }
}

/// The envelope for the deployment that the controller proposed, once this person agrees to what was filled in; nothing
/// if there is nothing to sign.
pub(super) fn envelope(
    proposed: &Value,
    (environment, project, mapping): (&Name, &Project, &Mapping),
    operator: &SigningKey,
    context: &Context,
    yes: bool,
) -> Outcome<Option<Value>> {
    let Some(document) = proposed.get("document").and_then(Value::as_str) else {
        return if proposed.get("unchanged").is_some() { Ok(None) } else { Err(altered("it sent nothing to sign")) };
    };
    let snapshot: Snapshot =
        serde_json::from_str(document).map_err(|error| altered(&format!("its document cannot be read ({error})")))?;
    if snapshot.environment != *environment {
        return Err(altered("its document is for another environment"));
    }
    let mut filled = Vec::new();
    compare(&json!(project), &json!(snapshot.project), &mut vec!["project"], &mut filled)?;
    compare(&json!(mapping), &json!(snapshot.mapping), &mut vec!["mapping"], &mut filled)?;
    for line in decided(&snapshot) {
        context.screen.note(&format!("decided by the controller: {line}"));
    }
    for line in &filled {
        context.screen.note(&format!("filled in by the controller: {line}"));
    }
    if !filled.is_empty() {
        confirm("Sign it with what was filled in?", yes)?;
    }
    context.screen.note(&format!("signed with your operator key {}", operator.public()));
    let digest: Digest = sha256(document.as_bytes());
    let statement = Statement::new(environment.clone(), project.name.clone(), snapshot.number, digest);
    let envelope =
        statement.sign(operator).map_err(|error| CliError::new(Exit::Failed, error.code(), error.to_string()))?;
    let envelope = serde_json::from_slice(&envelope.to_json());
    envelope.map(Some).map_err(|_| altered("its document cannot be signed"))
}

/// What no folder says, in the order of the document: how often each operation may be done, and which bytes its
/// connectors were when it was deployed.
fn decided(snapshot: &Snapshot) -> Vec<String> {
    let classes = snapshot.side_effects.iter().map(|(operation, class)| format!("operation {operation} is {class}"));
    let pins = snapshot.connectors.iter().map(|(name, pin)| format!("connector {name} {} {}", pin.version, pin.digest));
    classes.chain(pins).collect()
}

/// Everything that was sent has to be there, and nothing beside it but what registrations of applications fill into
/// authentication, and what the environment says of aliases and variables.
fn compare<'a>(sent: &'a Value, found: &'a Value, path: &mut Vec<&'a str>, filled: &mut Vec<String>) -> Outcome {
    let (Value::Object(sent), Value::Object(found)) = (sent, found) else {
        return if sent == found { Ok(()) } else { Err(changed(path)) };
    };
    if let Some(missing) = sent.keys().find(|key| !found.contains_key(*key)) {
        path.push(missing);
        return Err(changed(path));
    }
    for (key, value) in found {
        path.push(key);
        match sent.get(key) {
            Some(sent) => compare(sent, value, path, filled)?,
            None if may_be_filled(path) => filled.push(format!("{} = {value}", path.join("."))),
            None => return Err(changed(path)),
        }
        path.pop();
    }
    Ok(())
}

fn may_be_filled(path: &[&str]) -> bool {
    matches!(path, ["project", "connections", _, "auth", ..] | ["mapping", ..])
}

fn changed(path: &[&str]) -> CliError {
    altered(&format!("{} differs from this folder", path.join(".")))
}

fn altered(what: &str) -> CliError {
    CliError::new(
        Exit::Conflict,
        codes::DEPLOYMENT_ALTERED,
        format!("the controller would deploy something else: {what}"),
    )
    .fix("nothing was signed: ask who runs the controller")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(sent: &Value, found: &Value) -> Result<Vec<String>, String> {
        let mut filled = Vec::new();
        compare(sent, found, &mut vec!["project"], &mut filled).map_err(|error| error.to_string())?;
        Ok(filled)
    }

    #[test]
    fn what_the_controller_decided_is_told_before_it_is_signed() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let snapshot: Snapshot = serde_json::from_value(json!({
            "environment": "prod", "number": 1, "project": { "name": "desk" },
            "connectors": { "http": { "version": "1.2.0", "digest": digest, "length": 1 } },
            "side_effects": { "copy": "keyed", "send": "unsafe" },
        }))
        .unwrap();
        let pin = format!("connector http 1.2.0 {digest}");
        assert_eq!(decided(&snapshot), ["operation copy is keyed", "operation send is unsafe", pin.as_str()]);
    }

    #[test]
    fn what_registrations_fill_in_is_told_and_everything_else_is_refused() {
        let sent = json!({"name": "desk", "connections": {"crm": {"url": "https://crm", "auth": {"type": "oauth2"}}}});
        assert_eq!(compared(&sent, &sent), Ok(Vec::new()));

        let mut filled = sent.clone();
        filled["connections"]["crm"]["auth"]["client_id"] = json!("wherry");
        assert_eq!(
            compared(&sent, &filled),
            Ok(vec![r#"project.connections.crm.auth.client_id = "wherry""#.to_owned()])
        );

        let spoilt = [
            ("/connections/crm/url", json!("https://evil")),
            ("/connections/crm/auth/type", json!("basic")),
            ("/name", json!("other")),
        ];
        for (at, value) in spoilt {
            let mut found = sent.clone();
            *found.pointer_mut(at).unwrap() = value;
            let refused = compared(&sent, &found).unwrap_err();
            assert!(refused.contains(&at.replace('/', ".")), "{at}: {refused}");
        }
    }

    #[test]
    fn what_was_added_or_left_out_elsewhere_is_refused() {
        let sent = json!({"connections": {"crm": {"url": "https://crm"}}});
        let more = json!({"connections": {"crm": {"url": "https://crm", "use_proxy": true}}});
        assert!(compared(&sent, &more).is_err(), "added");
        assert!(compared(&more, &sent).is_err(), "left out");
        let another = json!({"connections": {"crm": {"url": "https://crm"}, "evil": {"url": "https://evil"}}});
        assert!(compared(&sent, &another).is_err(), "another connection");
    }
}
