//! What a manifest says, once it is known to be right.

use serde_json::{Map, Value};

use crate::fields::Fields;
use crate::template::{Count, JsonTemplate, Template};

/// A connector without code.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its name, such as `request-tracker`.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Its licence, as an SPDX expression.
    pub license: String,
    /// What stands between the connection's URL and each path; empty, or `/` and what follows.
    pub base_path: String,
    /// The ways to authenticate.
    pub auth: Vec<Scheme>,
    /// The options of a connection.
    pub options: Fields,
    /// Headers of every request.
    pub headers: Vec<(String, Template)>,
    /// How a connection is tried.
    pub test: Test,
    /// What it can do.
    pub activities: Vec<Activity>,
    /// What refusals mean.
    pub errors: Errors,
    /// Where the system says how long to wait.
    pub rate_limit: RateLimit,
    /// What no run exceeds.
    pub limits: Limits,
}

/// A way to authenticate.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    /// Its name.
    pub id: String,
    /// The method of the host, such as `basic`.
    pub method: String,
    /// What people need to know to set it up.
    pub settings: Map<String, Value>,
}

/// How a connection is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What is asked; a GET without effects.
    pub request: Request,
    /// Where the answer of the right system has something.
    pub expect: Option<String>,
    /// Name and place of what is shown to people.
    pub report: Vec<(String, String)>,
}

/// One activity.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Its name, such as `ticket.query`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What it does.
    pub description: String,
    /// What it does with records.
    pub kind: Kind,
    /// What happens outside.
    pub side_effects: SideEffects,
    /// Its parameters.
    pub parameters: Fields,
    /// What is sent.
    pub request: Request,
    /// Where an answer has its records; empty for the whole.
    pub records: String,
    /// The fields of a record and where each stands in what the system gave; empty for all as they are.
    pub fields: Vec<(String, String)>,
    /// How an answer continues.
    pub paging: Option<Walk>,
    /// What is asked for each record.
    pub expand: Option<Expand>,
    /// Where the answer to a record has the id of what was made.
    pub id: Option<String>,
    /// How many instances may share the input of a target.
    pub parallel: u64,
    /// What its own refusals mean, before those of the whole connector.
    pub rules: Vec<Rule>,
    /// JSON Schema of the records it takes.
    pub input: Option<Value>,
    /// JSON Schema of the records it yields.
    pub output: Option<Value>,
}

/// What an activity does with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yields pages of them.
    Source,
    /// Makes one request for each.
    Target,
    /// Makes one request; the answer is the record, or has them.
    Execute,
}

/// What happens outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideEffects {
    /// Nothing changes.
    Read,
    /// It may be done again.
    Idempotent,
    /// The system tells repetitions apart by the key.
    Keyed,
    /// Repeating it may do it twice.
    Unsafe,
}

impl SideEffects {
    /// Its word in a descriptor.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Keyed => "keyed",
            Self::Unsafe => "unsafe",
        }
    }
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Below the base path.
    pub path: Template,
    /// The query, in order.
    pub query: Vec<(String, JsonTemplate)>,
    /// Its own headers.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: Body,
    /// The header that carries the key.
    pub idempotency_header: Option<String>,
}

/// The methods on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(JsonTemplate),
    /// A form, as browsers send it.
    Form(Vec<(String, JsonTemplate)>),
}

/// How an answer continues.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// What tells one page from the next.
    pub style: WalkStyle,
    /// Where paging parameters go.
    pub place: Place,
    /// Where the answer says that it is the last page.
    pub last_at: Option<String>,
    /// Where the answer says how many records there are.
    pub total_at: Option<String>,
}

/// What tells one page from the next.
#[derive(Debug, Clone, PartialEq)]
pub enum WalkStyle {
    /// A number.
    Page {
        /// The parameter.
        parameter: String,
        /// The first number.
        start: u64,
        /// The parameter for the size.
        size_parameter: Option<String>,
        /// Records of a full page.
        size: Option<Count>,
    },
    /// Records to skip.
    Offset {
        /// The parameter.
        parameter: String,
        /// The parameter for the size.
        size_parameter: String,
        /// Records of a full page.
        size: Count,
    },
    /// A field of the last record.
    Cursor {
        /// The parameter.
        parameter: String,
        /// The field.
        field: String,
    },
    /// A token in the body.
    Token {
        /// The parameter.
        parameter: String,
        /// Where the token is.
        from: String,
    },
    /// A token in a header.
    TokenHeader {
        /// The parameter.
        parameter: String,
        /// The header.
        header: String,
    },
    /// The header `Link`.
    LinkHeader,
    /// An address in the body.
    Next {
        /// Where the address is.
        from: String,
    },
}

/// Where paging parameters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Place {
    Query,
    Body,
}

/// What is asked for each record.
#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    /// What is asked.
    pub request: Request,
    /// Where the answer has what is wanted; empty for the whole.
    pub records: String,
    /// The field of the record that takes it; without one it takes the record's place.
    pub into: Option<String>,
    /// What follows if there is nothing.
    pub on_missing: OnMissing,
}

/// What follows if the system does not have what a record refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// The run fails.
    Fail,
    /// The record is left out.
    Skip,
    /// The record stays as it was.
    Keep,
}

/// What refusals mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Errors {
    /// Where a refusal has the system's own words.
    pub message_at: Option<String>,
    /// The first that fits counts.
    pub rules: Vec<Rule>,
}

/// What one kind of refusal means.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which answers.
    pub statuses: Statuses,
    /// Where the body has something.
    pub at: Option<String>,
    /// What it says there.
    pub equals: Option<Value>,
    /// What the body, or the text at the place, contains.
    pub contains: Option<String>,
    /// What it means.
    pub kind: Sort,
    /// Its code.
    pub code: String,
    /// What to do.
    pub message: String,
    /// Seconds to wait if the system does not say.
    pub retry_after: Option<u64>,
}

/// A range of HTTP statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

/// The kinds of errors of the contract, but those that only hosts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the contract says what they mean")]
pub enum Sort {
    Config,
    Auth,
    Forbidden,
    NotFound,
    Throttled,
    Transient,
    Data,
    Unsupported,
}

/// Where the system says how long to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The header that counts down; at 0 a refusal means too many requests.
    pub remaining: Option<String>,
    /// The header that says when it starts again.
    pub reset: Option<(String, Reset)>,
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Seconds from now.
    Seconds,
    /// Seconds since 1970.
    Time,
}

/// What no run exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pages of one run.
    pub pages: Option<u64>,
    /// Bytes of one answer.
    pub answer_bytes: usize,
}
