//! The connector `http`: any REST interface, described by parameters instead of code.

mod check;
mod config;
mod request;
mod source;
mod target;
mod template;

use serde_json::Value;
use wherry_sdk::{Activities, Auth, Connector, Context, Error, Result, SideEffects};

use config::{Executed, Options};

/// This connector.
struct Http;

impl Connector for Http {
    const NAME: &'static str = "http";
    // Its own, not the workspace's: deployments name it.
    const VERSION: &'static str = "1.0.0";
    const TITLE: &'static str = "HTTP";
    const DESCRIPTION: &'static str =
        "Any REST interface: reads pages of records, sends records one by one, makes single requests.";
    const LICENSE: &'static str = "Apache-2.0";
    type Options = Options;

    fn auth() -> Vec<Auth> {
        // Whatever the host can do: it never touches the records.
        let schemes =
            ["none", "basic", "bearer", "api_key", "oauth1", "oauth2", "login_token", "crowd", "soap_header", "auto"];
        schemes.into_iter().map(|scheme| Auth::new(scheme, scheme)).collect()
    }

    fn test(cx: &Context<Options>) -> Result<Value> {
        check::check(cx)
    }

    fn activities() -> Activities<Self> {
        Activities::new()
            .source("query", SideEffects::Read, source::query)
            .target("send", SideEffects::Unsafe, target::send)
            .target("send.keyed", SideEffects::Keyed, target::send_keyed)
            .titled(
                "Send, keyed",
                "As send, to a system that recognises a repeated request by its key: may run again after an agent was \
                 lost.",
            )
            .source("execute", SideEffects::Unsafe, source::execute)
            .yields::<Executed>()
    }

    fn errors() -> &'static [&'static str] {
        &[
            "http.cancelled",
            "http.connection_invalid",
            "http.cursor_invalid",
            "http.params_invalid",
            "http.record_invalid",
            "http.record_too_large",
            "http.template_invalid",
            "http.template_missing",
            "http.unsupported",
        ]
    }

    /// The codes that this connector had before the kit had codes of its own.
    fn on_error(error: Error) -> Error {
        let code = match &*error.code {
            "connector.activity_unknown" => "http.unsupported",
            "connector.cancelled" => "http.cancelled",
            "connector.connection_invalid" => "http.connection_invalid",
            "connector.cursor_invalid" => "http.cursor_invalid",
            "connector.params_invalid" | "http.body_invalid" => "http.params_invalid",
            "connector.record_invalid" => "http.record_invalid",
            "connector.record_too_large" => "http.record_too_large",
            _ => return error,
        };
        error.coded(code)
    }
}

wherry_sdk::export!(Http);

#[cfg(test)]
mod tests;
