//! One HTTP exchange over `wasi:http`.

use crate::answer::{Answer, BODY_BYTES};
use crate::bindings::wasi::clocks::wall_clock;
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, HeaderError, IncomingBody, IncomingResponse, Method as WasiMethod, OutgoingBody,
    OutgoingRequest, Scheme,
};
use crate::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::config::Method;
use crate::failure::{Failure, Kind};
use crate::plan::Request;

const READ_BYTES: u64 = 64 << 10;
/// Enough of an answer to show why it refuses.
const GLANCE_BYTES: usize = 64 << 10;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    wall_clock::now().seconds
}

/// Sends a request and reads the whole answer.
pub(crate) fn exchange(request: &Request) -> Result<Answer, Failure> {
    let (mut answer, body) = begin(request)?;
    answer.body = read(&body, BODY_BYTES)?;
    if answer.body.len() > BODY_BYTES {
        let message = format!("the answer has more than {BODY_BYTES} bytes; ask for smaller pages or fewer fields");
        return Err(Failure::new(Kind::Data, "http.answer_too_large", message));
    }
    Ok(answer)
}

/// Sends a request whose answer matters only for its status. What breaks off or goes on behind that changes nothing
/// of what the system has done.
pub(crate) fn hand_over(request: &Request) -> Result<Answer, Failure> {
    let (mut answer, body) = begin(request)?;
    answer.body = read(&body, GLANCE_BYTES).unwrap_or_default();
    Ok(answer)
}

/// Sends a request; gives the head of the answer, and its body to be read.
fn begin(request: &Request) -> Result<(Answer, IncomingBody), Failure> {
    let response = send(request)?;
    let headers = response.headers();
    let text = |name: &str| {
        let values = headers.get(name);
        let texts: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    let answer =
        Answer { status: response.status(), retry_after: text("retry-after"), link: text("link"), body: Vec::new() };
    drop(headers);
    let body = response.consume().map_err(|()| broken("its body cannot be read"))?;
    Ok((answer, body))
}

fn send(request: &Request) -> Result<IncomingResponse, Failure> {
    let outgoing = OutgoingRequest::new(headers(request)?);
    let scheme = if request.target.origin.https { Scheme::Https } else { Scheme::Http };
    let placed = outgoing
        .set_method(&method(request.method))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&request.target.origin.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&request.target.path_and_query)));
    placed.map_err(|()| Failure::new(Kind::Config, "http.path_invalid", "the host does not accept this address"))?;
    let body = outgoing.body().map_err(|()| broken("its body cannot be written"))?;
    let future = outgoing_handler::handle(outgoing, None).map_err(|code| failed(&code))?;
    // Whoever does not want the body says why in the answer; so the answer comes first.
    let written = write(body, request.body.as_deref().unwrap_or_default());
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(failed(&code)),
        Some(Err(())) | None => Err(written.err().unwrap_or_else(|| broken("there is none"))),
    }
}

fn headers(request: &Request) -> Result<Fields, Failure> {
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields.append(name, value.as_bytes()).map_err(|error| match error {
            HeaderError::Forbidden => {
                let message = format!("the header {name} is set by the agent and cannot be a parameter");
                Failure::new(Kind::Config, "http.header_forbidden", message)
            }
            HeaderError::InvalidSyntax | HeaderError::Immutable => {
                let message = format!("the header {name:?} or its value is not one that HTTP knows");
                Failure::new(Kind::Data, "http.header_invalid", message)
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

fn write(body: OutgoingBody, mut data: &[u8]) -> Result<(), Failure> {
    let gone = || broken("the connection ended while the request was being sent");
    {
        let stream: OutputStream = body.write().map_err(|()| gone())?;
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
    }
    OutgoingBody::finish(body, None).map_err(|code| failed(&code))
}

/// Reads to the end, or a little beyond `limit`.
fn read(body: &IncomingBody, limit: usize) -> Result<Vec<u8>, Failure> {
    let stream: InputStream = body.stream().map_err(|()| broken("its body cannot be read"))?;
    let mut data = Vec::new();
    while data.len() <= limit {
        match stream.blocking_read(READ_BYTES) {
            Ok(chunk) => data.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(broken(&error.to_debug_string())),
        }
    }
    Ok(data)
}

fn broken(how: &str) -> Failure {
    Failure::new(Kind::Transient, "http.broken_answer", format!("the answer broke off: {how}"))
}

/// The host knows the reason better and reports it beside this.
fn failed(code: &ErrorCode) -> Failure {
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
        (true, _) => Kind::Forbidden,
        (false, true) => Kind::Config,
        (false, false) => Kind::Transient,
    };
    Failure::new(kind, "http.exchange_failed", format!("the request could not be made: {code:?}"))
}
