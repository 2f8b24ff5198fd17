//! From text to program: size, nesting, syntax, names. Every refusal has a place.

use jaq_core::{
    Compiler,
    compile::Undefined,
    data::JustLut,
    load::{self, Arena, File, Loader, lex, parse},
};
use jaq_json::Val;

use crate::{
    MAX_PROGRAM, Position, ProgramError,
    language::{self, FILES, GLOBALS},
    nesting,
};

/// What programs work on.
pub type Data = JustLut<Val>;
/// A program that can be run by whoever provides values for [`GLOBALS`].
pub type Filter = jaq_core::Filter<Data>;

/// Compiles a program.
///
/// It recurses as deeply as the program is long: natively call [`Program::check`](crate::Program::check), which brings
/// a stack for that.
///
/// # Errors
/// With the first fault.
pub fn compile(text: &str) -> Result<Filter, ProgramError> {
    if text.len() > MAX_PROGRAM {
        return Err(ProgramError::TooLong { bytes: text.len() });
    }
    nesting::check(text)?;
    let arena = Arena::default();
    let file = File { code: text, path: () };
    let modules = Loader::new(language::definitions()).load(&arena, file).map_err(|faults| {
        let first = faults.into_iter().next().map(|(_, fault)| unreadable(text, fault));
        first.unwrap_or_else(|| malformed(text, text, "it cannot be read".to_owned()))
    })?;
    // Imported data would only be missed when the program runs.
    load::import(&modules, |_| Err(FILES.to_owned())).map_err(|_| malformed(text, text, FILES.to_owned()))?;
    let compiler = Compiler::default().with_funs(language::functions()).with_global_vars(GLOBALS);
    compiler.compile(modules).map_err(|faults| {
        let first = faults.into_iter().flat_map(|(_, faults)| faults).next();
        first.map_or_else(|| malformed(text, text, "it cannot be compiled".to_owned()), |fault| undefined(text, &fault))
    })
}

fn unreadable(text: &str, fault: load::Error<&str>) -> ProgramError {
    let first = match fault {
        load::Error::Lex(faults) => faults.into_iter().next().map(|(expected, found)| lexical(text, &expected, found)),
        load::Error::Parse(faults) => {
            faults.into_iter().next().map(|(expected, found)| syntactic(text, &expected, found))
        }
        load::Error::Io(faults) => faults.into_iter().next().map(|(path, _)| malformed(text, path, FILES.to_owned())),
    };
    first.unwrap_or_else(|| malformed(text, text, "it cannot be read".to_owned()))
}

fn lexical(text: &str, expected: &lex::Expect<&str>, found: &str) -> ProgramError {
    let message = if matches!(expected, lex::Expect::Token) {
        format!("{} means nothing here", shown(found))
    } else {
        format!("expected a {} here, found {}", expected.as_str(), shown(found))
    };
    malformed(text, found, message)
}

fn syntactic(text: &str, expected: &parse::Expect<&str>, found: &str) -> ProgramError {
    let wanted = if let parse::Expect::Just(word) = expected {
        format!("`{word}`")
    } else if matches!(expected, parse::Expect::Nothing) {
        "the end".to_owned()
    } else {
        expected.as_str().to_owned()
    };
    malformed(text, found, format!("expected {wanted} here, found {}", shown(found)))
}

fn undefined(text: &str, (name, kind): &(&str, Undefined)) -> ProgramError {
    let message = match (language::left_out(name), kind) {
        (Some(why), _) => format!("{name} is not available: {why}"),
        (None, Undefined::Var) => format!("there is no variable {name}; there are {}", GLOBALS.join(", ")),
        (None, Undefined::Label) => format!("there is no label {name}"),
        (None, Undefined::Mod) => format!("there is no module {name}: {FILES}"),
        (None, Undefined::Filter(0)) => format!("there is no filter {name}"),
        (None, Undefined::Filter(count)) => format!("there is no filter {name} with {count} arguments"),
        (None, _) => format!("{name} is not known"),
    };
    let at = Position::of_part(text, name).unwrap_or(Position::START);
    ProgramError::Unknown { at, name: (*name).to_owned(), message, suggestion: None }
}

fn malformed(text: &str, found: &str, message: String) -> ProgramError {
    let at = Position::of_part(text, found).unwrap_or(Position::START);
    ProgramError::Malformed { at, message }
}

/// The beginning of what was found, for a message.
fn shown(found: &str) -> String {
    let word: String = found.lines().next().unwrap_or_default().chars().take(20).collect();
    if word.trim().is_empty() { "the end".to_owned() } else { format!("`{}`", word.trim()) }
}
