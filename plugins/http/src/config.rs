//! The options of a connection and the parameters of each activity. Their documentation is the descriptor's.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wherry_sdk::http::Method;
use wherry_sdk::paging::Paging as Walk;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// # Path for the connection test
    ///
    /// It has to answer with data. Without one, the test asks for `/` and is also content to hear that there is nothing;
    /// a web page or a redirect it refuses, because both may be a login.
    pub(crate) test_path: Option<String>,
}

/// # Query
///
/// Reads records, page after page. A retry goes on behind the last page that arrived.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// Below the connection's url.
    #[serde(default)]
    pub(crate) path: String,
    /// POST is for search interfaces only; use execute for requests that change something.
    #[serde(default)]
    pub(crate) method: QueryMethod,
    /// Texts, numbers, truth values, or lists of them, which repeat the name.
    #[serde(default)]
    #[schemars(schema_with = "query_schema")]
    pub(crate) query: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON; only with POST.
    pub(crate) body: Option<Value>,
    /// Where the answer keeps its records: data.items or /data/items. By default the whole answer: an array of
    /// records, or one record.
    pub(crate) records: Option<String>,
    /// How the answer continues.
    #[serde(default)]
    pub(crate) paging: Paging,
    /// Stop after so many pages.
    #[schemars(range(min = 1))]
    pub(crate) max_pages: Option<u64>,
}

/// # Send
///
/// Makes one request for each record. Every text may contain {{ record.field }}.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send<K> {
    /// Below the connection's url.
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default = "post")]
    pub(crate) method: Method,
    /// Texts, numbers, truth values, or lists of them, which repeat the name.
    #[serde(default)]
    #[schemars(schema_with = "query_schema")]
    pub(crate) query: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON; by default the record itself.
    pub(crate) body: Option<Value>,
    /// The header that carries a key of each record, the same for all attempts.
    pub(crate) idempotency_header: K,
}

/// # Execute
///
/// Makes one request; the answer is the only record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Execute {
    /// Below the connection's url.
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default = "post")]
    pub(crate) method: Method,
    /// Texts, numbers, truth values, or lists of them, which repeat the name.
    #[serde(default)]
    #[schemars(schema_with = "query_schema")]
    pub(crate) query: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON.
    pub(crate) body: Option<Value>,
    /// The header that carries the key of the run.
    pub(crate) idempotency_header: Option<String>,
}

/// The record of `execute`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Executed {
    pub(crate) status: u16,
    /// The answer's JSON; null if it is empty.
    pub(crate) body: Value,
}

/// The methods that ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub(crate) enum QueryMethod {
    #[default]
    Get,
    Post,
}

impl From<QueryMethod> for Method {
    fn from(method: QueryMethod) -> Self {
        match method {
            QueryMethod::Get => Self::Get,
            QueryMethod::Post => Self::Post,
        }
    }
}

const fn post() -> Method {
    Method::Post
}

fn query_schema(_: &mut SchemaGenerator) -> Schema {
    let value = json_schema!({ "type": ["string", "number", "boolean", "array", "null"] });
    json_schema!({ "type": "object", "additionalProperties": value })
}

/// How an answer continues.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Paging {
    #[default]
    None,
    Page(PageNumber),
    Offset(Offset),
    Cursor(Cursor),
    Link(Link),
}

/// Where a paging parameter goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Place {
    #[default]
    Query,
    Body,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct PageNumber {
    parameter: String,
    #[serde(default = "one")]
    start: u64,
    size_parameter: Option<String>,
    /// A page with fewer records is the last one. It must not exceed what the system gives at most; without it, only
    /// an empty page is the last one.
    #[schemars(range(min = 1))]
    size: Option<u64>,
    #[serde(default, rename = "in")]
    place: Place,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Offset {
    parameter: String,
    limit_parameter: String,
    /// A page with fewer records is the last one. It must not exceed what the system gives at most.
    #[schemars(range(min = 1))]
    limit: u64,
    #[serde(default, rename = "in")]
    place: Place,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Cursor {
    parameter: String,
    /// Where the answer holds the token of the next page.
    from: String,
    #[serde(default, rename = "in")]
    place: Place,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Link {
    /// Where the answer holds the address of the next page; by default the Link header with rel=next.
    from: Option<String>,
}

const fn one() -> u64 {
    1
}

impl Paging {
    /// The same in the kit's words.
    pub(crate) fn walk(&self) -> Walk {
        let (walk, place) = match self {
            Self::None => (Walk::single(), Place::Query),
            Self::Page(page) => {
                let walk = Walk::page(&page.parameter).starting_at(page.start);
                let walk = match (&page.size_parameter, page.size) {
                    (Some(parameter), Some(size)) => walk.size(parameter, size),
                    (None, Some(size)) => walk.full_at(size),
                    (_, None) => walk,
                };
                (walk, page.place)
            }
            Self::Offset(offset) => {
                (Walk::offset(&offset.parameter, &offset.limit_parameter, offset.limit), offset.place)
            }
            Self::Cursor(cursor) => (Walk::token(&cursor.parameter, &cursor.from), cursor.place),
            Self::Link(link) => (link.from.as_deref().map_or_else(Walk::link_header, Walk::link), Place::Query),
        };
        match place {
            Place::Query => walk,
            Place::Body => walk.in_body(),
        }
    }
}
