//! Versions of connectors in an environment: moving them, and what was moved.

use clap::Args;
use semver::Version;
use serde_json::{Map, Value, json};
use wherry_domain::name::Name;
use wherry_domain::rollout::Share;

use super::Context;
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::prompt::confirm;
use crate::table::{Column, at, count, text, time};
use crate::text::plain;

mod judged;
mod signing;

pub(crate) use judged::{Action, Asked};
use signing::ToSign;
pub(crate) use signing::sign_planned;

const STANDING: &[Column] = &[
    text("NAME", "connector"),
    text("VERSION", "version"),
    text("NEWEST", "newest"),
    text("PINNED", "pinned"),
    text("AGENTS READY", "ready"),
    text("CANARY", "shown"),
];
const HISTORY: &[Column] = &[
    count("LOCK", "lock_version"),
    time("AT", "at"),
    text("WHO", "who"),
    text("FROM", "from"),
    text("TO", "to"),
    text("TRYING", "trial"),
    text("PINNED", "pinned"),
    text("SIGNED BY", "signed_by"),
    text("WHY", "why"),
];

/// Which connector, and where.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The connector.
    name: Name,
    /// The environment.
    #[arg(long)]
    environment: Name,
}

/// What all moves take.
#[derive(Debug, Args)]
pub(crate) struct Agreed {
    /// Why, for those who look back.
    #[arg(long, default_value = "", hide_default_value = true)]
    why: String,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    which: Which,
    /// The version [default: the newest].
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Try it on this share of the attempts first, such as 10%.
    #[arg(long, value_name = "SHARE", requires = "time")]
    canary: Option<Share>,
    /// How long to try it, such as 30m.
    #[arg(long = "for", id = "time", value_name = "DURATION", requires = "canary")]
    time: Option<String>,
    /// The least number of attempts on the new version before it is judged [default: 10].
    #[arg(long, value_name = "NUMBER", requires = "canary")]
    attempts: Option<u32>,
    /// Agrees to what the new version asks for beyond what the old one was given.
    #[arg(long)]
    approve_capabilities: bool,
    #[command(flatten)]
    agreed: Agreed,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    which: Which,
    /// The version [default: the one before].
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Agrees to what that version asks for beyond what the present one was given.
    #[arg(long)]
    approve_capabilities: bool,
    #[command(flatten)]
    agreed: Agreed,
}

#[derive(Debug, Args)]
pub(crate) struct Pin {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    agreed: Agreed,
}

impl Upgrade {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let mut body = Map::from_iter([("action".to_owned(), json!("upgrade"))]);
        body.extend(self.to.map(|version| ("version".to_owned(), json!(version))));
        if let (Some(share), Some(time)) = (self.canary, self.time) {
            let mut canary = json!({ "share": share, "for": time });
            if let (Some(canary), Some(attempts)) = (canary.as_object_mut(), self.attempts) {
                canary.insert("attempts".to_owned(), attempts.into());
            }
            body.insert("canary".to_owned(), canary);
        }
        body.insert("approve_capabilities".to_owned(), self.approve_capabilities.into());
        perform(context, &self.which, body, self.agreed).await
    }
}

impl Rollback {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let mut body = Map::from_iter([("action".to_owned(), json!("rollback"))]);
        body.extend(self.to.map(|version| ("version".to_owned(), json!(version))));
        body.insert("approve_capabilities".to_owned(), self.approve_capabilities.into());
        perform(context, &self.which, body, self.agreed).await
    }
}

impl Pin {
    /// Pins, or with `free` unpins.
    pub(super) async fn run(self, context: &Context, free: bool) -> Outcome {
        let action = if free { "unpin" } else { "pin" };
        let body = Map::from_iter([("action".to_owned(), json!(action))]);
        perform(context, &self.which, body, self.agreed).await
    }
}

impl Which {
    pub(super) async fn history(self, context: &Context) -> Outcome {
        let path = ["environments", self.environment.as_str(), "connectors", self.name.as_str(), "history"];
        context.screen.list(HISTORY, &context.client()?.all(&path, &[]).await?);
        Ok(())
    }
}

/// The connectors of an environment, or one of them.
pub(super) async fn standing(context: &Context, environment: &Name, name: Option<&Name>) -> Outcome {
    let path = ["environments", environment.as_str(), "connectors"];
    let mut all = context.client()?.all(&path, &[]).await?;
    if let Some(items) = all.get_mut("items").and_then(Value::as_array_mut) {
        items.retain(|item| {
            name.is_none_or(|name| item.get("connector").and_then(Value::as_str) == Some(name.as_str()))
        });
        if let Some(name) = name.filter(|_| items.is_empty()) {
            let message = format!("environment {environment} uses no connector {name}");
            return Err(CliError::new(Exit::NotFound, codes::LOCK_CONNECTOR_MISSING, message)
                .fix(format!("wherry connector list --environment {environment}")));
        }
        if !context.screen.is_json() {
            items.iter_mut().filter_map(Value::as_object_mut).for_each(readable);
        }
    }
    context.screen.list(STANDING, &all);
    Ok(())
}

