//! The connector `jira-service-management`: requests and what hangs on them, people, organisations and platform issues,
//! on Cloud and on Data Center. `docs/guides/jira-service-management.md` is its guide.

mod check;
mod create;
mod describe;
mod id;
mod options;
mod query;
mod refusal;
mod site;

use wherry_sdk::http::Answer;
use wherry_sdk::prelude::*;

use options::Options;

/// What an activity works with.
type Cx<'h> = Context<'h, Options>;

struct JiraServiceManagement;

impl Connector for JiraServiceManagement {
    const NAME: &'static str = "jira-service-management";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Jira Service Management";
    const DESCRIPTION: &'static str = "Reads requests of Jira Service Management and what surrounds them, and creates \
                                       requests, comments, participants, customers and organisations, on Cloud and \
                                       on Data Center.";
    const LICENSE: &'static str = "Apache-2.0";
    type Options = Options;

    fn auth() -> Vec<Auth> {
        vec![
            Auth::new("api-token", "basic"),
            Auth::new("basic", "basic"),
            Auth::new("personal-access-token", "bearer"),
            Auth::new("oauth1", "oauth1"),
            Auth::new("oauth2", "oauth2"),
            Auth::new("crowd", "crowd"),
            Auth::new("auto", "auto"),
            Auth::none(),
        ]
    }

    fn test(cx: &Context<Options>) -> Result<Value> {
        check::check(cx)
    }

    fn errors() -> &'static [&'static str] {
        &[
            "jira.fields_invalid",
            "jira.flavour_differs",
            "jira.half_created",
            "jira.login_denied",
            "jira.no_service_desk",
            "jira.no_service_management",
            "jira.not_found",
            "jira.query_refused",
            "jira.question_invalid",
            "jira.refused",
            "jira.removed",
        ]
    }

    fn activities() -> Activities<Self> {
        Activities::new()
            .source("query", SideEffects::Read, query::query)
            .counting(&["requests_gone"])
            .target("create", SideEffects::Unsafe, create::create)
            .takes::<create::NewRecord>()
            .parallel(create::PARALLEL)
            .counting(&["throttled"])
    }

    fn refusal(answer: &Answer) -> Option<Error> {
        refusal::refusal(answer)
    }
}

impl Discover for JiraServiceManagement {
    fn discover(cx: &Context<Options>, _activity: &str, question: Value) -> Result<Value> {
        describe::describe(cx, question)
    }
}

wherry_sdk::export!(JiraServiceManagement, discovery);

#[cfg(test)]
mod tests;
