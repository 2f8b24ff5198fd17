//! The rules a project keeps beyond its shape. All faults are found at once, each with its place,
//! a stable code and, where one is near, a suggestion.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod alias;
mod auth;
mod tls;

pub use self::{
    auth::{AUTH_INVALID, AUTH_UNSUPPORTED, Schemes, unsupported},
    tls::{TLS_INVALID, TLS_REQUIRED},
};
use super::{Connection, MAX_ENTRIES, MAX_TIMEOUT, Operation, Project, Step, template::Scope};
use crate::{effects::SideEffects, failure::Code, name::Name, retry::MAX_ATTEMPTS};

/// No connector of that name is known.
pub const CONNECTOR_UNKNOWN: Code = Code::new("project.connector_unknown");
/// No connection of that name is in the project.
pub const CONNECTION_UNKNOWN: Code = Code::new("project.connection_unknown");
/// The connector offers no such activity, or not in that place.
pub const ACTIVITY_UNKNOWN: Code = Code::new("project.activity_unknown");
/// A text refers to a variable that is not declared.
pub const VARIABLE_UNKNOWN: Code = Code::new("project.variable_unknown");
/// No operation of that name is in the project.
pub const OPERATION_UNKNOWN: Code = Code::new("project.operation_unknown");
/// Operations start each other in a circle.
pub const OPERATION_CYCLE: Code = Code::new("project.operation_cycle");
/// The URL is not one that an agent may call.
pub const URL_INVALID: Code = Code::new("project.url_invalid");
/// A connection names a proxy and says that it uses none.
pub const PROXY_CONTRADICTED: Code = Code::new("project.proxy_contradicted");
/// A number or time is outside its range.
pub const OUT_OF_RANGE: Code = Code::new("project.out_of_range");
/// An operation claims to be more harmless than its activities.
pub const SIDE_EFFECTS_WIDENED: Code = Code::new("project.side_effects_widened");

/// How many operations of a circle are named in its fault.
const SHOWN: usize = 10;
/// How many faults may come with a suggestion: each costs a walk over all known names, and a
/// stranger decides how many faults there are.
const MAX_SUGGESTED: usize = 20;

/// One fault of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where, as keys from the top: `["operations", "copy", "source", "connection"]`.
    pub path: Vec<String>,
    /// Stable code.
    pub code: Code,
    /// What is wrong and what to do.
    pub message: String,
    /// A known name close to the unknown one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Where inside the text that stands there, if it is a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Spot>,
}

/// A place inside a text, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Whether an activity yields or takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivityKind {
    /// Yields records.
    Source,
    /// Takes records.
    Target,
}

/// What the check needs to know of an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityFacts {
    /// Source or target.
    pub kind: ActivityKind,
    /// The class its release declares.
    pub side_effects: SideEffects,
}

/// What the check needs to know of the connectors: by name, then by activity.
pub type Connectors = BTreeMap<Name, BTreeMap<String, ActivityFacts>>;

/// Every fault of the project. `connectors` is `None` where they are not known, as on a laptop
/// without a controller: then connector and activity names are not checked.
pub fn check(project: &Project, connectors: Option<&Connectors>) -> Vec<Fault> {
    let mut check = Check { project, connectors, faults: Vec::new() };
    if check.is_too_large() {
        return check.faults;
    }
    for (name, connection) in &project.connections {
        check.connection(name, connection);
    }
    for (name, alias) in &project.aliases {
        check.alias(name, alias);
    }
    for (name, operation) in &project.operations {
        check.operation(name, operation);
    }
    check.cycles();
    check.faults
}

/// The class of an operation: what it says itself, at least the strictest of its activities. An
/// activity that is not known counts as the strictest there is.
pub fn side_effects(project: &Project, operation: &Operation, connectors: &Connectors) -> SideEffects {
    let declared = operation.steps().map(|step| facts(project, step, connectors));
    let declared = declared.map(|facts| facts.map_or(SideEffects::Unsafe, |facts| facts.side_effects));
    declared.chain(operation.side_effects).max().unwrap_or(SideEffects::Unsafe)
}

fn facts(project: &Project, step: &Step, connectors: &Connectors) -> Option<ActivityFacts> {
    connectors.get(project.connector_of(&step.connection)?)?.get(&step.activity).copied()
}

