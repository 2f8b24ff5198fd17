//! How an answer continues.

use super::node::{Allowed, Entries, Node};
use crate::model::{Place, Walk, WalkStyle};
use crate::template::{Count, Root, Template};

/// Records of a page: the contract's batches have as many.
const PAGE: u64 = 10_000;
const STYLES: [&str; 7] = ["page", "offset", "cursor", "token", "token_header", "link_header", "next"];

/// One of the styles, and how it ends.
pub(super) fn paging(node: &Node<'_, '_>, allowed: Allowed<'_>) -> Option<Walk> {
    let known: Vec<&str> = STYLES.into_iter().chain(["in", "last_at", "total_at"]).collect();
    let entries = node.entries("paging", &known, &[])?;
    let mut given = STYLES.into_iter().filter_map(|style| Some((style, entries.get(style)?)));
    let Some((name, style)) = given.next() else {
        entries.fault(format!("paging has one of {}", STYLES.join(", ")));
        return None;
    };
    for (other, node) in given {
        node.fault(format!("paging is {name} or {other}, not both"));
    }
    let style = self::style(name, &style, allowed)?;
    let places = [("query", Place::Query), ("body", Place::Body)];
    let place = entries.get("in").map_or(Some(Place::Query), |node| node.choice(&places));
    let (last_at, total_at) = (entries.json_path("last_at"), entries.json_path("total_at"));
    Some(Walk { style, place: place?, last_at, total_at })
}

fn style(name: &str, node: &Node<'_, '_>, allowed: Allowed<'_>) -> Option<WalkStyle> {
    let needs = |keys: &[&str]| node.entries(&format!("paging by {name}"), keys, keys);
    let word = |entries: &Entries<'_, '_>, key: &str| entries.get(key)?.word();
    match name {
        "page" => page(node, allowed),
        "offset" => {
            let entries = needs(&["parameter", "size_parameter", "size"])?;
            let size = entries.get("size").and_then(|node| count(&node, allowed));
            let (parameter, size_parameter) = (word(&entries, "parameter"), word(&entries, "size_parameter"));
            Some(WalkStyle::Offset { parameter: parameter?, size_parameter: size_parameter?, size: size? })
        }
        "cursor" => {
            let entries = needs(&["parameter", "field"])?;
            let (parameter, field) = (word(&entries, "parameter"), word(&entries, "field"));
            Some(WalkStyle::Cursor { parameter: parameter?, field: field? })
        }
        "token" => {
            let entries = needs(&["parameter", "from"])?;
            let (parameter, from) = (word(&entries, "parameter"), word(&entries, "from"));
            Some(WalkStyle::Token { parameter: parameter?, from: from? })
        }
        "token_header" => {
            let entries = needs(&["parameter", "header"])?;
            let header = entries.get("header").and_then(|node| node.header());
            Some(WalkStyle::TokenHeader { parameter: word(&entries, "parameter")?, header: header? })
        }
        "link_header" => {
            if !node.flag()? {
                node.fault("link_header is true, or paging is left out");
            }
            Some(WalkStyle::LinkHeader)
        }
        _ => {
            let entries = needs(&["from"])?;
            Some(WalkStyle::Next { from: word(&entries, "from")? })
        }
    }
}

fn page(node: &Node<'_, '_>, allowed: Allowed<'_>) -> Option<WalkStyle> {
    let keys = ["parameter", "start", "size_parameter", "size"];
    let entries = node.entries("paging by page", &keys, &["parameter"])?;
    let parameter = entries.get("parameter").and_then(|node| node.word());
    let start = entries.get("start").map_or(Some(1), |node| node.count(0, 1_000_000));
    let size_parameter = entries.get("size_parameter").and_then(|node| node.word());
    let size = entries.get("size").and_then(|node| count(&node, allowed));
    if size_parameter.is_some() && entries.get("size").is_none() {
        entries.fault("a size_parameter needs a size");
    }
    Some(WalkStyle::Page { parameter: parameter?, start: start?, size_parameter, size })
}

/// A number, or a gap that is one.
fn count(node: &Node<'_, '_>, allowed: Allowed<'_>) -> Option<Count> {
    let Some(text) = node.value.as_str() else { return node.count(1, PAGE).map(Count::Fixed) };
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(why) => {
            node.fault(why);
            return None;
        }
    };
    let Some(gap) = template.as_gap().filter(|gap| matches!(gap.root, Root::Params | Root::Options)) else {
        node.fault("a size is a whole number from 1 on, or {{ params.NAME }} and nothing else");
        return None;
    };
    node.check_gap(gap, allowed);
    let fields = if gap.root == Root::Params { allowed.params } else { Some(allowed.options) };
    let field = gap.path.first().and_then(|name| fields?.get(name));
    if field.is_some_and(|field| !field.is_count() || !(field.required || field.schema.contains_key("default"))) {
        node.fault(format!("{} must be of type integer, and required or with a default", gap.name()));
    }
    Some(Count::Of(gap.clone()))
}
