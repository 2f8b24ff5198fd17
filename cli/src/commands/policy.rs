//! `wherry policy`: the organisation's rules, and environments that are stricter.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_domain::name::Name;
use wherry_domain::policy::Policy;

use super::Context;
use crate::client::{Body, Call};
use crate::error::Outcome;
use crate::table::{Column, list, text, time};

const POLICIES: &[Column] = &[
    text("POLICY", "key"),
    text("VALUE", "shown"),
    text("DEFAULT", "shown_default"),
    text("SET AT", "set_at"),
    text("SET BY", "set_by"),
    time("SET ON", "set_on"),
    list("HELD IN", "held_in"),
    text("MEANING", "meaning"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Policies {
    /// Lists every policy: what it means, its default, its value, who set it and when.
    List {
        /// As it holds in this environment [default: the organisation].
        #[arg(long)]
        environment: Option<Name>,
    },
    /// Sets a policy for the organisation, or more tightly in one environment.
    #[command(after_help = "\
Examples:
    wherry policy set disable_auto_connector_update true
    wherry policy set allowed_publishers acme,initech
    wherry policy set max_run_time 30m --environment prod

An environment may be stricter than its organisation, never looser.")]
    Set {
        /// Which, as in the list.
        #[arg(value_parser = known)]
        key: Policy,
        /// true or false, a time such as 30m, or names with commas between them.
        value: String,
        #[command(flatten)]
        place: Place,
    },
    /// Gives a policy its default again, or in an environment the organisation's value.
    Unset {
        /// Which, as in the list.
        #[arg(value_parser = known)]
        key: Policy,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Only in this environment.
    #[arg(long)]
    environment: Option<Name>,
}

impl Policies {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { environment } => {
                let mut listed = client.all(&path(environment.as_ref(), None), &[]).await?;
                if !context.screen.is_json() {
                    readable(&mut listed);
                }
                context.screen.list(POLICIES, &listed);
            }
            Self::Set { key, value, place } => {
                let path = path(place.environment.as_ref(), Some(key));
                let set = client.send(Call::put(&path, Body::Json(json!({ "value": value })))).await?;
                context.screen.done_but(&sentence(key, &place, &set), &set);
            }
            Self::Unset { key, place } => {
                let path = path(place.environment.as_ref(), Some(key));
                let left = client.send(Call::delete(&path)).await?;
                context.screen.done(&sentence(key, &place, &left), &left);
            }
        }
        Ok(())
    }
}

fn known(text: &str) -> Result<Policy, String> {
    text.parse().map_err(|error: wherry_domain::policy::UnknownPolicy| error.to_string())
}

fn path(environment: Option<&Name>, key: Option<Policy>) -> Vec<&str> {
    let mut path = Vec::new();
    path.extend(environment.map(|name| ["environments", name.as_str()]).into_iter().flatten());
    path.push("policies");
    path.extend(key.map(Policy::key));
    path
}

fn sentence(key: Policy, place: &Place, policy: &Value) -> String {
    let place = place.environment.as_ref().map_or_else(|| "the organisation".to_owned(), ToString::to_string);
    format!("{key} is {} for {place}", shown(policy.get("value")))
}

fn readable(listed: &mut Value) {
    let items = listed.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        for (from, to) in [("value", "shown"), ("default", "shown_default")] {
            let text = shown(item.get(from));
            item.insert(to.to_owned(), text.into());
        }
    }
}

/// A value as people write it.
fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(names)) if names.is_empty() => "none".to_owned(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_people_write_them() {
        assert_eq!(shown(Some(&json!(true))), "true");
        assert_eq!(shown(Some(&json!("30m"))), "30m");
        assert_eq!(shown(Some(&json!(["a", "b"]))), "a,b");
        assert_eq!(shown(Some(&json!([]))), "none");
    }

    #[test]
    fn an_environment_has_a_path_of_its_own() {
        let prod = "prod".parse().unwrap();
        assert_eq!(path(Some(&prod), Some(Policy::MaxRunTime)), ["environments", "prod", "policies", "max_run_time"]);
        assert_eq!(path(None, None), ["policies"]);
    }
}
