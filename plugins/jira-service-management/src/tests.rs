//! The connector on the bench: no network, no WebAssembly.

mod checking;
mod creating;
mod describing;
mod reading;
mod refusing;
mod third_party;

use wherry_sdk::testing::{Bench, Reply};

use super::*;

const DESK: &str = "/rest/servicedeskapi";

/// A connection whose option says which Jira it is.
fn bench(flavour: &str) -> Bench<JiraServiceManagement> {
    Bench::new().options(json!({ "flavour": flavour }))
}

/// A page of the service desk.
fn page(values: Value, is_last: bool) -> Reply {
    let size = values.as_array().map_or(0, Vec::len);
    Reply::json(json!({ "size": size, "start": 0, "limit": 100, "isLastPage": is_last, "values": values }))
}

/// What the service desk says when it refuses.
fn refused(status: u16, message: &str) -> Reply {
    let words = json!({ "i18nKey": "sd.error", "parameters": [] });
    Reply::json(json!({ "errorMessage": message, "i18nErrorMessage": words })).with_status(status)
}
