//! Projects on disk: a folder of YAML files becomes a [`Project`], or a list of every fault with its place.

mod environment;
mod examine;
pub(crate) mod export;
mod fault;
mod files;
mod program;
mod shape;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::json;
use wherry_domain::name::Name;
use wherry_domain::project::check::{Spot, VARIABLE_UNKNOWN, check};
use wherry_domain::project::{Connection, MAX_DOCUMENT, Operation, Project};

pub(crate) use fault::Fault;
use fault::{TOO_LARGE, VALUE_INVALID, YAML_INVALID};
use files::{File, Kind};
use yaml::Node;
pub(crate) use yaml::Place;

/// A folder that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    folder: PathBuf,
    sources: Vec<Source>,
    outcome: Result<Project, Vec<Fault>>,
}

#[derive(Debug)]
struct Source {
    file: File,
    node: Option<Node>,
}

/// Reads the project in `folder` and checks everything that can be checked without a controller.
pub(crate) fn load(folder: &Path) -> Loaded {
    let (files, mut faults) = files::collect(folder);
    let sources: Vec<_> = files.into_iter().map(|file| parse(file, &mut faults)).collect();
    let mut draft = Draft::default();
    for source in &sources {
        draft.add(source, &mut faults);
    }
    let mut loaded = Loaded { folder: folder.to_owned(), sources, outcome: Err(Vec::new()) };
    let assembled = draft.assemble();
    match &assembled {
        Ok(project) => faults.extend(draft.rules(project, &loaded)),
        Err(error) => faults.push(Fault::new(folder, Place::START, VALUE_INVALID, error.to_string())),
    }
    faults.sort();
    faults.dedup();
    loaded.outcome = assembled.ok().filter(|_| faults.is_empty()).ok_or(faults);
    loaded
}

fn parse(file: File, faults: &mut Vec<Fault>) -> Source {
    match yaml::parse(&file.text) {
        Ok(node) => Source { file, node: Some(node) },
        Err(syntax) => {
            faults.push(Fault::new(&file.path, syntax.at, YAML_INVALID, syntax.message));
            Source { file, node: None }
        }
    }
}

impl Loaded {
    /// The project, or all its faults in the order of files and lines.
    pub(crate) fn outcome(&self) -> Result<&Project, &[Fault]> {
        self.outcome.as_ref().map_err(Vec::as_slice)
    }

    /// What a file beside the folder says of an environment.
    pub(crate) fn settings(&self, environment: &Name) -> Result<Option<environment::Settings>, Vec<Fault>> {
        environment::read(&self.folder, environment)
    }

    /// The file and place of a path of keys from the top, such as `["operations", "copy", "source"]`.
    pub(crate) fn find(&self, path: &[String]) -> (PathBuf, Place) {
        let (kind, rest) = match path {
            [top, name, rest @ ..] if top == "connections" => (name.parse().ok().map(Kind::Connection), rest),
            [top, name, rest @ ..] if top == "operations" => (name.parse().ok().map(Kind::Operation), rest),
            rest => (Some(Kind::Manifest), rest),
        };
        let source = self.sources.iter().find(|source| Some(&source.file.kind) == kind.as_ref());
        let Some(source) = source else { return (self.folder.clone(), Place::START) };
        let at = source.node.as_ref().map_or(Place::START, |node| node.nearest(rest.iter()).at);
        (source.file.path.clone(), at)
    }

    /// The same, moved to a spot inside the text that stands there.
    pub(crate) fn find_inside(&self, path: &[String], spot: Option<Spot>) -> (PathBuf, Place) {
        let (file, at) = self.find(path);
        let source = self.sources.iter().find(|source| source.file.path == file);
        let moved = spot.zip(source).map(|(spot, source)| program::inside(&source.file.text, at, spot));
        (file, moved.unwrap_or(at))
    }

