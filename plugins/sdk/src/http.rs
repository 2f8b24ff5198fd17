//! The HTTP client: requests below the connection's URL, bounded answers, and what a status means.

pub mod answer;
pub mod body;
pub mod client;
pub mod link;
pub mod multipart;
pub mod path;
mod patience;
pub mod request;
pub mod retry_after;
mod status;
pub mod url;

pub use answer::Answer;
pub use body::{Body, Piece};
pub use client::Client;
pub use multipart::Multipart;
pub use path::IntoPath;
pub use request::{Pending, QueryValue, RequestBuilder};
pub use url::{Base, Origin, Target};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The methods on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Method {
    #[allow(missing_docs, reason = "a description in the schema would say no more than the name")]
    Get,
    #[allow(missing_docs, reason = "as above")]
    Post,
    #[allow(missing_docs, reason = "as above")]
    Put,
    #[allow(missing_docs, reason = "as above")]
    Patch,
    #[allow(missing_docs, reason = "as above")]
    Delete,
}

impl Method {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A request, ready to be sent.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Option<Body>,
    /// Whether it may be carried out twice without harm; see [`RequestBuilder::repeatable`].
    pub repeatable: bool,
    /// Whether the kit waits and sends it again where the system asks for patience; see
    /// [`RequestBuilder::impatient`].
    pub patient: bool,
}
