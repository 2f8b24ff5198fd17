//! Tries a connection step by step, so that what fails says which of network, authentication and permission it is.

use wherry_sdk::http::Method;
use wherry_sdk::prelude::*;

use crate::Cx;
use crate::options::Choice;
use crate::site::{self, Api, Flavour, ServerInfo};

/// Who the account is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Myself {
    display_name: Option<String>,
    /// On Cloud.
    account_id: Option<String>,
    /// On Data Center.
    name: Option<String>,
}

#[derive(Deserialize)]
struct Desks {
    values: Vec<Desk>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Desk {
    project_name: String,
}

/// Reachable and Jira, signed in, permitted to see a service desk: in this order.
pub(crate) fn check(cx: &Cx<'_>) -> Result<Value> {
    let info = ServerInfo::read(cx)?;
    let flavour = info.flavour();
    agrees(cx, flavour)?;
    let me: Myself = site::request(cx, Api::Plain, Method::Get, &["myself"]).send()?.json()?;
    let desks: Desks = site::request(cx, Api::Desk, Method::Get, &["servicedesk"])
        .query("limit", 50)
        .send()
        .map_err(missing)?
        .json()?;
    if desks.values.is_empty() {
        let message = "the account sees no service desk; give it access to one, as an agent or as a customer";
        return Err(Error::new(Kind::Forbidden, "jira.no_service_desk", message));
    }
    let names: Vec<_> = desks.values.iter().map(|desk| &desk.project_name).collect();
    Ok(json!({
        "flavour": flavour,
        "version": info.version,
        "account": me.display_name.or(me.account_id).or(me.name),
        "serviceDesks": names,
    }))
}

/// Refuses a connection whose option says another Jira than there is.
fn agrees(cx: &Cx<'_>, is: Flavour) -> Result<()> {
    if cx.options().flavour == Choice::Auto || site::flavour(cx)? == is {
        return Ok(());
    }
    let message = "the connection's option flavour says another kind of Jira than the one at its url; correct it, or \
                   leave it at auto";
    Err(Error::config("jira.flavour_differs", message))
}

/// A Jira that does not know service desks.
fn missing(error: Error) -> Error {
    if error.kind != Kind::NotFound {
        return error;
    }
    let message = "this Jira has no Jira Service Management; install or license it, or use another url";
    Error { message: message.to_owned(), ..error.of_kind(Kind::Config).coded("jira.no_service_management") }
}
