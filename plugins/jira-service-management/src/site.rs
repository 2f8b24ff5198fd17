//! The site: which Jira it is, and requests to its two interfaces.

use wherry_sdk::http::{Method, RequestBuilder};
use wherry_sdk::prelude::*;

use crate::Cx;
use crate::options::Choice;

/// The two kinds of Jira. They name people differently, and search differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Flavour {
    /// Atlassian runs it.
    Cloud,
    /// The customer runs it.
    DataCenter,
}

/// Which interface a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/rest/servicedeskapi`.
    Desk,
    /// `/rest/servicedeskapi`, an operation that Jira calls experimental and wants to be asked for as such.
    Experimental,
    /// `/rest/api/2`: texts are plain.
    Plain,
    /// `/rest/api/3`, on Cloud only: texts are documents.
    Documents,
}

/// What `serverInfo` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerInfo {
    pub(crate) version: String,
    /// `Cloud`, `Server` or `Data Center`; old versions do not say it.
    #[serde(default)]
    deployment_type: Option<String>,
}

impl ServerInfo {
    pub(crate) fn read(cx: &Cx<'_>) -> Result<Self> {
        let answer = request(cx, Api::Plain, Method::Get, &["serverInfo"]).send().map_err(|error| {
            let message = "nothing at the connection's url answers like Jira; the url is that of the site, such as \
                           https://example.atlassian.net or https://jira.example/context";
            match error.kind {
                Kind::NotFound => {
                    Error { message: message.to_owned(), ..error.of_kind(Kind::Config).coded("jira.not_found") }
                }
                Kind::Config
                | Kind::Auth
                | Kind::Forbidden
                | Kind::Throttled
                | Kind::Transient
                | Kind::Data
                | Kind::Cancelled
                | Kind::Unsupported
                | Kind::Internal => error,
            }
        })?;
        answer.json()
    }

    pub(crate) fn flavour(&self) -> Flavour {
        match self.deployment_type.as_deref() {
            Some(kind) if kind.eq_ignore_ascii_case("cloud") => Flavour::Cloud,
            Some(_) | None => Flavour::DataCenter,
        }
    }
}

/// What the connection's memory holds: asked once, and again when the connection leads elsewhere.
#[derive(Serialize, Deserialize)]
struct Known {
    url: String,
    flavour: Flavour,
}

const KNOWN: &str = "site";

/// Which Jira the connection leads to.
pub(crate) fn flavour(cx: &Cx<'_>) -> Result<Flavour> {
    match cx.options().flavour {
        Choice::Cloud => return Ok(Flavour::Cloud),
        Choice::DataCenter => return Ok(Flavour::DataCenter),
        Choice::Auto => {}
    }
    let target = cx.http().base().target("", [])?;
    let url = format!("{}{}", target.origin.authority, target.path_and_query);
    // What cannot be read any more is asked again.
    let known: Option<Known> = cx.state().get(KNOWN).unwrap_or_default();
    if let Some(known) = known.filter(|known| known.url == url) {
        return Ok(known.flavour);
    }
    let flavour = ServerInfo::read(cx)?.flavour();
    cx.state().put(KNOWN, &Known { url, flavour })?;
    Ok(flavour)
}

/// A request to a path of an interface.
pub(crate) fn request<'c>(cx: &'c Cx<'_>, api: Api, method: Method, path: &[&str]) -> RequestBuilder<'c> {
    let base: &[&str] = match api {
        Api::Desk | Api::Experimental => &["rest", "servicedeskapi"],
        Api::Plain => &["rest", "api", "2"],
        Api::Documents => &["rest", "api", "3"],
    };
    let request = cx.http().request(method, [base, path].concat().as_slice());
    let request = match &cx.options().request_language {
        Some(language) => request.header("accept-language", language),
        None => request,
    };
    match api {
        Api::Experimental => request.header("x-experimentalapi", "opt-in"),
        Api::Desk | Api::Plain | Api::Documents => request,
    }
}
