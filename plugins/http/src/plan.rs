//! From parameters to requests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Execute, Method, Query, Send};
use crate::failure::{Failure, Kind};
use crate::paging::Pager;
use crate::paging::{Place, Position};
use crate::template::{JsonTemplate, Template};
use crate::url::{Base, Target};

/// A request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// Headers, in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

const JSON: &str = "application/json";

impl Request {
    /// A request without body.
    pub fn get(target: Target) -> Self {
        Self { method: Method::Get, target, headers: with_defaults(BTreeMap::new(), false), body: None }
    }

    fn new(
        method: Method,
        target: Target,
        headers: BTreeMap<String, String>,
        body: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        if method == Method::Get && body.is_some() {
            let message = "a GET request has no body; use the method POST or drop the body";
            return Err(Failure::new(Kind::Config, "http.params_invalid", message));
        }
        let headers = with_defaults(headers, body.is_some());
        for (name, value) in &headers {
            if name.is_empty() || value.chars().any(|c| c.is_control() && c != '\t') {
                let message = format!("the header {name:?} has no name, or a line break or control character in it");
                return Err(Failure::new(Kind::Data, "http.header_invalid", message));
            }
        }
        Ok(Self { method, target, headers, body })
    }
}

fn with_defaults(headers: BTreeMap<String, String>, has_body: bool) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<_, _> =
        headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let mut offer = |name: &str, value: &str| {
        headers.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    };
    offer("accept", JSON);
    offer("user-agent", "wherry-http/1.0.0");
    if has_body {
        offer("content-type", JSON);
    }
    headers
}

/// JSON as a body; plain text if the headers say that it is not JSON.
fn as_body(body: &Value, headers: &BTreeMap<String, String>) -> Vec<u8> {
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    match (body, content_type) {
        (Value::String(text), Some((_, kind))) if !kind.contains("json") => text.clone().into_bytes(),
        _ => body.to_string().into_bytes(),
    }
}

/// Query parameters as texts: lists repeat their name, `null` is left out.
fn as_pairs(query: &BTreeMap<String, Value>) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for (name, value) in query {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            match value {
                Value::Null => {}
                Value::String(text) => pairs.push((name.clone(), text.clone())),
                Value::Bool(_) | Value::Number(_) => pairs.push((name.clone(), value.to_string())),
                Value::Array(_) | Value::Object(_) => {
                    let message =
                        format!("the query parameter {name} is neither text, number, truth value nor a list of them");
                    return Err(Failure::new(Kind::Config, "http.params_invalid", message));
                }
            }
        }
    }
    Ok(pairs)
}

/// The request for the next page.
pub fn page(base: &Base, params: &Query, pager: &Pager, position: &Position) -> Result<Request, Failure> {
    let parameters = pager.parameters();
    let mut query = params.query.clone();
    let mut body = params.body.clone();
    match parameters.place {
        Place::Query => query.extend(parameters.values),
        Place::Body => match body.get_or_insert_with(|| Value::Object(serde_json::Map::new())) {
            Value::Object(fields) => fields.extend(parameters.values),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let message = "paging in the body needs a body that is a JSON object";
                return Err(Failure::new(Kind::Config, "http.params_invalid", message));
            }
        },
    }
    let first = base.target(&params.path, &as_pairs(&query)?)?;
    let target = match position {
        Position::Url(url) => first.resolve(url)?,
        Position::Start | Position::Page(_) | Position::Offset(_) | Position::Token(_) | Position::Done => first,
    };
    let body = body.map(|body| as_body(&body, &params.headers));
    Request::new(params.method, target, params.headers.clone(), body)
}

/// The request of `execute`. `key` is the run's idempotency key.
pub fn execute(base: &Base, params: &Execute, key: &str) -> Result<Request, Failure> {
    let target = base.target(&params.path, &as_pairs(&params.query)?)?;
    let mut headers = params.headers.clone();
    headers.extend(params.idempotency_header.clone().map(|name| (name, key.to_owned())));
    let body = params.body.as_ref().map(|body| as_body(body, &params.headers));
    Request::new(params.method, target, headers, body)
}

/// The parameters of `send`, read once for all records.
#[derive(Debug)]
pub struct SendPlan {
    method: Method,
    path: Template,
    query: Vec<(String, JsonTemplate)>,
    headers: Vec<(String, Template)>,
    body: Option<JsonTemplate>,
    idempotency_header: Option<String>,
}

impl SendPlan {
    /// Reads the parameters.
    pub fn new(params: &Send) -> Result<Self, Failure> {
        let query = |(name, value): (&String, &Value)| Ok((name.clone(), JsonTemplate::parse(value)?));
        let header = |(name, value): (&String, &String)| Ok((name.clone(), Template::parse(value)?));
        Ok(Self {
            method: params.method,
            path: Template::parse(&params.path)?,
            query: params.query.iter().map(query).collect::<Result<_, Failure>>()?,
            headers: params.headers.iter().map(header).collect::<Result<_, Failure>>()?,
            body: params.body.as_ref().map(JsonTemplate::parse).transpose()?,
            idempotency_header: params.idempotency_header.clone(),
        })
    }

