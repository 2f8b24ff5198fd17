//! What stands on the site from the start: desks, request types with their fields, statuses, transitions, queues,
//! articles. The same at every start, so that tests and documents can name it.

use super::field::{Choice, Field, Kind};

/// A service desk and its project.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) id: &'static str,
    pub(crate) project: &'static str,
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    /// Whether the agent's account may enter. The others are there to be refused.
    pub(crate) open: bool,
}

pub(crate) static DESKS: [Desk; 3] = [
    Desk { id: "1", project: "10001", key: "IT", name: "IT help", open: true },
    Desk { id: "2", project: "10002", key: "HR", name: "People and workplace", open: true },
    Desk { id: "3", project: "10003", key: "LEGAL", name: "Legal", open: false },
];

/// A field on the form of a request type.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) field: &'static Field,
    pub(crate) required: bool,
}

/// A request type.
#[derive(Debug)]
pub(crate) struct RequestType {
    pub(crate) id: &'static str,
    /// Position in [`DESKS`].
    pub(crate) desk: usize,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) help: &'static str,
    /// Position in [`ISSUE_TYPES`].
    pub(crate) issue_type: usize,
    /// Id of its group.
    pub(crate) group: &'static str,
    pub(crate) fields: &'static [Use],
    /// Whether somebody has to approve it.
    pub(crate) approval: bool,
}

const fn must(field: &'static Field) -> Use {
    Use { field, required: true }
}

const fn may(field: &'static Field) -> Use {
    Use { field, required: false }
}

const fn choice(id: &'static str, label: &'static str) -> Choice {
    Choice { id, label, children: &[] }
}

pub(crate) static SUMMARY: Field = Field::system("summary", "Summary", Kind::Text);
pub(crate) static DESCRIPTION: Field = Field::system("description", "Description", Kind::LongText);
pub(crate) static PRIORITY: Field = Field::system("priority", "Priority", Kind::Priority);
pub(crate) static LABELS: Field = Field::system("labels", "Labels", Kind::Labels);
pub(crate) static DUE: Field = Field::system("duedate", "Due date", Kind::Date);
static IMPACTS: [Choice; 4] = [
    choice("10101", "Extensive / Widespread"),
    choice("10102", "Significant / Large"),
    choice("10103", "Moderate / Limited"),
    choice("10104", "Minor / Localized"),
];
pub(crate) static IMPACT: Field = Field::custom(10_011, "Impact", Kind::Select(&IMPACTS));
static SYSTEMS: [Choice; 4] =
    [choice("10121", "Mail"), choice("10122", "Payroll"), choice("10123", "Source code"), choice("10124", "VPN")];
static AFFECTED: Field = Field::custom(10_012, "Systems", Kind::MultiSelect(&SYSTEMS));
static START: Field = Field::custom(10_013, "Start date", Kind::Date);
static LAPTOPS: [Choice; 2] = [choice("10142", "14 inch"), choice("10143", "16 inch")];
static SCREENS: [Choice; 2] = [choice("10145", "27 inch"), choice("10146", "32 inch")];
static MODELS: [Choice; 2] = [
    Choice { id: "10141", label: "Laptop", children: &LAPTOPS },
    Choice { id: "10144", label: "Screen", children: &SCREENS },
];
static MODEL: Field = Field::custom(10_014, "Model", Kind::Cascade(&MODELS));
static QUANTITY: Field = Field::custom(10_015, "Quantity", Kind::Number);
static EMPLOYEE: Field = Field::custom(10_016, "Employee", Kind::User);
/// Free text that a caller may use to recognise its own requests: the service desk has no idempotency keys.
pub(crate) static REFERENCE: Field = Field::custom(10_020, "External reference", Kind::Text);

/// Every field that issues can have.
pub(crate) static FIELDS: [&Field; 12] = [
    &SUMMARY,
    &DESCRIPTION,
    &PRIORITY,
    &LABELS,
    &DUE,
    &IMPACT,
    &AFFECTED,
    &START,
    &MODEL,
    &QUANTITY,
    &EMPLOYEE,
    &REFERENCE,
];

pub(crate) static TYPES: [RequestType; 10] = [
    kind("10", 0, "Report a problem", "Something does not work as it should.", 0, "100", &PROBLEM_FORM),
    RequestType {
        approval: true,
        ..kind("11", 0, "Request access", "To a system or a folder.", 1, "101", &ACCESS_FORM)
    },
    kind("12", 0, "Request hardware", "Laptops and screens.", 1, "101", &HARDWARE_FORM),
    kind("13", 0, "Reset a password", "We call you back.", 1, "101", &SHORT_FORM),
    kind("14", 0, "Ask a question", "Anything else.", 1, "100", &QUESTION_FORM),
    kind("20", 1, "Onboard an employee", "Desk, badge and accounts.", 1, "200", &ONBOARD_FORM),
    kind("21", 1, "Report an issue with the building", "Heat, light, doors.", 0, "201", &SHORT_FORM),
    kind("22", 1, "Handed over from another desk", "Requests that began elsewhere.", 1, "201", &HANDOVER_FORM),
    kind("23", 1, "Ask the people team", "Contracts, pay, holidays.", 1, "200", &QUESTION_FORM),
    kind("30", 2, "Review a contract", "Before you sign.", 1, "300", &SHORT_FORM),
];

const fn kind(
    id: &'static str,
    desk: usize,
    name: &'static str,
    description: &'static str,
    issue_type: usize,
    group: &'static str,
    fields: &'static [Use],
) -> RequestType {
    let help = "Please be as precise as you can.";
    RequestType { id, desk, name, description, help, issue_type, group, fields, approval: false }
}

