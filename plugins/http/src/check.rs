//! Tries a connection: does somebody answer there, and are the credentials accepted?

use serde_json::{Value, json};
use wherry_sdk::http::Answer;
use wherry_sdk::{Context, Error, Result};

use crate::config::Options;

/// With a path of its own the test wants a good answer in the form of data. Without one it asks for `/` and is content
/// to hear that there is nothing: somebody answered, and did not mind who asked. A web page or a redirect is no such
/// answer, since both are what a login looks like.
pub(crate) fn check(cx: &Context<Options>) -> Result<Value> {
    let path = cx.options().test_path.as_deref();
    let answer = cx.http().get(path.unwrap_or("/")).any_status().send()?;
    if answer.is_success() {
        answer.refuse_page().map_err(|error| advised(error, path))?;
    } else if path.is_some() || !says_only_that_nothing_is_there(&answer) {
        return Err(advised(answer.error(cx.now()), path));
    }
    Ok(json!({ "status": answer.status() }))
}

/// Whether the refusal is about the path or the request, and neither about who asks nor about a system that is not well.
fn says_only_that_nothing_is_there(answer: &Answer) -> bool {
    matches!(answer.status(), 400..=499) && !matches!(answer.status(), 401 | 403 | 407 | 408 | 425 | 429)
}

/// Without a path the answer may be right for `/` and say nothing of the interface.
fn advised(error: Error, path: Option<&str>) -> Error {
    let may_be_right = matches!(&*error.code, "http.html_answer" | "http.redirected");
    if path.is_some() || !may_be_right {
        return error;
    }
    let message =
        format!("{}; if that is right for /, set the option test_path to a path that answers with data", error.message);
    Error { message, ..error }
}
