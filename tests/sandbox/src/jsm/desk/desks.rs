//! Service desks, the service itself, and articles of the knowledge base.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Routes, Shared, at, enter};
use crate::jsm::access::Caller;
use crate::jsm::catalogue::{ARTICLES, DESKS};
use crate::jsm::date::DeskDate;
use crate::jsm::denial::Denial;
use crate::jsm::gate::OptedIn;
use crate::jsm::input::Parameters;
use crate::jsm::paging::push;
use crate::jsm::seed;

pub(super) fn routes() -> Routes {
    at("/info", get(info))
        .merge(at("/servicedesk", get(list)))
        .merge(at("/servicedesk/{desk}", get(one)))
        .merge(at("/servicedesk/{desk}/knowledgebase/article", get(articles_of_desk)))
        .merge(at("/knowledgebase/article", get(articles)))
}

async fn info(State(sandbox): Shared) -> Json<Value> {
    Json(json!({
        "version": "5.12.0",
        "platformVersion": "9.12.0",
        "buildDate": DeskDate::from(seed::FIRST),
        "buildChangeSet": "sandbox",
        "isLicensedForUse": true,
        "_links": { "self": format!("{}/rest/servicedeskapi/info", sandbox.jsm.base) },
    }))
}

async fn list(State(sandbox): Shared, _: Caller, uri: Uri, query: Parameters) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let open: Vec<_> = DESKS.iter().zip(&site.rendered.desks).filter(|(desk, _)| desk.open).collect();
    Ok(site.page(&uri, &query)?.answer(&open, |(_, rendered), out| push(out, rendered)))
}

async fn one(State(sandbox): Shared, _: Caller, Path(desk): Path<String>) -> Result<Response, Denial> {
    let at = enter(&desk)?;
    Ok(Json(sandbox.jsm.rendered.desks.get(usize::from(at))).into_response())
}

async fn articles_of_desk(
    State(sandbox): Shared,
    _: Caller,
    _: OptedIn,
    Path(desk): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let at = usize::from(enter(&desk)?);
    let found = found(&query, Some(at))?;
    Ok(sandbox.jsm.page(&uri, &query)?.answer(&found, |article, out| push(out, article)))
}

async fn articles(
    State(sandbox): Shared,
    _: Caller,
    _: OptedIn,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let found = found(&query, None)?;
    Ok(sandbox.jsm.page(&uri, &query)?.answer(&found, |article, out| push(out, article)))
}

/// Articles that contain every word of the query.
fn found(query: &Parameters, desk: Option<usize>) -> Result<Vec<Value>, Denial> {
    let words = query.get("query").filter(|words| !words.trim().is_empty());
    let words = words.ok_or_else(|| Denial::bad("The query parameter is required."))?.to_lowercase();
    let fits = |title: &str, excerpt: &str| {
        let text = format!("{title} {excerpt}").to_lowercase();
        words.split_whitespace().all(|word| text.contains(word))
    };
    let all = ARTICLES.iter().filter(|(of, title, excerpt)| desk.is_none_or(|at| at == *of) && fits(title, excerpt));
    let article = |(_, title, excerpt): &(usize, &str, &str)| {
        json!({
            "title": title,
            "excerpt": excerpt,
            "source": { "type": "confluence" },
            "content": { "iframeSrc": "" },
        })
    };
    Ok(all.map(article).collect())
}
