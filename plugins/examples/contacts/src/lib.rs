//! A whole connector for the contacts of an imaginary CRM: `docs/guides/write-a-connector.md` explains it line by line.

use wherry_sdk::http::Answer;
use wherry_sdk::info;
use wherry_sdk::prelude::*;

struct Contacts;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The part of the CRM that the connection works with.
    workspace: String,
}

/// # Query contacts
///
/// Reads contacts, oldest change first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only contacts in this state.
    #[serde(default)]
    state: State,
    /// Contacts asked for at once.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1000))]
    page_size: u64,
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Active,
    Archived,
}

fn hundred() -> u64 {
    100
}

/// # Create or change contacts
///
/// Takes one contact per record. A contact with the same id is changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upsert {}

/// A contact, as records carry it.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Contact {
    id: String,
    name: String,
    /// Fields of the workspace's own.
    #[serde(default)]
    fields: serde_json::Map<String, Value>,
}

impl Connector for Contacts {
    const NAME: &'static str = "contacts";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Contacts";
    type Options = Options;

    fn auth() -> Vec<Auth> {
        vec![Auth::bearer(), Auth::basic()]
    }

    fn test(cx: &Context<Options>) -> Result<Value> {
        let me: Value = cx.http().get("/me").send()?.json()?;
        Ok(json!({ "signed_in_as": me.get("name") }))
    }

    fn activities() -> Activities<Self> {
        Activities::new()
            .source("contact.query", SideEffects::Read, query)
            .yields::<Contact>()
            .target("contact.upsert", SideEffects::Idempotent, upsert)
            .takes::<Contact>()
    }

    fn errors() -> &'static [&'static str] {
        &["contacts.locked", "contacts.question_unknown"]
    }

    /// The CRM says why in a body of its own: `{"error": {"code": "...", "text": "..."}}`.
    fn refusal(answer: &Answer) -> Option<Error> {
        let body: Value = answer.json().ok()?;
        (body.pointer("/error/code")? == "contact_locked").then(|| {
            Error::data("contacts.locked", "the contact is locked; unlock it in the CRM").with_details(answer.shown())
        })
    }
}

fn query(cx: &Context<Options>, params: Query, out: &mut Writer) -> Result<Done> {
    let workspace = &cx.options().workspace;
    let state = match params.state {
        State::Active => "active",
        State::Archived => "archived",
    };
    let path = ["workspaces", workspace, "contacts"];
    let request = || cx.http().get(path).query("state", state).query("limit", params.page_size);
    let paging = Paging::token("after", "next").last_at("is_last");
    let summary = Pages::of(cx, paging, request)?.records("contacts").write_to(out)?;
    info!(cx, "contacts read", records = summary.records, pages = summary.pages);
    Ok(Done::with(summary))
}

fn upsert(cx: &Context<Options>, _: Upsert, input: &mut Reader) -> Result<Done> {
    let handled = input.each(cx, |record| {
        let contact: Contact = record.parse()?;
        let path = ["workspaces", &cx.options().workspace, "contacts", &contact.id];
        let request = cx.http().put(path).header("idempotency-key", &record.key()).json(&contact).build()?;
        if !cx.is_dry_run() {
            cx.http().start(request)?.hand_over()?;
        }
        Ok(())
    })?;
    Ok(Done::with(handled))
}

/// `{"fields": true}` is answered with the workspace's own fields.
impl Discover for Contacts {
    fn discover(cx: &Context<Options>, _activity: &str, question: Value) -> Result<Value> {
        if question.get("fields") != Some(&Value::Bool(true)) {
            return Err(Error::config("contacts.question_unknown", "ask for {\"fields\": true}"));
        }
        cx.http().get(["workspaces", &cx.options().workspace, "fields"]).send()?.json()
    }
}

wherry_sdk::export!(Contacts, discovery);

#[cfg(test)]
mod tests;