struct Check<'a> {
    project: &'a Project,
    connectors: Option<&'a Connectors>,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, path: &[&str], code: Code, message: String) {
        self.suggest(path, code, message, None);
    }

    fn suggest(&mut self, path: &[&str], code: Code, message: String, suggestion: Option<String>) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.faults.push(Fault { path, code, message, suggestion, at: None });
    }

    fn near<'a>(&self, wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
        if self.faults.len() < MAX_SUGGESTED { nearest(wrong, known) } else { None }
    }

    /// A project beyond its limits is not looked into any further.
    fn is_too_large(&mut self) -> bool {
        let sizes = [
            ("variables", self.project.variables.len()),
            ("aliases", self.project.aliases.len()),
            ("connections", self.project.connections.len()),
            ("operations", self.project.operations.len()),
        ];
        for (key, size) in sizes {
            if size > MAX_ENTRIES {
                self.fault(
                    &[key],
                    OUT_OF_RANGE,
                    format!("a project has at most {MAX_ENTRIES} {key}; this one has {size}"),
                );
            }
        }
        !self.faults.is_empty()
    }

    fn connector(&mut self, path: &[&str], connector: &Name) {
        if let Some(connectors) = self.connectors
            && !connectors.contains_key(connector)
        {
            let wrong = connector.as_str();
            let near = self.near(wrong, connectors.keys().map(Name::as_str));
            let message = format!("no connector is called {wrong}: see wherry connector list");
            self.suggest(path, CONNECTOR_UNKNOWN, message, near);
        }
    }

    fn connection(&mut self, name: &Name, connection: &Connection) {
        let at = |key| ["connections", name.as_str(), key];
        self.connector(&at("connector"), &connection.connector);
        self.throttle(name, connection);
        if !connection.url.contains("{{") && !is_web_url(&connection.url) {
            let message =
                "a connection's url begins with https:// or http:// and names a host, without user or password";
            self.fault(&at("url"), URL_INVALID, message.to_owned());
        }
        self.tls(name.as_str(), connection);
        if connection.contradicts_itself() {
            let message = "the connection names a proxy and says use_proxy: false, keep one of them".to_owned();
            self.fault(&at("proxy"), PROXY_CONTRADICTED, message);
        }
        self.references(&at("url"), &Value::from(connection.url.as_str()));
        self.auth(name.as_str(), connection);
        for (key, value) in &connection.options {
            self.references(&["connections", name.as_str(), "options", key], value);
        }
    }

    fn operation(&mut self, name: &Name, operation: &Operation) {
        let name = name.as_str();
        self.step(&["operations", name, "source"], &operation.source, ActivityKind::Source);
        if let Some(target) = &operation.target {
            self.step(&["operations", name, "target"], target, ActivityKind::Target);
        }
        self.ranges(name, operation);
        for (key, next) in [("on_success", &operation.on_success), ("on_failure", &operation.on_failure)] {
            if let Some(next) = next
                && !self.project.operations.contains_key(next)
            {
                let near = self.near(next.as_str(), self.project.operations.keys().map(Name::as_str));
                let message = format!("no operation of this project is called {next}");
                self.suggest(&["operations", name, key], OPERATION_UNKNOWN, message, near);
            }
        }
        if let (Some(claimed), Some(connectors)) = (operation.side_effects, self.connectors)
            && operation.steps().all(|step| facts(self.project, step, connectors).is_some())
        {
            let declared =
                side_effects(self.project, &Operation { side_effects: None, ..operation.clone() }, connectors);
            if claimed < declared {
                let message =
                    format!("its activities are {declared}: an operation may be stricter than that, never {claimed}");
                self.fault(&["operations", name, "side_effects"], SIDE_EFFECTS_WIDENED, message);
            }
        }
    }

    fn ranges(&mut self, name: &str, operation: &Operation) {
        if !(1..=MAX_ATTEMPTS).contains(&operation.retry.attempts) {
            let message = format!("an operation has 1 to {MAX_ATTEMPTS} attempts");
            self.fault(&["operations", name, "retry", "attempts"], OUT_OF_RANGE, message);
        }
        for (key, wait) in [("base", operation.retry.base), ("cap", operation.retry.cap)] {
            if wait > MAX_TIMEOUT {
                self.fault(&["operations", name, "retry", key], OUT_OF_RANGE, "a wait is at most 24h".to_owned());
            }
        }
        if operation.timeout.is_zero() || operation.timeout > MAX_TIMEOUT {
            self.fault(&["operations", name, "timeout"], OUT_OF_RANGE, "a timeout is 1ms to 24h".to_owned());
        }
        if operation.offline_term > MAX_TIMEOUT {
            self.fault(
                &["operations", name, "offline_term"],
                OUT_OF_RANGE,
                "an offline term is at most 24h".to_owned(),
            );
        }
    }

    fn step(&mut self, path: &[&str], step: &Step, kind: ActivityKind) {
        let at = |key| [path, &[key]].concat();
        let Some(connector) = self.project.connector_of(&step.connection) else {
            let known = self.project.connections.keys().chain(self.project.aliases.keys());
            let near = self.near(step.connection.as_str(), known.map(Name::as_str));
            let message = format!("no connection or alias of this project is called {}", step.connection);
            return self.suggest(&at("connection"), CONNECTION_UNKNOWN, message, near);
        };
        if let Some(activities) = self.connectors.and_then(|known| known.get(connector)) {
            let fitting = activities.iter().filter(|(_, facts)| facts.kind == kind).map(|(name, _)| name.as_str());
            let known: Vec<&str> = fitting.collect();
            if !known.contains(&step.activity.as_str()) {
                let place = path.last().copied().unwrap_or_default();
                let message = format!(
                    "connector {connector} has no {place} activity {:?}; it has {}",
                    step.activity,
                    known.join(", ")
                );
                let near = self.near(&step.activity, known.into_iter());
                self.suggest(&at("activity"), ACTIVITY_UNKNOWN, message, near);
            }
        }
        for (key, value) in &step.with {
            self.references(&[path, &["with", key]].concat(), value);
        }
    }

    fn references(&mut self, path: &[&str], value: &Value) {
        let scope = Scope { vars: &self.project.variables, run: "", agent: "" };
        if let Err(unknown) = scope.resolve(value) {
            let known = self.project.variables.keys().map(|name| format!("vars.{name}"));
            let known: Vec<String> = known.take_while(|_| self.faults.len() < MAX_SUGGESTED).collect();
            let near = self.near(&unknown.0, known.iter().map(String::as_str));
            self.suggest(path, VARIABLE_UNKNOWN, unknown.to_string(), near);
        }
    }

    fn cycles(&mut self) {
        let mut clear = BTreeSet::new();
        let circle = self.project.operations.keys().find_map(|start| circle(self.project, start, &mut clear));
        let Some(circle) = circle else { return };
        let back = circle.first().map(|name| name.as_str()).unwrap_or_default();
        let shown: Vec<&str> = circle.iter().take(SHOWN).map(|name| name.as_str()).collect();
        let more = if circle.len() > SHOWN { " -> ..." } else { "" };
        let message = format!("operations start each other in a circle: {}{more} -> {back}", shown.join(" -> "));
        self.fault(&["operations", back], OPERATION_CYCLE, message);
    }
}

