//! Requests over `wasi:http`.

use super::bindings::wasi::http::outgoing_handler;
use super::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingBody, Method as WasiMethod, OutgoingBody,
    OutgoingRequest, Scheme,
};
use super::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::error::{Error, Kind, Result};
use crate::host::{BodySource, Exchange, Head, Transport};
use crate::http::{Body, Method, Request};

const READ_BYTES: u64 = 256 << 10;

/// The way out of the box.
pub(super) struct WasiHttp;

impl Transport for WasiHttp {
    fn start(&self, request: &Request) -> Result<Box<dyn Exchange>> {
        let outgoing = OutgoingRequest::new(headers(request)?);
        let scheme = if request.target.origin.https { Scheme::Https } else { Scheme::Http };
        let placed = outgoing
            .set_method(&method(request.method))
            .and_then(|()| outgoing.set_scheme(Some(&scheme)))
            .and_then(|()| outgoing.set_authority(Some(&request.target.origin.authority)))
            .and_then(|()| outgoing.set_path_with_query(Some(&request.target.path_and_query)));
        placed.map_err(|()| Error::config("http.path_invalid", "the host does not accept this address"))?;
        let body = outgoing.body().map_err(|()| broken("its body cannot be written"))?;
        let future = outgoing_handler::handle(outgoing, None).map_err(|code| failed(&code))?;
        // Whoever does not want the body says why in the answer; so the answer comes first.
        let written = write(body, request.body.as_ref());
        Ok(Box::new(Sent { future, written }))
    }
}

struct Sent {
    future: FutureIncomingResponse,
    written: Result<()>,
}

impl Exchange for Sent {
    fn wait(self: Box<Self>) -> Result<Head> {
        let Self { future, written } = *self;
        future.subscribe().block();
        let response = match future.get() {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(code))) => return Err(failed(&code)),
            Some(Err(())) | None => return Err(written.err().unwrap_or_else(|| broken("there is none"))),
        };
        let entries = response.headers().entries().into_iter();
        let headers =
            entries.map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned()));
        let headers = headers.collect();
        let body = response.consume().map_err(|()| broken("its body cannot be read"))?;
        let stream = body.stream().map_err(|()| broken("its body cannot be read"))?;
        Ok(Head { status: response.status(), headers, body: Box::new(Arriving { stream, _body: body }) })
    }
}

/// A body that arrives. The stream is a child of the body and goes first.
struct Arriving {
    stream: InputStream,
    _body: IncomingBody,
}

impl BodySource for Arriving {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        match self.stream.blocking_read(READ_BYTES) {
            Ok(chunk) => Ok(Some(chunk)),
            Err(StreamError::Closed) => Ok(None),
            Err(StreamError::LastOperationFailed(error)) => Err(broken(&error.to_debug_string())),
        }
    }
}

fn headers(request: &Request) -> Result<Fields> {
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields.append(name, value.as_bytes()).map_err(|error| match error {
            HeaderError::Forbidden => {
                let message = format!("the header {name} is set by the agent and cannot be a parameter");
                Error::config("http.header_forbidden", message)
            }
            HeaderError::InvalidSyntax | HeaderError::Immutable => {
                let message = format!("the header {name:?} or its value is not one that HTTP knows");
                Error::data("http.header_invalid", message)
            }
        })?;
    }
    if let Some(body) = &request.body {
        let length = body.len().to_string();
        fields.set("content-length", &[length.into_bytes()]).map_err(|_| broken("its length cannot be stated"))?;
    }
    Ok(fields)
}

const fn method(method: Method) -> WasiMethod {
    match method {
        Method::Get => WasiMethod::Get,
        Method::Post => WasiMethod::Post,
        Method::Put => WasiMethod::Put,
        Method::Patch => WasiMethod::Patch,
        Method::Delete => WasiMethod::Delete,
    }
}

fn write(outgoing: OutgoingBody, body: Option<&Body>) -> Result<()> {
    if let Some(body) = body {
        let stream = outgoing.write().map_err(|()| gone())?;
        body.write_to(|bytes| write_all(&stream, bytes))?;
    }
    OutgoingBody::finish(outgoing, None).map_err(|code| failed(&code))
}

fn write_all(stream: &OutputStream, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        let room = stream.check_write().map_err(|_| gone())?;
        let (chunk, rest) = data.split_at(data.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        if chunk.is_empty() {
            stream.subscribe().block();
            continue;
        }
        stream.write(chunk).map_err(|_| gone())?;
        data = rest;
    }
    Ok(())
}

fn gone() -> Error {
    broken("the connection ended while the request was being sent")
}

fn broken(how: &str) -> Error {
    Error::transient("http.broken_answer", format!("the answer broke off: {how}"))
}

/// The host knows the reason better and reports it beside this.
fn failed(code: &ErrorCode) -> Error {
    let is_denied = matches!(code, ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited);
    let is_misconfigured = matches!(
        code,
        ErrorCode::TlsCertificateError
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsAlertReceived(_)
            | ErrorCode::ConfigurationError
            | ErrorCode::HttpRequestUriInvalid
    );
    let kind = match (is_denied, is_misconfigured) {
        // Not the system's answer to one record: no other record would get out either.
        (true, _) => Kind::Config,
        (false, true) => Kind::Config,
        (false, false) => Kind::Transient,
    };
    Error::new(kind, "http.exchange_failed", format!("the request could not be made: {code:?}"))
}
