//! Atlassian document format: the third version of the platform writes texts as trees.

use serde_json::{Value, json};

/// Deepest tree that is read.
const DEPTH: usize = 32;

/// A text as a document: one paragraph a line.
pub(crate) fn from_text(text: &str) -> Value {
    let paragraph = |line: &str| match line {
        "" => json!({ "type": "paragraph", "content": [] }),
        line => json!({ "type": "paragraph", "content": [{ "type": "text", "text": line }] }),
    };
    json!({ "type": "doc", "version": 1, "content": text.split('\n').map(paragraph).collect::<Vec<_>>() })
}

/// The text of a document, or nothing if it is none.
pub(crate) fn to_text(document: &Value) -> Option<String> {
    let is = |key: &str, value: Value| document.get(key) == Some(&value);
    if !is("type", json!("doc")) || !is("version", json!(1)) {
        return None;
    }
    let blocks = document.get("content")?.as_array()?;
    let mut lines = Vec::new();
    for block in blocks {
        let mut line = String::new();
        gather(block, &mut line, DEPTH)?;
        lines.push(line);
    }
    Some(lines.join("\n"))
}

fn gather(node: &Value, out: &mut String, depth: usize) -> Option<()> {
    let kind = node.get("type")?.as_str()?;
    match (kind, node.get("text")) {
        ("text", text) => out.push_str(text?.as_str()?),
        ("hardBreak", _) => out.push('\n'),
        _ => {}
    }
    for child in node.get("content").and_then(Value::as_array).into_iter().flatten() {
        gather(child, out, depth.checked_sub(1)?)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_the_way_into_a_document_and_back() {
        for text in ["one line", "two\nlines", "", "a gap\n\nbetween"] {
            assert_eq!(to_text(&from_text(text)).as_deref(), Some(text));
        }
        for wrong in [json!("text"), json!({"type": "doc", "content": []}), json!({"type": "doc", "version": 1})] {
            assert_eq!(to_text(&wrong), None, "{wrong}");
        }
    }
}
