//! The programs of a whole project, checked for the command line and the controller alike.

use wherry_domain::{
    failure::Code,
    project::{
        MAX_ENTRIES, Project,
        check::{Fault, Spot},
    },
};

use crate::{Position, Program};

/// Every fault of every program. It takes some milliseconds for each program: call it where nobody waits.
pub fn check(project: &Project) -> Vec<Fault> {
    let programs: Vec<_> = project
        .operations
        .iter()
        .flat_map(|(name, operation)| operation.programs().map(move |(key, text)| (name, key, text)))
        .collect();
    if programs.is_empty() || project.operations.len() > MAX_ENTRIES {
        return Vec::new(); // what is too large is refused as a whole
    }
    let checked = Program::check_all(programs.iter().map(|(.., text)| *text));
    let faulty = programs.into_iter().zip(checked).filter_map(|(program, checked)| Some((program, checked.err()?)));
    faulty
        .map(|((name, key, _), error)| {
            let Position { line, column } = error.at();
            Fault {
                path: ["operations", name.as_str(), key].map(str::to_owned).to_vec(),
                code: Code::new(error.code()),
                message: format!("{key}: {error}"),
                suggestion: error.suggestion().map(str::to_owned),
                at: Some(Spot { line, column }),
            }
        })
        .collect()
}
