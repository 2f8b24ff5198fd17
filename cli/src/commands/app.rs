//! `wherry app`: applications that the organisation registered with providers of OAuth.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use wherry_domain::name::Name;

use super::Context;
use crate::error::Outcome;
use crate::prompt::confirm;
use crate::table::{Column, at, text, time};

const APPLICATIONS: &[Column] = &[
    text("NAME", "name"),
    text("CONNECTOR", "connector"),
    text("CLIENT ID", "client_id"),
    text("SCOPE", "scope"),
    text("AUTHORISATION", "authorization_url"),
    time("REGISTERED", "created_at"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Apps {
    /// Lists the registered applications.
    List,
    /// Registers an application; connections of its connector then need not repeat it.
    #[command(after_help = "\
Examples:
    wherry app add ours --connector jira-service-management --client-id 8ZV7 --client-secret jira-client-secret \\
        --authorization-url https://auth.example/authorize --token-url https://auth.example/oauth/token \\
        --scope 'read:jira-work offline_access' --parameter audience=api.example

Register the redirect address that is printed with the provider. The client secret is given by name: set it with
`wherry secret set NAME --environment ENVIRONMENT`.")]
    Add(Box<Add>),
    /// Removes an application that no deployed connection uses.
    Remove {
        /// Its name.
        name: Name,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The application's name.
    name: Name,
    /// The connector whose connections may use it.
    #[arg(long)]
    connector: Name,
    /// The client id, as the provider gave it.
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// Name of the secret that holds the client secret; none for a public client. Never the secret itself.
    #[arg(long, value_name = "SECRET-NAME")]
    client_secret: Option<Name>,
    /// How the client proves itself at the token endpoint [default: basic with a client secret, none without].
    #[arg(long, value_name = "HOW", value_parser = ["basic", "post", "private_key_jwt", "none"])]
    client_authentication: Option<String>,
    /// The form of requests to the token endpoint [default: json for Atlassian's cloud, form for all others].
    #[arg(long, value_name = "FORM", value_parser = ["form", "json"])]
    token_format: Option<String>,
    /// The issuer, if the provider names itself when it sends people back.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The authorisation endpoint; people are sent to no other origin.
    #[arg(long, value_name = "URL")]
    authorization_url: Option<String>,
    /// The token endpoint.
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// The endpoint for pushed authorisation requests.
    #[arg(long, value_name = "URL")]
    par_url: Option<String>,
    /// The revocation endpoint.
    #[arg(long, value_name = "URL")]
    revocation_url: Option<String>,
    /// Scopes, separated by spaces.
    #[arg(long)]
    scope: Option<String>,
    /// One more parameter of the requests to the provider, such as audience=api.example.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// The redirect address as the provider knows it [default: the controller's own].
    #[arg(long, value_name = "URL")]
    redirect_uri: Option<String>,
}

impl Apps {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List => context.screen.list(APPLICATIONS, &client.all(&["app-registrations"], &[]).await?),
            Self::Add(add) => {
                let registered = client.post(&["app-registrations"], add.body()).await?;
                let redirect = at(&registered, "redirect_uri").and_then(Value::as_str).unwrap_or_default();
                let sentence = format!(
                    "application {} is registered for {}; its redirect address at the provider is {redirect}",
                    add.name, add.connector
                );
                context.screen.done(&sentence, &registered);
            }
            Self::Remove { name, yes } => {
                confirm(&format!("Remove the application {name}?"), yes)?;
                client.delete(&["app-registrations", name.as_str()]).await?;
                context
                    .screen
                    .done(&format!("application {name} is removed"), &json!({ "name": name, "removed": true }));
            }
        }
        Ok(())
    }
}

impl Add {
    fn body(&self) -> Value {
        let default = if self.client_secret.is_some() { "basic" } else { "none" };
        let mut body = Map::new();
        let mut set = |key: &str, value: Option<&str>| {
            body.extend(value.map(|value| (key.to_owned(), Value::from(value))));
        };
        set("name", Some(self.name.as_str()));
        set("connector", Some(self.connector.as_str()));
        set("client_id", Some(&self.client_id));
        set("client_secret", self.client_secret.as_ref().map(Name::as_str));
        set("client_authentication", Some(self.client_authentication.as_deref().unwrap_or(default)));
        set("token_format", self.token_format.as_deref());
        set("issuer", self.issuer.as_deref());
        set("authorization_url", self.authorization_url.as_deref());
        set("token_url", self.token_url.as_deref());
        set("par_url", self.par_url.as_deref());
        set("revocation_url", self.revocation_url.as_deref());
        set("scope", self.scope.as_deref());
        set("redirect_uri", self.redirect_uri.as_deref());
        let parameters: Map<String, Value> =
            self.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        body.insert("parameters".to_owned(), Value::Object(parameters));
        Value::Object(body)
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("a parameter is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        apps: Apps,
    }

    fn body(arguments: &[&str]) -> Value {
        let line = ["x", "add", "ours", "--connector", "jira", "--client-id", "8ZV7"];
        match Line::try_parse_from(line.iter().chain(arguments)).unwrap().apps {
            Apps::Add(add) => add.body(),
            Apps::List | Apps::Remove { .. } => panic!("another command"),
        }
    }

    #[test]
    fn what_is_not_given_is_not_sent_and_a_client_without_secret_is_public() {
        let open = body(&["--parameter", "audience=api=1"]);
        assert_eq!(
            open,
            json!({ "name": "ours", "connector": "jira", "client_id": "8ZV7", "client_authentication": "none",
                "parameters": { "audience": "api=1" } })
        );
        assert_eq!(body(&["--client-secret", "s"])["client_authentication"], "basic");
    }
}
