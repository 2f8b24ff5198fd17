//! Locks under this person's own key. What the controller sends is compared with what was asked for and with the last
//! lock of the environment that was signed on this machine; what differs is told, and agreed to, before it is signed.

use serde_json::{Map, Value};
use url::Url;
use wherry_domain::lock::Lock;
use wherry_trust::keys::SigningKey;

use super::Which;
use super::judged::{Action, Asked, Judged, judge};
use crate::codes;
use crate::commands::Context;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::keystore::Keystore;
use crate::prompt::confirm;
use crate::text::plain;

/// A lock that is what was asked for.
pub(super) struct ToSign {
    lock: Lock,
    judged: Judged,
    /// Whether one of the environment was signed here before.
    known: bool,
}

impl ToSign {
    /// The lock of a plan.
    ///
    /// # Errors
    /// If it is not what was asked for.
    pub(super) fn of(controller: &Url, which: &Which, body: &Map<String, Value>, plan: &Value) -> Outcome<Self> {
        let asked = asked(which, body, plan)?;
        if body.get("approve_capabilities") != Some(&Value::Bool(true)) && !asked.added.is_empty() {
            return Err(grown(&asked));
        }
        let last = Keystore::own()?.signed_lock(controller, &asked.environment)?;
        let (lock, judged) = compared(plan, &asked, last.as_ref())?;
        Ok(Self { lock, judged, known: last.is_some() })
    }

    /// Tells what it says.
    pub(super) fn show(&self, context: &Context) {
        let Judged { says, since, unasked } = &self.judged;
        if !self.known {
            context.screen.note("no lock of this environment was signed on this machine before; this is all of it:");
        }
        let lines = says.iter().map(|line| format!("to be signed: {line}"));
        let lines = lines.chain(since.iter().map(|line| format!("since the last lock that was signed here: {line}")));
        let lines = lines.chain(unasked.iter().map(|line| format!("nobody here asked for: {line}")));
        lines.for_each(|line| context.screen.note(&line));
    }

    /// Asks where there is more in it than was asked for. A first lock has nothing that it could be compared with: with
    /// `--yes` it is believed, as a machine that is set up for one job has never signed one.
    ///
    /// # Errors
    /// If nobody is asked, or disagrees.
    pub(super) fn agree(&self, which: &Which, yes: bool) -> Outcome {
        if !self.known {
            return confirm("Sign this lock? Compare each line with what the environment should run.", yes);
        }
        if self.judged.unasked.is_empty() {
            return Ok(());
        }
        if yes {
            let message = format!(
                "the controller would have a lock of {} signed that changes more than was asked for: {}",
                which.environment,
                self.judged.unasked.join("; ")
            );
            return Err(CliError::new(Exit::Conflict, codes::LOCK_UNASKED_CHANGES, message).fix(
                "nothing was signed: find out who changed it, then run the command without --yes at a terminal and answer",
            ));
        }
        confirm("Sign also what nobody here asked for?", false)
    }

    /// Signs it.
    pub(super) fn sign(&self, context: &Context) -> Outcome<Value> {
        let (operator, _) = Keystore::own()?.operator()?;
        context.screen.note(&format!("signed with your operator key {}", operator.public()));
        envelope(&self.lock, &operator)
    }

    /// Remembers it, for the next one to be compared with. The controller has taken it over: a lock that it refused is
    /// signed again under the same number. The move is done, so a full disk fails it no more.
    pub(super) fn remember(&self, controller: &Url, context: &Context) {
        let kept = Keystore::own().and_then(|keystore| keystore.set_signed_lock(controller, &self.lock));
        if let Err(error) = kept {
            context.screen.note(&format!("what was signed is not remembered on this machine: {error}"));
        }
    }
}

/// The lock of a plan in an envelope under an operator's key, if it is what was asked for.
pub(crate) fn sign_planned(plan: &Value, asked: &Asked, operator: &SigningKey) -> Outcome<Value> {
    let (lock, _) = compared(plan, asked, None)?;
    envelope(&lock, operator)
}

fn compared(plan: &Value, asked: &Asked, last: Option<&Lock>) -> Outcome<(Lock, Judged)> {
    let lock: Option<Lock> = plan.get("lock").cloned().and_then(|lock| serde_json::from_value(lock).ok());
    let lock = lock.ok_or_else(|| unreadable("the controller sent no lock to sign"))?;
    let judged = judge(asked, &lock, last).map_err(|how| {
        let message = format!("the controller would have something else signed: {how}");
        CliError::new(Exit::Untrusted, codes::LOCK_NOT_AS_ASKED, message)
            .fix("nothing was signed: ask who runs the controller")
    })?;
    Ok((lock, judged))
}

fn asked(which: &Which, body: &Map<String, Value>, plan: &Value) -> Outcome<Asked> {
    let version = |of: Option<&Value>| of.and_then(Value::as_str).map(str::parse).transpose();
    let unexpected = |_| unreadable("the controller's plan names no versions");
    let action = match (body.get("action").and_then(Value::as_str), body.contains_key("canary")) {
        (Some("pin"), _) => Action::Pin,
        (Some("unpin"), _) => Action::Unpin,
        (Some("rollback"), _) => Action::Rollback,
        (_, true) => Action::Canary,
        (_, false) => Action::Upgrade,
    };
    let to = version(plan.get("to")).map_err(unexpected)?;
    let added = plan.get("capabilities_added").and_then(Value::as_array).into_iter().flatten();
    Ok(Asked {
        environment: which.environment.clone(),
        connector: which.name.clone(),
        action,
        version: version(body.get("version")).map_err(unexpected)?,
        from: version(plan.get("from")).map_err(unexpected)?,
        to: to.ok_or_else(|| unreadable("the controller's plan names no version"))?,
        added: added.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// As the controller should have said: its word alone approves nothing.
fn grown(asked: &Asked) -> CliError {
    let added: Vec<String> = asked.added.iter().map(|one| plain(one)).collect();
    let message = format!("{} {} asks for more than was approved: {}", asked.connector, asked.to, added.join(", "));
    CliError::new(Exit::Conflict, codes::LOCK_CAPABILITIES_GROWN, message)
        .fix("look at it, then run the command with --approve-capabilities")
}

fn envelope(lock: &Lock, operator: &SigningKey) -> Outcome<Value> {
    let envelope = wherry_trust::chain::sign_lock(lock, operator)
        .map_err(|error| CliError::new(Exit::Invalid, error.code(), error.to_string()))?;
    serde_json::to_value(envelope).map_err(|_| unreadable("the controller's lock cannot be signed"))
}

fn unreadable(what: &str) -> CliError {
    CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, what)
}