    /// The fault as lines for a person, with the line it points at.
    ///
    /// Lines of connections are not shown: somebody may have written a password there, and this goes into logs.
    pub(crate) fn shown(&self, fault: &Fault) -> String {
        let of_file = |source: &&Source| source.file.path == fault.file;
        let source = self.sources.iter().find(of_file);
        let quotable = source.filter(|source| !matches!(source.file.kind, Kind::Connection(_)));
        fault.shown(quotable.map(|source| source.file.text.as_str()))
    }
}

/// A project under construction; `None` is a file with faults.
#[derive(Default)]
struct Draft {
    manifest: Option<Project>,
    connections: BTreeMap<Name, Option<Connection>>,
    operations: BTreeMap<Name, Option<Operation>>,
}

impl Draft {
    fn add(&mut self, source: &Source, faults: &mut Vec<Fault>) {
        match &source.file.kind {
            Kind::Manifest => self.manifest = typed(source, &shape::PROJECT, faults),
            Kind::Connection(name) => {
                self.connections.insert(name.clone(), typed(source, &shape::CONNECTION, faults));
            }
            Kind::Operation(name) => {
                self.operations.insert(name.clone(), typed(source, &shape::OPERATION, faults));
            }
        }
    }

    /// The project. Files with faults leave a stand-in, so that references to them still count as known.
    fn assemble(&self) -> Result<Project, serde_json::Error> {
        let stand_in = json!({"connector": "stand-in", "url": "https://stand-in"});
        let connection: Connection = serde_json::from_value(stand_in)?;
        let stand_in = json!({"source": {"connection": "stand-in", "activity": "stand-in"}});
        let operation: Operation = serde_json::from_value(stand_in)?;
        let mut project = match &self.manifest {
            Some(manifest) => manifest.clone(),
            None => serde_json::from_value(json!({"name": "stand-in"}))?,
        };
        let connections = self.connections.iter();
        project.connections =
            connections.map(|(name, known)| (name.clone(), known.as_ref().unwrap_or(&connection).clone())).collect();
        let operations = self.operations.iter();
        project.operations =
            operations.map(|(name, known)| (name.clone(), known.as_ref().unwrap_or(&operation).clone())).collect();
        Ok(project)
    }

    /// The faults that only show when all files are seen together.
    fn rules(&self, project: &Project, loaded: &Loaded) -> Vec<Fault> {
        let mut faults: Vec<_> = check(project, None)
            .into_iter()
            .chain(wherry_expr::project::check(project))
            .filter(|fault| self.manifest.is_some() || fault.code != VARIABLE_UNKNOWN)
            .filter(|fault| !self.is_of_stand_in(&fault.path))
            .map(|fault| {
                let (file, at) = loaded.find_inside(&fault.path, fault.at);
                Fault::new(file, at, fault.code, fault.message).meant(fault.suggestion)
            })
            .collect();
        let length = serde_json::to_vec(project).map_or(0, |document| document.len());
        if length > MAX_DOCUMENT {
            let message = format!("a project has at most {MAX_DOCUMENT} bytes as JSON; this one has {length}");
            faults.push(Fault::new(&loaded.folder, Place::START, TOO_LARGE, message));
        }
        faults
    }

    fn is_of_stand_in(&self, path: &[String]) -> bool {
        match path {
            [top, name, ..] if top == "connections" => self.connections.get(name.as_str()) == Some(&None),
            [top, name, ..] if top == "operations" => self.operations.get(name.as_str()) == Some(&None),
            _ => false,
        }
    }
}

/// The file's content as a type of the domain, if its shape is right.
fn typed<T: DeserializeOwned>(source: &Source, fields: &shape::Fields, faults: &mut Vec<Fault>) -> Option<T> {
    let (node, path) = (source.node.as_ref()?, &source.file.path);
    let found = examine::examine(path, node, fields);
    if !found.is_empty() {
        faults.extend(found);
        return None;
    }
    let typed = serde_json::from_value(node.to_json());
    typed.map_err(|error| faults.push(Fault::new(path, node.at, VALUE_INVALID, error.to_string()))).ok()
}
