//! What a program of one's own would do: the same calls with a client that keeps its connection, and the answers parsed.

use anyhow::ensure;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, proxy::Tunnel},
    },
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::system::System;

/// The client, with or without a proxy.
pub(crate) enum Native {
    Direct(Client<HttpConnector, Full<Bytes>>),
    Proxied(Client<Tunnel<HttpConnector>, Full<Bytes>>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    values: Vec<Box<RawValue>>,
    is_last_page: bool,
}

impl Native {
    /// Without a proxy.
    pub(crate) fn direct() -> Self {
        Self::Direct(Client::builder(TokioExecutor::new()).build_http())
    }

    /// With CONNECT through a proxy.
    ///
    /// # Errors
    /// If the address is none.
    pub(crate) fn through(proxy: &str) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let proxy: Uri = format!("http://{proxy}").parse()?;
        Ok(Self::Proxied(Client::builder(TokioExecutor::new()).build(Tunnel::new(proxy, connector))))
    }

    /// Reads all pages; gives the number of records.
    ///
    /// # Errors
    /// If a call fails.
    pub(crate) async fn pages(&self, system: &System, size: u64) -> anyhow::Result<u64> {
        let mut read = 0;
        loop {
            let page = self.page(system, read, size).await?;
            read += page.values.len() as u64;
            if page.is_last_page {
                return Ok(read);
            }
        }
    }

    /// Creates requests with that many in flight.
    ///
    /// # Errors
    /// If a call fails.
    pub(crate) async fn creates(&self, system: &System, count: u64, in_flight: usize) -> anyhow::Result<()> {
        let numbers = futures::stream::iter((0..count).map(Ok::<u64, anyhow::Error>));
        numbers.try_for_each_concurrent(in_flight, |number| self.create(system, number)).await
    }

    async fn create(&self, system: &System, number: u64) -> anyhow::Result<()> {
        let fields = serde_json::json!({ "summary": format!("Request {number}"), "description": "x".repeat(155) });
        let body = serde_json::json!({ "serviceDeskId": "2", "requestTypeId": "22", "requestFieldValues": fields });
        let request = Request::post(format!("{}/rest/servicedeskapi/request", system.url))
            .header("authorization", credential(system))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))?;
        let response = self.send(request).await?;
        ensure!(response.status() == 201, "the system answers {}", response.status());
        serde_json::from_slice::<serde_json::Value>(&response.into_body().collect().await?.to_bytes())?;
        Ok(())
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        Ok(match self {
            Self::Direct(client) => client.request(request).await?,
            Self::Proxied(client) => client.request(request).await?,
        })
    }

    async fn page(&self, system: &System, start: u64, limit: u64) -> anyhow::Result<Page> {
        let uri = format!("{}/rest/servicedeskapi/request?start={start}&limit={limit}", system.url);
        let request = Request::get(uri).header("authorization", credential(system)).body(Full::default())?;
        let response = self.send(request).await?;
        ensure!(response.status() == 200, "the system answers {}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

fn credential(system: &System) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", system.user, system.token)))
}
