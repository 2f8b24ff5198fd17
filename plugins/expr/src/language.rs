//! Which words the language has: jq's, without those that look beyond the record.

use jaq_core::{load::parse::Def, native::Fun};

use crate::Data;

/// Variables that every program may use, in the order in which the box gives their values: the run's variables, the
/// run (`$run.id`) and the agent (`$agent.name`).
pub const GLOBALS: [&str; 3] = ["$vars", "$run", "$agent"];

/// Words of jq that are left out, each with the reason.
const LEFT_OUT: [(&str, &str); 17] = [
    ("env", ENVIRONMENT),
    ("$ENV", ENVIRONMENT),
    ("input", OTHER_RECORDS),
    ("inputs", OTHER_RECORDS),
    ("input_filename", OTHER_RECORDS),
    ("input_line_number", OTHER_RECORDS),
    ("debug", LOG),
    ("debug_empty", LOG),
    ("stderr", LOG),
    ("stderr_empty", LOG),
    ("now", CLOCK),
    ("localtime", ZONE),
    ("strflocaltime", ZONE),
    ("halt", HALT),
    ("halt_error", HALT),
    ("get_search_list", FILES),
    ("$__prog_args", ENVIRONMENT),
];
const ENVIRONMENT: &str = "a program does not see the environment of its process: use variables of the project, $vars";
const OTHER_RECORDS: &str = "a program sees one record at a time and no other input";
const LOG: &str = "a program cannot write to the log: try it with `wherry expr eval` instead";
const CLOCK: &str =
    "a program gives the same results at every attempt, so it has no clock: pass the time as a variable of the run";
const ZONE: &str = "a program does not know the time zone of its machine: use gmtime and strftime, which are in UTC";
const HALT: &str = "a program cannot end its process: use error(...) to fail, or empty to leave a record out";
/// Why modules cannot be had.
pub(crate) const FILES: &str = "a program is one text and cannot read files or other modules";

/// Why a word of jq is not there.
pub(crate) fn left_out(name: &str) -> Option<&'static str> {
    LEFT_OUT.iter().find(|(word, _)| *word == name).map(|(_, why)| *why)
}

/// The words defined in jq itself.
pub(crate) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|definition| left_out(definition.name).is_none())
}

/// The words implemented in Rust.
pub(crate) fn functions() -> impl Iterator<Item = Fun<Data>> {
    let all = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    all.filter(|(name, ..)| left_out(name).is_none())
}

/// Every word that a program may call, for suggestions.
#[cfg(feature = "check")]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    definitions().map(|definition| definition.name).chain(functions().map(|(name, ..)| name)).chain(GLOBALS)
}
