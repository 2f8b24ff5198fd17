//! How deeply brackets are nested, counted without recursion: whatever reads them afterwards does recurse.

use crate::{Position, ProgramError};

/// Deepest nesting of brackets and of texts with `\( )` inside. People stay below 20.
const MAX_DEPTH: usize = 100;

/// What the scan is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Brackets,
    Text,
}

/// Refuses what is nested too deeply. Brackets that do not match are left to the parser.
pub(crate) fn check(program: &str) -> Result<(), ProgramError> {
    let mut open = Vec::new();
    let mut characters = program.char_indices();
    while let Some((byte, character)) = characters.next() {
        match (open.last(), character) {
            (Some(Inside::Text), '"') => drop(open.pop()),
            (Some(Inside::Text), '\\') => {
                if characters.next().is_some_and(|(_, escaped)| escaped == '(') {
                    open.push(Inside::Brackets);
                }
            }
            (Some(Inside::Text), _) => {}
            (_, '"') => open.push(Inside::Text),
            (_, '(' | '[' | '{') => open.push(Inside::Brackets),
            (_, ')' | ']' | '}') => drop(open.pop()),
            (_, '#') => skip_comment(&mut characters),
            (_, _) => {}
        }
        if open.len() > MAX_DEPTH {
            let message = format!("brackets are nested more than {MAX_DEPTH} deep: define parts of it with `def`");
            return Err(ProgramError::Malformed { at: Position::of_byte(program, byte), message });
        }
    }
    Ok(())
}

/// A comment ends with its line, unless that ends with an odd number of backslashes.
fn skip_comment(characters: &mut std::str::CharIndices<'_>) {
    let mut continues = false;
    for (_, character) in characters {
        match character {
            '\n' if !continues => return,
            '\\' => continues = !continues,
            '\r' => {}
            _ => continues = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_where_brackets_mean_something() {
        let deep = "(".repeat(MAX_DEPTH + 1);
        assert!(check(&deep).is_err());
        assert!(check(&format!("\"{deep}\"")).is_ok(), "a text");
        assert!(check(&format!("# {deep}\n.")).is_ok(), "a comment");
        assert!(check(&"[]".repeat(MAX_DEPTH * 2)).is_ok(), "side by side");
    }

    #[test]
    fn closing_brackets_in_texts_and_comments_hide_nothing() {
        assert!(check(&"(\")\"|".repeat(MAX_DEPTH + 1)).is_err());
        assert!(check(&"( # )\n".repeat(MAX_DEPTH + 1)).is_err());
        assert!(check(&"( # \\\\\n".repeat(MAX_DEPTH + 1)).is_err());
        assert!(check(&"\"\\(".repeat(MAX_DEPTH)).is_err(), "texts inside texts");
    }
}
