//! From the manifest's requests to real ones.

use serde_json::{Map, Value};
use wherry_manifest::{Activity, Body, Fields, JsonTemplate, Manifest, Missing, Request, Scope, Template};
use wherry_sdk::http::url::encode;
use wherry_sdk::http::{Method, RequestBuilder};
use wherry_sdk::{Context, Error, Record, Result};

use crate::{Options, refusal};

/// What stays the same for a whole invocation.
pub(crate) struct Plan {
    pub(crate) manifest: &'static Manifest,
    pub(crate) activity: &'static Activity,
    params: Map<String, Value>,
    options: Map<String, Value>,
    run: Value,
}

/// A request whose gaps are filled in.
pub(crate) struct Rendered {
    method: Method,
    path: String,
    query: Vec<(String, Vec<String>)>,
    headers: Vec<(String, String)>,
    body: Content,
    answer_bytes: usize,
}

enum Content {
    None,
    Json(Value),
    Raw(Vec<u8>),
    Form(Vec<(String, String)>),
}

impl Plan {
    /// The activity that is asked for, with parameters and options that fit.
    pub(crate) fn of(cx: &Context<Options>, manifest: &'static Manifest, params: Value) -> Result<Self> {
        let name = cx.activity();
        let activity = manifest.activities.iter().find(|activity| activity.name == name).ok_or_else(|| {
            Error::new(wherry_sdk::Kind::Unsupported, "connector.activity_unknown", format!("there is no {name:?}"))
        })?;
        refusal::note_activity(activity);
        let Value::Object(params) = params else {
            return Err(Error::config("connector.params_invalid", "the parameters are no map"));
        };
        let params = complete(&activity.parameters, params, "connector.params_invalid", "the parameter")?;
        Ok(Self { manifest, activity, params, options: options(cx, manifest)?, run: cx.run_id().into() })
    }

    /// The values at hand.
    pub(crate) fn scope<'v>(&'v self, record: Option<&'v Value>, key: &'v Value) -> Scope<'v> {
        Scope { params: &self.params, options: &self.options, record, run: &self.run, key }
    }

    /// The activity's request.
    pub(crate) fn render(&self, record: Option<(&Value, &Record<'_>)>, key: &Value) -> Result<Rendered> {
        let raw = record.map(|(_, record)| record.json());
        let scope = self.scope(record.map(|(value, _)| value), key);
        Rendered::of(self.manifest, &self.activity.request, &scope, raw)
    }
}

/// The connection's options, with defaults.
pub(crate) fn options(cx: &Context<Options>, manifest: &Manifest) -> Result<Options> {
    complete(&manifest.options, cx.options().clone(), "connector.connection_invalid", "the connection's option")
}

fn complete(fields: &Fields, given: Map<String, Value>, code: &'static str, what: &str) -> Result<Map<String, Value>> {
    let unfit = |unfit: wherry_manifest::Unfit| Error::config(code, format!("{what} {} {}", unfit.name, unfit.why));
    fields.complete(given).map_err(unfit)
}

impl Rendered {
    /// Fills in a request. `raw` is the record as it came, for bodies that are nothing else.
    pub(crate) fn of(manifest: &Manifest, request: &Request, scope: &Scope<'_>, raw: Option<&[u8]>) -> Result<Self> {
        let below = request.path.render_path(scope, encode).map_err(missing)?;
        let separator = if below.is_empty() || below.starts_with('/') { "" } else { "/" };
        let mut rendered = Self {
            method: method(request.method),
            path: format!("{}{separator}{below}", manifest.base_path),
            query: pairs(&request.query, scope)?,
            headers: vec![("user-agent".to_owned(), format!("wherry-{}/{}", manifest.name, manifest.version))],
            body: Content::None,
            answer_bytes: manifest.limits.answer_bytes,
        };
        rendered.add_headers(&manifest.headers, scope)?;
        rendered.add_headers(&request.headers, scope)?;
        if let (Some(name), Some(key)) = (&request.idempotency_header, scope.key.as_str()) {
            rendered.headers.push((name.clone(), key.to_owned()));
        }
        rendered.body = match (&request.body, raw) {
            (Body::None, _) => Content::None,
            (Body::Json(template), Some(raw)) if template.is_record() => Content::Raw(raw.to_vec()),
            (Body::Json(template), _) => template.render(scope).map_err(missing)?.map_or(Content::None, Content::Json),
            (Body::Form(fields), _) => {
                let several = |(name, values): (String, Vec<String>)| {
                    values.into_iter().map(|value| (name.clone(), value)).collect::<Vec<_>>()
                };
                Content::Form(pairs(fields, scope)?.into_iter().flat_map(several).collect())
            }
        };
        Ok(rendered)
    }

    fn add_headers(&mut self, headers: &[(String, Template)], scope: &Scope<'_>) -> Result<()> {
        for (name, template) in headers {
            if let Some(value) = template.render(scope).map_err(missing)? {
                self.headers.push((name.clone(), value));
            }
        }
        Ok(())
    }

    /// The request, ready to be sent; again for each page.
    pub(crate) fn begin<'c>(&self, cx: &'c Context<'_, Options>) -> RequestBuilder<'c> {
        let request = cx.http().request(self.method, self.path.as_str()).limit(self.answer_bytes);
        let request = self.query.iter().fold(request, |request, (name, values)| request.query(name, values.as_slice()));
        let request = match &self.body {
            Content::None => request,
            Content::Json(json) => request.json(json),
            Content::Raw(bytes) => request.bytes("application/json", bytes.as_slice()),
            Content::Form(fields) => request.form(fields.iter().map(|(name, value)| (&**name, &**value))),
        };
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// Names with their texts; lists repeat the name, and what has no value is left out.
fn pairs(templates: &[(String, JsonTemplate)], scope: &Scope<'_>) -> Result<Vec<(String, Vec<String>)>> {
    let one = |name: &str, value: Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let message = format!("{name} must be text, a number, a truth value or a list of them");
            Err(Error::data("declarative.value_invalid", message))
        }
    };
    let texts = |name: &str, value: Value| match value {
        Value::Array(elements) => elements.into_iter().filter_map(|value| one(name, value).transpose()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Ok(one(name, value)?.into_iter().collect())
        }
    };
    let rendered = templates.iter().map(|(name, template)| {
        let value = template.render(scope).map_err(missing)?.unwrap_or_default();
        Ok((name.clone(), texts(name, value)?))
    });
    rendered.collect()
}

fn missing(missing: Missing) -> Error {
    match missing {
        Missing::Value { name, of_record: true } => {
            Error::data("declarative.value_missing", format!("the record has no usable {name}, which the path needs"))
        }
        Missing::Value { name, of_record: false } => {
            Error::config("connector.params_invalid", format!("{name} is empty, and the path of the request needs it"))
        }
        Missing::TooLong => Error::data(
            "declarative.request_too_large",
            "the request would have more than 4 MiB; send less of the record",
        ),
    }
}

const fn method(method: wherry_manifest::Method) -> Method {
    match method {
        wherry_manifest::Method::Get => Method::Get,
        wherry_manifest::Method::Post => Method::Post,
        wherry_manifest::Method::Put => Method::Put,
        wherry_manifest::Method::Patch => Method::Patch,
        wherry_manifest::Method::Delete => Method::Delete,
    }
}