/// A circle that can be reached from `start`. Walks depth first without recursion, since a project
/// may be one long chain; `clear` holds the operations from which no circle can be reached.
fn circle<'p>(project: &'p Project, start: &'p Name, clear: &mut BTreeSet<&'p Name>) -> Option<Vec<&'p Name>> {
    if clear.contains(start) {
        return None;
    }
    let mut trail = vec![(start, followers(project, start))];
    let mut on_trail = BTreeSet::from([start]);
    while let Some((at, left)) = trail.last_mut() {
        match left.pop() {
            Some(next) if on_trail.contains(next) => {
                return Some(trail.iter().map(|(name, _)| *name).skip_while(|name| *name != next).collect());
            }
            Some(next) if clear.contains(next) => (),
            Some(next) => {
                on_trail.insert(next);
                trail.push((next, followers(project, next)));
            }
            None => {
                on_trail.remove(at);
                clear.insert(at);
                trail.pop();
            }
        }
    }
    None
}

fn followers<'p>(project: &'p Project, name: &Name) -> Vec<&'p Name> {
    let operation = project.operations.get(name);
    operation.into_iter().flat_map(|it| [&it.on_failure, &it.on_success]).flatten().collect()
}

fn is_web_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (authority, "1"),
    };
    let is_port = port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    !host.is_empty()
        && is_port
        && !authority.contains('@')
        && !url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\')
}

/// The known name nearest to `wrong`, if at most a third of it is off.
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let is_near = |off: usize, name: &str| off * 3 <= name.chars().count().max(3);
    let length = wrong.chars().count();
    known
        // The lengths alone rule most names out, and a hostile one costs nothing.
        .filter(|name| is_near(length.abs_diff(name.chars().count()), name))
        .map(|name| (distance(wrong, name), name))
        .min()
        .filter(|(off, name)| is_near(*off, name))
        .map(|(_, name)| name.to_owned())
}

/// Levenshtein distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
