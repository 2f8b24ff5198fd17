//! The connector under test: one activity for each thing that the kit offers.

use wherry_sdk::http::{Answer, Multipart};
use wherry_sdk::prelude::*;
use wherry_sdk::xml::Element;
use wherry_sdk::{info, warn};

pub(crate) struct Trial;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// How many.
    #[serde(default = "three")]
    pub(crate) count: u64,
}

fn three() -> u64 {
    3
}

/// # Do a thing
///
/// A first line
/// that goes on.
///
/// A second paragraph.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Which thing.
    #[serde(default)]
    what: String,
    /// Things inside.
    #[serde(default, rename = "inner")]
    _inner: Vec<Inner>,
}

#[derive(Deserialize, JsonSchema)]
struct Inner {
    #[serde(rename = "number")]
    _number: u32,
}

#[derive(Deserialize)]
struct Session {
    token: Secret,
}

impl Connector for Trial {
    const NAME: &'static str = "trial";
    const VERSION: &'static str = "2.1.0";
    const TITLE: &'static str = "Trial";
    const DESCRIPTION: &'static str = "For tests.";
    type Options = Options;

    fn test(cx: &Context<Options>) -> Result<Value> {
        let answer = cx.http().get("/me").send()?;
        Ok(json!({ "status": answer.status(), "count": cx.options().count }))
    }

    fn activities() -> Activities<Self> {
        Activities::new()
            .source("read", SideEffects::Read, read)
            .source("do", SideEffects::Unsafe, perform)
            .titled("Do", "Something else.")
            .target("write", SideEffects::Keyed, write)
            .takes::<Options>()
            .parallel(4)
    }

    fn refusal(answer: &Answer) -> Option<Error> {
        let body: Value = answer.json().ok()?;
        let text = body["errorMessage"].as_str()?;
        Some(Error::data("trial.refused", "the system refuses it").with_details(json!({ "text": text })))
    }

    fn on_error(error: Error) -> Error {
        if error.code == "connector.cancelled" { error.coded("trial.stopped") } else { error }
    }
}

/// Reads pages; the parameter chooses how.
fn read(cx: &Context<Options>, params: Params, out: &mut Writer) -> Result<Done> {
    let request = || cx.http().get("/items");
    match params.what.as_str() {
        "first page only" => {
            Pages::of(cx, Paging::page("p"), request)?.next_page()?;
            Ok(Done::silently())
        }
        "first page only, one by one" => {
            Pages::of(cx, Paging::page("p"), request)?.one_by_one().next_page()?;
            Ok(Done::silently())
        }
        "by link" => Ok(Done::with(Pages::of(cx, Paging::link_header(), request)?.write_to(out)?)),
        "in the body" => {
            let request = || cx.http().post("/search").json(&json!({ "q": "x" }));
            let paging = Paging::token("after", "next").in_body();
            Ok(Done::with(Pages::of(cx, paging, request)?.records("items").write_to(out)?).and_more())
        }
        "typed" => {
            let mut pages = Pages::of(cx, Paging::cursor("since", "id"), request)?;
            while let Some(page) = pages.next_page()? {
                for record in page.records() {
                    let item: Value = record.parse()?;
                    out.push(&json!({ "number": item["id"] }))?;
                }
                out.mark_json(page.bookmark())?;
            }
            Ok(Done::with(pages.summary()))
        }
        _ => Ok(Done::with(Pages::of(cx, Paging::page("p"), request)?.write_to(out)?)),
    }
}

/// One request of a kind.
fn perform(cx: &Context<Options>, params: Params, out: &mut Writer) -> Result<Done> {
    let http = cx.http();
    let answer = match params.what.as_str() {
        "form" => http.post("/form").form([("a b", "c&d"), ("e", "ä")]).send()?,
        "multipart" => {
            let file = cx.blobs().open("blob-7")?;
            http.post("/files").multipart(Multipart::new().text("t", "v").blob("f", "a.bin", "x/y", file)).send()?
        }
        "soap" => {
            let body = Element::new("s:Body").field("Get", "1 < 2");
            let envelope = Element::new("s:Envelope").attribute("xmlns:s", "urn:s").child(body);
            let answer = http.post("/soap").xml(&envelope).header("soapaction", "\"Get\"").send()?;
            out.push(&answer.xml()?.find("Body/Result").map(Element::text))?;
            answer
        }
        "download" => {
            let (answer, handle) = http.get("/file").download(cx.blobs())?;
            out.push(&json!({ "file": handle }))?;
            answer
        }
        "sign in" => {
            let session: Session = http.post("/session").json(&json!({})).send()?.json()?;
            info!(cx, "signed in", attempt = cx.attempt(), user = "x", expires = Option::<u64>::None);
            warn!(cx, "soon over");
            cx.count("sign_ins", 1);
            http.get("/items").header("x-session", session.token.expose()).send()?
        }
        "remember" => {
            let before: Option<u64> = cx.state().get("n")?;
            cx.state().put("n", &(before.unwrap_or(0) + 1))?;
            cx.state().delete("old")?;
            out.push(&cx.state().keys("")?)?;
            http.get("/items").send()?
        }
        "keyed" => http.post("/jobs").header("x-once", &cx.key()).repeatable().send()?,
        "impatient" => http.post("/jobs").impatient().send()?,
        "limited" => http.get("/items").limit(10).send()?,
        "raw" => {
            let answer = http.get("/items").send()?;
            out.push(&json!({ "status": answer.status() }))?;
            answer.raw_json()?.into_iter().try_for_each(|json| out.push(&json))?;
            answer
        }
        other => http.get(["items", other]).query("q", vec!["1", "2"]).query("none", Option::<u64>::None).send()?,
    };
    Ok(Done::with(json!({ "status": answer.status() })))
}

/// Takes records in batches, as a bulk interface does.
fn write(cx: &Context<Options>, params: Params, input: &mut Reader) -> Result<Done> {
    if params.what == "one by one" {
        return Ok(Done::with(input.each(cx, |record| {
            cx.http().post("/one").header("key", &record.key()).json(&record.value()?).send().map(drop)
        })?));
    }
    while let Some(batch) = input.batch()? {
        let keys: Vec<_> = batch.records().map(|record| record.key()).collect();
        cx.http().post("/bulk").json(&keys).send()?;
        input.reject(batch.end() - 1, Error::data("trial.last", "the last is refused"))?;
        input.ack(batch.end())?;
    }
    Ok(Done::silently())
}
