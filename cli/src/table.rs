//! Tables: which fields of the controller's JSON are shown, and how.
//!
//! On a terminal a table fits its width and times are told from now; in a pipe there are tabs, exact times and
//! nothing is cut, so that `cut` and `awk` work.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::Value;

use crate::text::{ago, bytes, grouped, plain, span};

/// How a field is shown.
#[derive(Debug, Clone, Copy)]
enum Show {
    Text,
    Count,
    Bytes,
    Time,
    Span,
    List,
    /// As a list, but where one thing is shown on a terminal, each entry has a line.
    Lines,
}

/// One column, or one line of a single thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// Keys from the top, joined by dots.
    path: &'static str,
    show: Show,
}

pub(crate) const fn text(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Text }
}

pub(crate) const fn count(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Count }
}

pub(crate) const fn size(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Bytes }
}

pub(crate) const fn time(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Time }
}

pub(crate) const fn duration(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Span }
}

pub(crate) const fn list(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::List }
}

pub(crate) const fn lines(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Lines }
}

/// The width of a terminal, or a pipe.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Medium {
    Terminal { width: u16, now: Timestamp },
    Pipe,
}

/// Several things as a table.
pub(crate) fn rows(columns: &[Column], items: &[Value], medium: Medium) -> String {
    let titles = columns.iter().map(|column| column.title);
    let cells = |item| columns.iter().map(move |column| column.cell(item, medium)).collect::<Vec<_>>();
    match medium {
        Medium::Pipe => {
            let lines = items.iter().map(|item| cells(item).join("\t"));
            std::iter::once(titles.collect::<Vec<_>>().join("\t")).chain(lines).map(|line| line + "\n").collect()
        }
        Medium::Terminal { width, .. } => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            table.set_header(titles.collect::<Vec<_>>());
            for item in items {
                table.add_row(cells(item));
            }
            let whole = columns.iter().enumerate().map(|(index, column)| index == 0 || column.is_short());
            for (column, _) in table.column_iter_mut().zip(whole).filter(|(_, whole)| *whole) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
            trimmed(&table.to_string())
        }
    }
}

/// One thing, a line per field; fields without a value are left out.
pub(crate) fn fields(columns: &[Column], item: &Value, medium: Medium) -> String {
    let known: Vec<_> = columns
        .iter()
        .map(|column| (column.title.to_lowercase(), column.cells(item, medium)))
        .filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()))
        .collect();
    let width = known.iter().map(|(title, _)| title.chars().count()).max().unwrap_or_default();
    let line = |(title, cells): &(String, Vec<String>)| match medium {
        Medium::Pipe => format!("{title}\t{}\n", cells.join(", ")),
        Medium::Terminal { .. } => {
            let titles = std::iter::once(title.as_str()).chain(std::iter::repeat(""));
            titles.zip(cells).map(|(title, cell)| format!("{title:<width$}  {cell}\n")).collect()
        }
    };
    known.iter().map(line).collect()
}

/// The value at `path`, keys joined by dots.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

impl Column {
    /// Whether its values are short figures that make no sense when broken.
    const fn is_short(&self) -> bool {
        match self.show {
            Show::Count | Show::Bytes | Show::Time | Show::Span => true,
            Show::Text | Show::List | Show::Lines => false,
        }
    }

    /// What is shown of one thing, a line each.
    fn cells(&self, item: &Value, medium: Medium) -> Vec<String> {
        match (self.show, at(item, self.path)) {
            (Show::Lines, Some(Value::Array(items))) => items.iter().map(simple).collect(),
            (_, _) => vec![self.cell(item, medium)],
        }
    }

    fn cell(&self, item: &Value, medium: Medium) -> String {
        let Some(value) = at(item, self.path) else { return String::new() };
        match (self.show, value) {
            (_, Value::Null) => String::new(),
            (Show::Time, Value::String(time)) => match medium {
                Medium::Terminal { now, .. } => ago(time, now),
                Medium::Pipe => plain(time),
            },
            (Show::Count, Value::Number(number)) => match (number.as_u64(), medium) {
                (Some(count), Medium::Terminal { .. }) => grouped(count),
                (Some(_) | None, _) => number.to_string(),
            },
            (Show::Bytes, Value::Number(number)) => match (number.as_u64(), medium) {
                (Some(count), Medium::Terminal { .. }) => bytes(count),
                (Some(_) | None, _) => number.to_string(),
            },
            (Show::Span, Value::Number(number)) => match (number.as_u64(), medium) {
                (Some(millis), Medium::Terminal { .. }) => span(millis),
                (Some(_) | None, _) => number.to_string(),
            },
            (Show::List | Show::Lines, Value::Array(items)) => items.iter().map(simple).collect::<Vec<_>>().join(", "),
            (Show::Text, Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
            (_, other) => simple(other),
        }
    }
}

/// A value in one line. Things with a name are shown by it.
fn simple(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Object(fields) => match fields.get("name") {
            Some(Value::String(name)) => plain(name),
            Some(_) | None => fields
                .iter()
                .map(|(key, value)| format!("{} {}", plain(key), simple(value)))
                .collect::<Vec<_>>()
                .join(", "),
        },
        Value::Array(items) => items.iter().map(simple).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn trimmed(table: &str) -> String {
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] =
        &[text("NAME", "name"), count("READ", "counts.read"), time("SEEN", "seen"), list("HAS", "has")];

    fn items() -> Vec<Value> {
        vec![
            json!({"name": "eu-1", "counts": {"read": 12345}, "seen": "2026-01-01T23:59:00Z", "has": ["a", {"name": "b"}]}),
            json!({"name": "eu\t2\u{1b}"}),
        ]
    }

    #[test]
    fn a_pipe_gets_tabs_and_exact_values_and_no_column_breaks() {
        let shown = rows(COLUMNS, &items(), Medium::Pipe);
        assert_eq!(shown, "NAME\tREAD\tSEEN\tHAS\neu-1\t12345\t2026-01-01T23:59:00Z\ta, b\neu\\t2\\u{1b}\t\t\t\n");
    }

    #[test]
    fn a_terminal_gets_a_table_no_wider_than_itself() {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let shown = rows(COLUMNS, &items(), Medium::Terminal { width: 40, now });
        assert!(shown.contains("12,345") && shown.contains("1m ago"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 40), "{shown}");
    }

    #[test]
    fn one_thing_is_shown_without_its_empty_fields() {
        let shown = fields(COLUMNS, &json!({"name": "eu-1", "seen": null}), Medium::Pipe);
        assert_eq!(shown, "name\teu-1\n");
    }

    #[test]
    fn lines_stand_below_each_other_on_a_terminal_and_beside_each_other_in_a_pipe() {
        let columns = &[text("NAME", "name"), lines("ON DISK", "disk")];
        let item = json!({"name": "eu-1", "disk": ["http 1.0.0", "crm 2.0.0"]});
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let shown = fields(columns, &item, Medium::Terminal { width: 40, now });
        assert_eq!(shown, "name     eu-1\non disk  http 1.0.0\n         crm 2.0.0\n");
        assert_eq!(fields(columns, &item, Medium::Pipe), "name\teu-1\non disk\thttp 1.0.0, crm 2.0.0\n");
        assert_eq!(fields(columns, &json!({"name": "eu-1", "disk": []}), Medium::Pipe), "name\teu-1\n");
    }
}