fn readable(item: &mut Map<String, Value>) {
    let number = |key: &str| item.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (here, away) = (number("agents"), number("agents_away"));
    let mut ready = format!("{} of {}", number("agents_ready"), here.saturating_add(away));
    if away > 0 {
        ready.push_str(&format!(", {away} away"));
    }
    let pinned = if item.get("pinned") == Some(&Value::Bool(true)) { "yes" } else { "" };
    let shown = item.get("canary").filter(|canary| concerns(canary, item)).map(canary).unwrap_or_default();
    item.insert("ready".to_owned(), ready.into());
    item.insert("pinned".to_owned(), pinned.into());
    item.insert("shown".to_owned(), shown.into());
}

/// Whether a canary is under way, or its end says something of the version that is here now.
fn concerns(canary: &Value, item: &Map<String, Value>) -> bool {
    match canary.get("state").and_then(Value::as_str) {
        Some("everyone") => canary.get("to") == item.get("version"),
        Some("back") => canary.get("from") == item.get("version"),
        Some(_) | None => true,
    }
}

/// A canary in one line.
fn canary(canary: &Value) -> String {
    let said = |key: &str| canary.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| canary.get(key).and_then(Value::as_u64).unwrap_or_default();
    match said("state") {
        "under_way" => format!(
            "{} on {} for {}: {} of {} attempts failed; on {} {} of {}",
            said("to"),
            said("share"),
            said("for"),
            number("failed"),
            number("attempts"),
            said("from"),
            number("old_failed"),
            number("old_attempts"),
        ),
        "everyone" => format!("{} for everyone: {}", said("to"), said("why")),
        "back" => format!("{} rolled back: {}", said("to"), said("why")),
        other => other.to_owned(),
    }
}

/// Shows what a move changes, asks, signs where an operator has to, and does it.
async fn perform(context: &Context, which: &Which, mut body: Map<String, Value>, agreed: Agreed) -> Outcome {
    let client = context.client()?;
    body.insert("why".to_owned(), agreed.why.into());
    let base = ["environments", which.environment.as_str(), "connectors", which.name.as_str()];
    let [a, b, c, d] = base;
    let plan = client.post(&[a, b, c, d, "plan"], Value::Object(body.clone())).await?;
    let (from, to) =
        (plan.get("from").and_then(Value::as_str), plan.get("to").and_then(Value::as_str).unwrap_or_default());
    if plan.get("changed") == Some(&Value::Bool(false)) {
        context.screen.done(&format!("nothing changes: {} is {to} in {}", which.name, which.environment), &plan);
        return Ok(());
    }
    let to_sign = plan.get("signature_needed").map(|_| ToSign::of(client.url(), which, &body, &plan)).transpose()?;
    for line in lines(&plan) {
        context.screen.note(&line);
    }
    if let Some(to_sign) = &to_sign {
        to_sign.show(context);
    }
    let what = sentence(which, &body, (from, to));
    confirm(&format!("{what}. Go on?"), agreed.yes)?;
    if let Some(to_sign) = &to_sign {
        to_sign.agree(which, agreed.yes)?;
        body.insert("envelope".to_owned(), to_sign.sign(context)?);
    }
    let moved = client.post(&[a, b, c, d, "move"], Value::Object(body)).await?;
    if let Some(to_sign) = &to_sign {
        to_sign.remember(client.url(), context);
    }
    context.screen.done(&format!("{what}; {}", agents(&moved)), &moved);
    Ok(())
}

/// What a move does, in one sentence.
fn sentence(which: &Which, body: &Map<String, Value>, (from, to): (Option<&str>, &str)) -> String {
    let Which { name, environment } = which;
    let (from, to) = (plain(from.unwrap_or("nothing")), plain(to));
    let canary = body.get("canary").map(|canary| {
        let said = |key: &str| canary.get(key).and_then(Value::as_str).unwrap_or_default();
        format!(" on {} of the attempts for {}", said("share"), said("for"))
    });
    match body.get("action").and_then(Value::as_str) {
        Some("pin") => format!("{name} stays {to} in {environment}"),
        Some("unpin") => format!("{name} follows its publisher again in {environment}"),
        _ => format!("{name} goes from {from} to {to} in {environment}{}", canary.unwrap_or_default()),
    }
}

