//! A list of the interface: where it is, how it goes on, where its records are.

use wherry_sdk::Paging;
use wherry_sdk::http::{Method, RequestBuilder};
use wherry_sdk::prelude::*;

use crate::Cx;
use crate::site::{self, Api};

/// A list.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) api: Api,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    /// Asked for with a body instead of a query.
    pub(super) body: Option<Value>,
    pub(super) paging: Paging,
    pub(super) records: &'static str,
    /// Keys of what its records belong to.
    pub(super) parents: Vec<(&'static str, String)>,
}

impl List {
    /// A list of the service desk.
    pub(super) fn of_desk(path: &[&str], size: u64) -> Self {
        Self {
            api: Api::Desk,
            path: path.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            paging: Paging::offset("start", "limit", size).last_at("isLastPage"),
            records: "values",
            parents: Vec::new(),
        }
    }

    /// The same among the operations that Jira calls experimental.
    pub(super) fn experimental(self) -> Self {
        Self { api: Api::Experimental, ..self }
    }

    /// With a parameter, if there is a value for it.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        self.query.extend(value.map(|value| (name, value.into())));
        self
    }

    /// With a parameter for each value.
    pub(super) fn with_each(mut self, name: &'static str, values: &[String]) -> Self {
        self.query.extend(values.iter().map(|value| (name, value.clone())));
        self
    }

    /// With the key of what the records belong to.
    pub(super) fn below(mut self, name: &'static str, key: &str) -> Self {
        self.parents.push((name, key.to_owned()));
        self
    }

    /// The request, without its paging.
    pub(super) fn request<'c>(&self, cx: &'c Cx<'_>) -> RequestBuilder<'c> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let method = if self.body.is_some() { Method::Post } else { Method::Get };
        let request = site::request(cx, self.api, method, &path);
        let request = self.query.iter().fold(request, |request, (name, value)| request.query(name, value));
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}
