//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), read with limits.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;

/// Largest event: a run with its history is a few KiB.
const EVENT_LIMIT: usize = 1 << 20;
/// A controller that says nothing for this long, not even a comment, is gone.
const SILENCE: Duration = Duration::from_secs(90);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// The events of one connection.
pub(crate) struct EventStream {
    chunks: BoxStream<'static, Option<Vec<u8>>>,
    parser: Parser,
}

impl EventStream {
    pub(super) fn new(response: reqwest::Response) -> Self {
        let chunks = response.bytes_stream().map(|chunk| chunk.ok().map(|bytes| bytes.to_vec())).boxed();
        Self { chunks, parser: Parser::default() }
    }

    /// The next event; `None` when the connection ended, broke or fell silent, so that the caller opens another.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.pop() {
                return Some(event);
            }
            let chunk = tokio::time::timeout(SILENCE, self.chunks.next()).await.ok()???;
            if !self.parser.push(&chunk) {
                return None;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Parser {
    rest: Vec<u8>,
    event: Event,
    has_data: bool,
    ready: std::collections::VecDeque<Event>,
}

impl Parser {
    fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Takes the next bytes; `false` if they are more than an event may have.
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\n', '\r']));
        }
        self.rest.len() + self.event.data.len() <= EVENT_LIMIT
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) || !event.name.is_empty() {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&str]) -> Vec<Event> {
        let mut parser = Parser::default();
        assert!(chunks.iter().all(|chunk| parser.push(chunk.as_bytes())));
        std::iter::from_fn(|| parser.pop()).collect()
    }

    #[test]
    fn events_survive_any_cut_between_chunks() {
        let text = ": hello\nid: 7\nevent: run\ndata: {\"a\":\ndata: 1}\n\nevent: end\r\n\r\n";
        let whole = parse(&[text]);
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0], Event { name: "run".into(), data: "{\"a\":\n1}".into(), id: Some("7".into()) });
        assert_eq!(whole[1].name, "end");
        for cut in 1..text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(parse(&[left, right]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut parser = Parser::default();
        let piece = "x".repeat(64 << 10);
        let accepted = (0..100).take_while(|_| parser.push(piece.as_bytes())).count();
        assert!(accepted <= 16, "{accepted}");
    }
}