/// What a plan says, for a person who decides.
fn lines(plan: &Value) -> Vec<String> {
    let listed = |key: &str| -> Vec<String> {
        plan.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
    };
    let mut lines = Vec::new();
    let notes = plan.get("notes").and_then(Value::as_str).unwrap_or_default();
    lines.extend(notes.lines().take(20).map(|line| format!("its publisher says: {}", plain(line))));
    for (key, what) in [
        ("capabilities_added", "asks for more"),
        ("activities_added", "new activity"),
        ("activities_removed", "activity gone"),
        ("side_effects_changed", "other side effects"),
        ("schemas_changed", "other schema"),
        ("agents_too_old", "agent too old for it"),
        ("connections", "concerns connection"),
        ("operations", "concerns operation"),
    ] {
        lines.extend(listed(key).into_iter().map(|entry| format!("{what}: {entry}")));
    }
    if plan.get("schemas_changed").is_none() {
        lines.push("schemas cannot be compared: one of the versions was published without its descriptor".to_owned());
    }
    if let Some(why) = at(plan, "signature_needed.detail").and_then(Value::as_str) {
        lines.push(format!("an operator has to sign: {}", plain(why)));
    }
    lines
}

/// How many agents have a version ready.
fn agents(moved: &Value) -> String {
    let number = |key: &str| moved.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (here, away) = (number("agents_total"), number("agents_away"));
    if moved.get("agents_total").is_none() {
        return "agents follow by themselves".to_owned();
    }
    match (here, away) {
        (0, 0) => "no agent serves the environment yet".to_owned(),
        (0, away) => format!("no agent is connected, {away} away: they follow when they come back"),
        (here, 0) => format!("{} of {here} agents have it", number("agents_updated")),
        (here, away) => {
            format!("{} of {here} connected agents have it, {away} away follow later", number("agents_updated"))
        }
    }
}

/// What a test of a connection did to its connector, in words.
pub(crate) fn tested(connector: &Value) -> String {
    let said = |key: &str| connector.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, from, to) = (said("name"), said("from"), said("to"));
    let agents = agents(connector);
    if from == to {
        format!("connector {name} stays {to}; {agents}")
    } else {
        format!("connector {name} went from {from} to {to}; {agents}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_tells_everything_that_a_person_decides_by() {
        let plan = json!({
            "notes": "faster\u{1b}[31m", "capabilities_added": ["egress login.example"], "activities_added": ["update"],
            "activities_removed": [], "side_effects_changed": ["create: keyed becomes unsafe"],
            "schemas_changed": ["query .page is new"], "connections": ["desk/helix"], "operations": ["desk/copy"],
            "signature_needed": { "detail": "another major version" },
        });
        let shown = lines(&plan).join("\n");
        for part in [
            "its publisher says: faster",
            "asks for more: egress login.example",
            "new activity: update",
            "other side effects: create: keyed becomes unsafe",
            "other schema: query .page is new",
            "concerns connection: desk/helix",
            "concerns operation: desk/copy",
            "an operator has to sign: another major version",
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "words of a publisher drive the terminal");
        assert!(lines(&json!({})).concat().contains("schemas cannot be compared"));
    }

    #[test]
    fn a_test_says_what_it_did_to_the_connector() {
        let moved = json!({ "name": "http", "from": "1.0.0", "to": "1.1.0", "agents_updated": 2, "agents_total": 2 });
        assert_eq!(tested(&moved), "connector http went from 1.0.0 to 1.1.0; 2 of 2 agents have it");
        let same = json!({ "name": "http", "from": "1.0.0", "to": "1.0.0", "agents_updated": 1, "agents_total": 2 });
        assert_eq!(tested(&same), "connector http stays 1.0.0; 1 of 2 agents have it");
        let said = |updated, total, away| {
            agents(&json!({ "agents_updated": updated, "agents_total": total, "agents_away": away }))
        };
        assert_eq!(said(0, 0, 2), "no agent is connected, 2 away: they follow when they come back");
        assert_eq!(said(1, 1, 2), "1 of 1 connected agents have it, 2 away follow later");
        assert_eq!(said(0, 0, 0), "no agent serves the environment yet");
    }

    #[test]
    fn a_canary_is_one_line() {
        let view = json!({ "from": "1.0.0", "to": "1.1.0", "share": "10%", "for": "30m", "state": "under_way",
            "attempts": 5, "failed": 1, "old_attempts": 40, "old_failed": 2 });
        assert_eq!(canary(&view), "1.1.0 on 10% for 30m: 1 of 5 attempts failed; on 1.0.0 2 of 40");
        assert_eq!(canary(&json!({ "to": "1.1.0", "state": "back", "why": "bad" })), "1.1.0 rolled back: bad");
    }

    #[test]
    fn a_canary_that_is_over_is_shown_while_the_version_that_it_left_is_there() {
        let shown = |state: &str, version: &str| {
            let canary = json!({ "from": "1.0.0", "to": "1.1.0", "state": state, "why": "bad" });
            let mut item = Map::from_iter([("version".to_owned(), json!(version)), ("canary".to_owned(), canary)]);
            readable(&mut item);
            item.get("shown") != Some(&json!(""))
        };
        assert!(shown("everyone", "1.1.0") && !shown("everyone", "1.2.0"));
        assert!(shown("back", "1.0.0") && !shown("back", "1.2.0"));
        assert!(shown("under_way", "1.0.0"));
    }
}