    /// The request for one record, given as one line of JSON. `key` is the idempotency key of this record.
    pub fn request(&self, base: &Base, line: &[u8], key: &str) -> Result<Request, Failure> {
        let record: Value = serde_json::from_slice(line).map_err(|error| {
            Failure::new(Kind::Data, "http.record_invalid", format!("the record is not JSON: {error}"))
        })?;
        let query = self.query.iter().map(|(name, value)| (name.clone(), value.render(&record))).collect();
        let pairs = as_pairs(&query).map_err(|failure| Failure { kind: Kind::Data, ..failure })?;
        // A record that leads its path astray is the record's fault.
        let target = base
            .target(&self.path.render_path(&record)?, &pairs)
            .map_err(|failure| Failure { kind: Kind::Data, ..failure })?;
        let mut headers: BTreeMap<String, String> = self
            .headers
            .iter()
            .filter_map(|(name, value)| value.render(&record).map(|value| (name.clone(), value)))
            .collect();
        let body = match &self.body {
            Some(body) => Some(as_body(&body.render(&record), &headers)),
            None if matches!(self.method, Method::Get | Method::Delete) => None,
            None => Some(line.to_vec()),
        };
        headers.extend(self.idempotency_header.clone().map(|name| (name, key.to_owned())));
        Request::new(self.method, target, headers, body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;

    fn base() -> Base {
        Base::parse("https://h/api").unwrap()
    }

    fn send(params: Value, record: &str) -> Result<Request, Failure> {
        let params: Send = config::params(&params.to_string()).unwrap();
        SendPlan::new(&params)?.request(&base(), record.as_bytes(), "key-1")
    }

    fn query(params: Value, pages: u64) -> Result<Request, Failure> {
        let params: Query = config::params(&params.to_string()).unwrap();
        let mut pager = Pager::new(params.paging.clone(), None, None).unwrap();
        for _ in 0..pages {
            pager.note(&crate::paging::Seen { records: 10, token: Some("t".into()), link: Some("/n".into()) }).unwrap();
        }
        let position = pager.next().unwrap().clone();
        page(&base(), &params, &pager, &position)
    }

    #[test]
    fn without_a_body_parameter_the_record_itself_is_sent_to_the_last_digit() {
        let record = r#"{"n":123456789012345678901234567890}"#;
        let request = send(json!({"path": "/x"}), record).unwrap();
        assert_eq!(request.body.as_deref(), Some(record.as_bytes()));
        assert_eq!(request.headers["content-type"], JSON);
    }

    #[test]
    fn every_part_of_a_request_takes_fields_of_the_record() {
        let params = json!({
            "method": "PUT", "path": "/items/{{ record.id }}", "query": {"who": "{{ record.who }}", "n": ["{{ record.id }}", 2]},
            "headers": {"X-Id": "id-{{ record.id }}", "X-None": "{{ record.nothing }}"},
            "body": {"title": "{{ record.who }}"}, "idempotency_header": "Idempotency-Key",
        });
        let request = send(params, r#"{"id": 7, "who": "a&b"}"#).unwrap();
        assert_eq!(request.target.path_and_query, "/api/items/7?n=7&n=2&who=a%26b");
        assert_eq!(request.headers["x-id"], "id-7");
        assert_eq!(request.headers["idempotency-key"], "key-1");
        assert!(!request.headers.contains_key("x-none"));
        assert_eq!(request.body.as_deref(), Some(&br#"{"title":"a&b"}"#[..]));
    }

    #[test]
    fn a_record_cannot_smuggle_headers_or_leave_the_path() {
        let split = send(json!({"headers": {"x": "{{ record.v }}!"}}), r#"{"v": "a\r\nEvil: 1"}"#).unwrap_err();
        assert_eq!((split.code, split.kind), ("http.header_invalid", Kind::Data));
        let astray = send(json!({"path": "/x/{{ record.v }}"}), r#"{"v": ".."}"#).unwrap_err();
        assert_eq!((astray.code, astray.kind), ("http.template_missing", Kind::Data));
    }

    #[test]
    fn paging_parameters_go_into_the_query_or_the_body() {
        let paging = json!({"page": {"parameter": "p", "in": "query"}});
        let request = query(json!({"path": "x", "query": {"q": "a b"}, "paging": paging}), 1).unwrap();
        assert_eq!(request.target.path_and_query, "/api/x?p=2&q=a%20b");
        let paging = json!({"cursor": {"parameter": "after", "from": "next", "in": "body"}});
        let params = json!({"method": "POST", "body": {"jql": "x"}, "paging": paging});
        assert_eq!(query(params, 1).unwrap().body.as_deref(), Some(&br#"{"after":"t","jql":"x"}"#[..]));
    }

    #[test]
    fn a_link_replaces_the_whole_address() {
        let request = query(json!({"path": "x", "query": {"q": "1"}, "paging": {"link": {}}}), 1).unwrap();
        assert_eq!(request.target.path_and_query, "/n");
    }

    #[test]
    fn a_get_request_with_a_body_is_a_mistake() {
        assert_eq!(query(json!({"body": {}}), 0).unwrap_err().code, "http.params_invalid");
    }

    #[test]
    fn text_is_sent_as_text_where_the_header_says_so() {
        let params = json!({"headers": {"Content-Type": "text/plain"}, "body": "n={{ record.n }}"});
        assert_eq!(send(params, r#"{"n": 1}"#).unwrap().body.as_deref(), Some(&b"n=1"[..]));
    }
}
