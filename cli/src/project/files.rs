//! The files of a project folder, with limits: what is there, what would be ignored, what cannot be read.

use std::fs::{self, DirEntry};
use std::io::Read;
use std::path::{Path, PathBuf};

use wherry_domain::name::Name;
use wherry_domain::project::check::nearest;

use super::examine::proper_name;
use super::fault::{FILE_MISSING, FILE_UNKNOWN, FILE_UNREADABLE, Fault, NAME_INVALID, NOT_SUPPORTED, TOO_LARGE};
use super::yaml::Place;

/// Largest file: the size of the largest deployment.
const MAX_BYTES: u64 = 1 << 20;
/// Most files of a project: one for each entry that a deployment may have.
const MAX_FILES: usize = 1_000;
/// Most entries looked at in one folder, so that a folder of a million other files is refused early.
const MAX_ENTRIES: usize = 10_000;

const MANIFEST: &str = "wherry.yaml";
const CONNECTIONS: &str = "connections";
const OPERATIONS: &str = "operations";

/// What a file describes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Manifest,
    Connection(Name),
    Operation(Name),
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// The files of the project in `folder`, and the faults of its layout.
pub(super) fn collect(folder: &Path) -> (Vec<File>, Vec<Fault>) {
    let mut collection = Collection { root: folder.canonicalize().ok(), files: Vec::new(), faults: Vec::new() };
    collection.folder(folder);
    (collection.files, collection.faults)
}

struct Collection {
    root: Option<PathBuf>,
    files: Vec<File>,
    faults: Vec<Fault>,
}

impl Collection {
    fn fault(&mut self, path: &Path, code: wherry_domain::failure::Code, message: impl Into<String>) {
        self.faults.push(Fault::new(path, Place::START, code, message));
    }

    fn folder(&mut self, folder: &Path) {
        let entries = self.entries(folder);
        let names: Vec<_> = entries.iter().map(name_of).collect();
        if !entries.is_empty() && !names.iter().any(|name| name == MANIFEST) {
            let message = format!("a project folder has a file {MANIFEST} with at least its name");
            self.fault(&folder.join(MANIFEST), FILE_MISSING, message);
        }
        for entry in &entries {
            let (path, name) = (entry.path(), name_of(entry));
            match name.as_str() {
                MANIFEST => self.read(Kind::Manifest, path),
                CONNECTIONS => self.members(&path, Kind::Connection),
                OPERATIONS => self.members(&path, Kind::Operation),
                "templates" if path.is_dir() => {
                    self.fault(&path, NOT_SUPPORTED, "this version does not support templates: remove the folder");
                }
                _ => self.stray(&path, &name),
            }
        }
    }

    fn stray(&mut self, path: &Path, name: &str) {
        let known = [MANIFEST, CONNECTIONS, OPERATIONS];
        let meant = nearest(name, known.into_iter());
        if meant.is_some() || is_yaml(path) {
            let message = format!("nothing reads this: a project has {}", known.join(", "));
            self.faults.push(Fault::new(path, Place::START, FILE_UNKNOWN, message).meant(meant));
        }
    }

    fn members(&mut self, folder: &Path, kind: fn(Name) -> Kind) {
        for entry in self.entries(folder) {
            let path = entry.path();
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_yaml(&path)) else {
                if path.is_dir() {
                    self.fault(&path, FILE_UNKNOWN, "nothing reads folders in here: put the files one level up");
                }
                continue;
            };
            if path.extension().is_some_and(|extension| extension == "yml") {
                let fault = Fault::new(&path, Place::START, FILE_UNKNOWN, "project files end with .yaml");
                self.faults.push(fault.meant(Some(format!("{stem}.yaml"))));
                continue;
            }
            match stem.parse() {
                Ok(name) => self.read(kind(name), path),
                Err(error) => {
                    let message = format!("the file's name without .yaml is the name: {error}");
                    let meant = proper_name(stem).map(|name| format!("{name}.yaml"));
                    self.faults.push(Fault::new(&path, Place::START, NAME_INVALID, message).meant(meant));
                }
            }
        }
    }

    /// The visible entries of a folder, sorted; editors' and the system's own files begin with a dot.
    fn entries(&mut self, folder: &Path) -> Vec<DirEntry> {
        let listed = self.inside(folder).and_then(|()| {
            let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
            entries.take(MAX_ENTRIES + 1).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())
        });
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(why) => {
                self.fault(folder, FILE_UNREADABLE, format!("this folder cannot be read: {why}"));
                return Vec::new();
            }
        };
        if entries.len() > MAX_ENTRIES {
            self.fault(folder, TOO_LARGE, format!("a folder of a project has at most {MAX_ENTRIES} entries"));
            return Vec::new();
        }
        entries.retain(|entry| !name_of(entry).starts_with('.'));
        entries.sort_by_key(DirEntry::file_name);
        entries
    }

    fn read(&mut self, kind: Kind, path: PathBuf) {
        if self.files.len() == MAX_FILES {
            return self.fault(&path, TOO_LARGE, format!("a project has at most {MAX_FILES} files"));
        }
        match self.inside(&path).and_then(|()| read_text(&path)) {
            Ok(Some(text)) => self.files.push(File { kind, path, text }),
            Ok(None) => self.fault(&path, TOO_LARGE, format!("a project file has at most {MAX_BYTES} bytes")),
            Err(why) => self.fault(&path, FILE_UNREADABLE, format!("this file cannot be read: {why}")),
        }
    }

    /// A link may not lead out of the folder: what it shows would be sent to the controller.
    fn inside(&self, path: &Path) -> Result<(), String> {
        let real = path.canonicalize().map_err(|error| error.to_string())?;
        match &self.root {
            Some(root) if real.starts_with(root) => Ok(()),
            Some(_) | None => Err("it is a link that leads out of the project folder".to_owned()),
        }
    }
}

/// The text of a file; `None` if it is too large.
fn read_text(path: &Path) -> Result<Option<String>, String> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Err("it is not a file".to_owned());
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn name_of(entry: &DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}
