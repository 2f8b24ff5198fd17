//! Where a spot inside a program stands in the YAML file around it.

use wherry_domain::project::check::Spot;

use super::yaml::Place;

/// The place in the file of a spot inside the text that begins at `at`. YAML that changes a text on the way (folded
/// lines, escapes) leaves no way back: then it is where the text begins.
pub(super) fn inside(file: &str, at: Place, spot: Spot) -> Place {
    let (down, right) = (u64::from(spot.line) - 1, u64::from(spot.column) - 1);
    let lines: Vec<&str> = file.lines().take(usize::try_from(at.line).unwrap_or(usize::MAX)).collect();
    let Some((begins, above)) = lines.split_last() else { return at };
    let before = usize::try_from(at.column).unwrap_or(usize::MAX).saturating_sub(1);
    let head: String = begins.chars().skip(before).collect();
    let lead: String = begins.chars().take(before).collect();
    if lead.trim().is_empty()
        && let Some((number, header)) = (1_u64..).zip(above).filter(|(_, line)| !line.trim().is_empty()).last()
        && let Some(style) = block_style(header)
    {
        // A block is located by its first line that is not empty; the empty ones before are part of the text.
        return match style {
            "|" | "|-" | "|+" => Place { line: number + 1 + down, column: at.column + right },
            _ => at,
        };
    }
    match head.chars().next() {
        Some('"' | '\'') if down == 0 && !head.contains('\\') && !head.contains("''") => {
            Place { line: at.line, column: at.column + right + 1 }
        }
        Some('"' | '\'') | None => at,
        Some(_) if down == 0 => Place { line: at.line, column: at.column + right },
        Some(_) => at,
    }
}

/// How the block below this line is written, if there is one: `|`, `>-`, `|2`.
fn block_style(line: &str) -> Option<&str> {
    let line = line.split_once(" #").map_or(line, |(line, _)| line).trim_end();
    let style = line.rsplit([' ', ':']).next().unwrap_or_default();
    let mut characters = style.chars();
    let is_block = matches!(characters.next(), Some('|' | '>'));
    (is_block && characters.all(|c| c.is_ascii_digit() || c == '-' || c == '+')).then_some(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(file: &str, line: u64, column: u64, spot: (u32, u32)) -> (u64, u64) {
        let place = inside(file, Place { line, column }, Spot { line: spot.0, column: spot.1 });
        (place.line, place.column)
    }

    #[test]
    fn a_block_is_counted_from_its_header_and_indentation() {
        let file = "a: 1\ntransform: |  # jq\n\n    { a: .b,\n      c: ] }\nb: 2\n";
        assert_eq!(moved(file, 4, 5, (3, 6)), (5, 10));
        assert_eq!(moved(&file.replace('|', "|-"), 4, 5, (1, 1)), (3, 5));
        assert_eq!(moved(&file.replace('|', "|4"), 4, 5, (3, 6)), (4, 5), "an explicit indentation");
        assert_eq!(moved(&file.replace('|', ">"), 4, 5, (3, 6)), (4, 5), "folded lines");
    }

    #[test]
    fn a_text_on_one_line_is_counted_from_its_beginning() {
        assert_eq!(moved("transform: .a & .b\n", 1, 12, (1, 4)), (1, 15));
        assert_eq!(moved("transform:\n  .a & .b\n", 2, 3, (1, 4)), (2, 6));
        assert_eq!(moved("transform: \".a & .b\"\n", 1, 12, (1, 4)), (1, 16));
        assert_eq!(moved("transform: '.a & .b'\n", 1, 12, (1, 4)), (1, 16));
    }

    #[test]
    fn what_yaml_changes_is_told_where_it_begins() {
        assert_eq!(moved("transform: \"\\t.a & .b\"\n", 1, 12, (1, 5)), (1, 12));
        assert_eq!(moved("transform: .a\n  & .b\n", 1, 12, (2, 1)), (1, 12));
        assert_eq!(moved("", 9, 9, (1, 1)), (9, 9));
    }
}