static PROBLEM_FORM: [Use; 6] =
    [must(&SUMMARY), may(&DESCRIPTION), may(&PRIORITY), must(&IMPACT), may(&LABELS), may(&REFERENCE)];
static ACCESS_FORM: [Use; 4] = [must(&SUMMARY), may(&DESCRIPTION), must(&AFFECTED), may(&START)];
static HARDWARE_FORM: [Use; 4] = [must(&SUMMARY), may(&DESCRIPTION), must(&MODEL), may(&QUANTITY)];
static SHORT_FORM: [Use; 2] = [must(&SUMMARY), may(&DESCRIPTION)];
static QUESTION_FORM: [Use; 2] = [must(&SUMMARY), must(&DESCRIPTION)];
static ONBOARD_FORM: [Use; 4] = [must(&SUMMARY), must(&START), may(&EMPLOYEE), may(&DUE)];
static HANDOVER_FORM: [Use; 5] = [must(&SUMMARY), may(&DESCRIPTION), may(&PRIORITY), may(&LABELS), may(&REFERENCE)];

/// Groups of request types: id, name, position of the desk.
pub(crate) static GROUPS: [(&str, &str, usize); 5] = [
    ("100", "Help", 0),
    ("101", "Access and equipment", 0),
    ("200", "People", 1),
    ("201", "Workplace", 1),
    ("300", "Contracts", 2),
];

/// Issue types: id, name, description.
pub(crate) static ISSUE_TYPES: [(&str, &str, &str); 3] = [
    ("10001", "Incident", "Something is broken."),
    ("10002", "Service Request", "Somebody wants something."),
    ("10003", "Task", "A piece of work."),
];

/// Priorities: id and name, highest first.
pub(crate) static PRIORITIES: [(&str, &str); 4] = [("1", "Highest"), ("2", "High"), ("3", "Medium"), ("4", "Low")];
/// Position of the priority that an issue has if nobody says otherwise.
pub(crate) const MEDIUM: u8 = 2;

/// How far along a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    New,
    Moving,
    Done,
}

/// A status of the one workflow.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) category: Category,
}

/// The first is where an issue begins.
pub(crate) static STATUSES: [Status; 5] = [
    Status { id: "10100", name: "Waiting for support", category: Category::New },
    Status { id: "3", name: "In progress", category: Category::Moving },
    Status { id: "10101", name: "Waiting for customer", category: Category::Moving },
    Status { id: "5", name: "Resolved", category: Category::Done },
    Status { id: "6", name: "Closed", category: Category::Done },
];

/// A step of the workflow: id, name, position of the status it leads to.
pub(crate) type Transition = (&'static str, &'static str, u8);

static FORWARD: [Transition; 4] = [
    ("11", "Start work", 1),
    ("21", "Respond to customer", 2),
    ("31", "Resolve this issue", 3),
    ("41", "Cancel request", 4),
];
static BACK: [Transition; 1] = [("51", "Reopen issue", 0)];

/// The steps that lead away from a status.
pub(crate) fn transitions(from: u8) -> impl Iterator<Item = &'static Transition> {
    let steps: &'static [Transition] = if status(from).category == Category::Done { &BACK } else { &FORWARD };
    steps.iter().filter(move |step| step.2 != from)
}

/// Queues: id, position of the desk, name, JQL.
pub(crate) static QUEUES: [(&str, usize, &str, &str); 5] = [
    ("10", 0, "All open", "project = IT AND statusCategory != Done ORDER BY created DESC"),
    ("11", 0, "Unassigned", "project = IT AND assignee IS EMPTY AND statusCategory != Done ORDER BY created ASC"),
    ("12", 0, "Resolved", "project = IT AND statusCategory = Done ORDER BY updated DESC"),
    ("20", 1, "All open", "project = HR AND statusCategory != Done ORDER BY created DESC"),
    ("30", 2, "All open", "project = LEGAL AND statusCategory != Done ORDER BY created DESC"),
];

/// Articles of the knowledge base: position of the desk, title, excerpt.
pub(crate) static ARTICLES: [(usize, &str, &str); 3] = [
    (0, "How to set up the VPN", "Install the client, then sign in with your badge."),
    (0, "What to do when the printer is out of toner", "The cupboard beside the lift."),
    (1, "How holidays are counted", "From the first of the month."),
];

/// Service level agreements: id, name, goal in milliseconds.
pub(crate) static AGREEMENTS: [(&str, &str, i64); 2] =
    [("1", "Time to first response", 4 * 3_600_000), ("2", "Time to resolution", 40 * 3_600_000)];

pub(crate) fn desk(at: u8) -> &'static Desk {
    let [first, ..] = &DESKS;
    DESKS.get(usize::from(at)).unwrap_or(first)
}

pub(crate) fn status(at: u8) -> &'static Status {
    let [first, ..] = &STATUSES;
    STATUSES.get(usize::from(at)).unwrap_or(first)
}

pub(crate) fn priority(at: u8) -> &'static (&'static str, &'static str) {
    let [first, ..] = &PRIORITIES;
    PRIORITIES.get(usize::from(at)).unwrap_or(first)
}

pub(crate) fn issue_type(at: u8) -> &'static (&'static str, &'static str, &'static str) {
    let [first, ..] = &ISSUE_TYPES;
    ISSUE_TYPES.get(usize::from(at)).unwrap_or(first)
}

/// The position of what fits in a list, as a small number.
pub(crate) fn position<T>(all: &[T], fits: impl Fn(&T) -> bool) -> Option<u8> {
    all.iter().position(fits).and_then(|at| u8::try_from(at).ok())
}
