//! Where something stands in a program.

/// A place in a text, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// The beginning.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place of a byte of `text`; beyond its end, the end.
    pub fn of_byte(text: &str, byte: usize) -> Self {
        let before = text.get(..text.floor_char_boundary(byte)).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: count(line), column: count(column) }
    }

    /// The place of `part`, if it is a piece of `text` itself and not a copy.
    pub(crate) fn of_part(text: &str, part: &str) -> Option<Self> {
        let byte = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        (byte <= text.len()).then(|| Self::of_byte(text, byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "a\n  äb";
        assert_eq!(Position::of_byte(text, 0), Position::START);
        assert_eq!(Position::of_byte(text, 6), Position { line: 2, column: 4 });
        assert_eq!(Position::of_byte(text, 100), Position { line: 2, column: 5 });
        assert_eq!(Position::of_part(text, &text[2..]), Some(Position { line: 2, column: 1 }));
        assert_eq!(Position::of_part(&text[3..], text), None, "it begins before the text");
    }
}
