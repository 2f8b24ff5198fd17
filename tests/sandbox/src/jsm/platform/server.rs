//! The site itself, and what the caller may do on it.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::{Routes, Shared};
use crate::jsm::access::Caller;
use crate::jsm::date;
use crate::jsm::denial::Denial;
use crate::jsm::flavour::Flavour;
use crate::jsm::input::Parameters;
use crate::jsm::seed;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/serverInfo", get(info)).at("/mypermissions", get(permissions))
}

/// What callers ask about most: key, and whether customers have it too.
const PERMISSIONS: [(&str, bool); 7] = [
    ("BROWSE_PROJECTS", true),
    ("CREATE_ISSUES", true),
    ("ADD_COMMENTS", true),
    ("EDIT_ISSUES", false),
    ("TRANSITION_ISSUES", false),
    ("DELETE_ISSUES", false),
    ("SERVICEDESK_AGENT", false),
];

async fn info(State(sandbox): Shared) -> Json<Value> {
    let site = &sandbox.jsm;
    let (kind, version, numbers) = match site.flavour {
        Flavour::Cloud => ("Cloud", "1001.0.0-SNAPSHOT", [1001, 0, 0]),
        Flavour::DataCenter => ("Data Center", "9.12.0", [9, 12, 0]),
    };
    Json(json!({
        "baseUrl": site.base,
        "version": version,
        "versionNumbers": numbers,
        "deploymentType": kind,
        "buildNumber": 100_000,
        "buildDate": date::platform(seed::FIRST),
        "serverTime": date::platform(date::now()),
        "scmInfo": "sandbox",
        "serverTitle": "Wherry sandbox",
    }))
}

async fn permissions(caller: Caller, query: Parameters) -> Result<Json<Value>, Denial> {
    let wanted = query.list("permissions");
    let unknown = wanted.iter().find(|key| !PERMISSIONS.iter().any(|(known, _)| known == *key));
    if let Some(unknown) = unknown {
        return Err(Denial::bad(format!("Unrecognized permission: {unknown}")));
    }
    let chosen = PERMISSIONS.iter().filter(|(key, _)| wanted.is_empty() || wanted.contains(key));
    let shown = chosen.enumerate().map(|(nth, (key, customers))| {
        let have = caller.is_agent() || *customers;
        let name = key.replace('_', " ").to_lowercase();
        let id = (nth + 10).to_string();
        ((*key).to_owned(), json!({ "id": id, "key": key, "name": name, "type": "PROJECT", "havePermission": have }))
    });
    Ok(Json(json!({ "permissions": shown.collect::<Map<_, _>>() })))
}
