//! The requests that are there from the start. They are computed from their number, so that a hundred thousand of them
//! cost no memory and every start tells the same story.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::catalogue::IMPACT;
use super::date::Millis;
use super::field::{Choice, Kind};
use super::issue::{Approval, Comment, Issue};
use super::people::AGENT;

/// The id of the first issue.
pub(crate) const FIRST_ID: u64 = 10_000;
/// When the first request came in: 2025-01-06, a Monday, at eight.
pub(crate) const FIRST: Millis = 1_736_150_400_000;
/// From one request to the next.
const GAP: Millis = 47_000;

const SUBJECTS: [(&str, &str); 8] = [
    ("Laptop does not start", "The fan turns, the screen stays black."),
    ("VPN drops every hour", "Always on the hour.\nBoth at home and in the office."),
    ("New colleague needs accounts", "Starts on Monday."),
    ("Printer on floor 3 is out of toner", "Black only."),
    ("Shared mailbox is full", "No mail since this morning."),
    ("Badge does not open the lab", "It did last week."),
    ("Licence for the drawing tool", "One more seat, please."),
    ("Slow network in meeting room 2", "Calls break up when the room is full."),
];

/// The request at `index`, counted from 0: all of them belong to the first desk.
pub(crate) fn request(index: usize) -> Issue {
    let number = index + 1;
    let (subject, description) = SUBJECTS.iter().cycle().nth(index % SUBJECTS.len()).copied().unwrap_or_default();
    let kind = small(index, 5);
    let status = small(index, 5);
    let created = FIRST + GAP * Millis::try_from(index).unwrap_or_default();
    let updated = created + 60_000 * Millis::from(small(index, 90));
    let id = FIRST_ID + index as u64;
    let spoken_about = index.is_multiple_of(4);
    Issue {
        id,
        desk: 0,
        number,
        kind: Some(kind),
        issue_type: u8::from(kind != 0),
        summary: Cow::Borrowed(subject),
        description: Some(Cow::Borrowed(description)),
        priority: small(index / 2, 4),
        status,
        reporter: 2 + index % 5,
        assignee: index.is_multiple_of(3).then_some(1),
        organisation: Some(1 + (index % 2) as u64),
        created,
        updated,
        history: if status == 0 { Vec::new() } else { vec![(status, updated)] },
        labels: Vec::new(),
        values: BTreeMap::new(),
        impact: impact(index).filter(|_| kind == 0),
        comments: if spoken_about { comments(id, 2 + index % 5, created) } else { Vec::new() },
        participants: if index % 10 == 3 { vec![6] } else { Vec::new() },
        attachments: Vec::new(),
        approval: (kind == 1).then_some(Approval { id, decision: None }),
        properties: BTreeMap::new(),
        links: Vec::new(),
        gone: false,
    }
}

fn small(number: usize, below: usize) -> u8 {
    u8::try_from(number % below).unwrap_or_default()
}

fn impact(index: usize) -> Option<&'static Choice> {
    let Kind::Select(choices) = IMPACT.kind else { return None };
    choices.get(index / 5 % choices.len())
}

fn comments(issue: u64, customer: usize, created: Millis) -> Vec<Comment> {
    let comment = |nth: u64, author, body, public| {
        let at = created + 30_000 * Millis::try_from(nth + 1).unwrap_or_default();
        let body = Cow::Borrowed(body);
        Comment { id: issue * 10 + nth, author, body, public, created: at, updated: at, attachments: Vec::new() }
    };
    vec![
        comment(0, customer, "Is there any news?", true),
        comment(1, AGENT, "Looks like the same fault as last week.", false),
    ]
}
