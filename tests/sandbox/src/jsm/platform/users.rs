//! People, as the platform knows them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Routes, Shared};
use crate::jsm::access::Caller;
use crate::jsm::denial::Denial;
use crate::jsm::flavour::Flavour;
use crate::jsm::gate::Agent;
use crate::jsm::input::Parameters;
use crate::jsm::paging::Window;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/myself", get(myself)).at("/user", get(one)).at("/user/search", get(search))
}

async fn myself(State(sandbox): Shared, caller: Caller) -> Response {
    let memory = sandbox.jsm.read();
    Json(memory.people.get(caller.person).map(|person| &person.platform)).into_response()
}

async fn one(State(sandbox): Shared, _: Agent, query: Parameters) -> Result<Response, Denial> {
    let memory = sandbox.jsm.read();
    let names: &[&str] = match sandbox.jsm.flavour {
        Flavour::Cloud => &["accountId"],
        Flavour::DataCenter => &["username", "key"],
    };
    let wanted = names.iter().find_map(|name| query.get(name));
    let wanted = wanted.ok_or_else(|| Denial::bad(format!("Specify one of {names:?}.")))?;
    let found = memory.people.all.iter().find(|person| person.id == wanted);
    let found = found
        .ok_or_else(|| Denial::missing("Specified user does not exist or you do not have required permissions"))?;
    Ok(Json(&found.platform).into_response())
}

/// A plain list: the page after the last one is empty.
async fn search(State(sandbox): Shared, _: Agent, query: Parameters) -> Result<Response, Denial> {
    let memory = sandbox.jsm.read();
    let name = match sandbox.jsm.flavour {
        Flavour::Cloud => query.get("query").or_else(|| query.get("accountId")),
        Flavour::DataCenter => query.get("username"),
    };
    let name = name.ok_or_else(|| Denial::bad("The query parameter is required."))?;
    let found = memory.people.search(if name == "." { "" } else { name });
    let window = Window::platform(&query, 50, 1_000)?;
    let shown: Vec<_> =
        window.of(&found).iter().filter_map(|at| memory.people.get(*at)).map(|person| &person.platform).collect();
    Ok(Json(shown).into_response())
}
