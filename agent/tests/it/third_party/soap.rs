//! Credentials in a SOAP header: the envelope is written by `zeep` and read by `spyne`, both from PyPI.

use std::{env, process::Stdio};

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use wherry_host::EgressError;

use super::super::{
    auth::{PASSWORD, endpoint, post, send, text},
    support::soon,
};

/// Serves a service whose header is that of BMC Remedy, and has a client write the envelopes for it.
const SERVER: &str = r#"
import json, sys, threading
from wsgiref.simple_server import make_server, WSGIRequestHandler
from spyne import Application, ComplexModel, Fault, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication
from lxml import etree
import zeep

password = sys.argv[1]

class AuthenticationInfo(ComplexModel):
    __namespace__ = "urn:HPD_IncidentInterface_WS"
    userName = Unicode
    password = Unicode
    locale = Unicode

class Desk(ServiceBase):
    __in_header__ = AuthenticationInfo
    @rpc(Unicode, _returns=Unicode)
    def HelpDesk_Query_Service(ctx, number):
        info = ctx.in_header
        if (info.userName, info.password, info.locale) != ("Ada", password, "de_DE"):
            raise Fault("Client.Authentication", "ERROR (623): Authentication failed")
        return password if number == "echo" else "found " + number

class Quiet(WSGIRequestHandler):
    def log_message(self, *ignored): pass

app = WsgiApplication(Application([Desk], "urn:HPD_IncidentInterface_WS", in_protocol=Soap11(validator="lxml"), out_protocol=Soap11()))
server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=False).start()
url = "http://127.0.0.1:%d/" % server.server_port
client = zeep.Client(url + "?wsdl")
header = client.get_element("{urn:HPD_IncidentInterface_WS}AuthenticationInfo")
def envelope(number):
    info = header(userName="{{wherry:username}}", password="{{wherry:password}}", locale="{{wherry:locale}}")
    return etree.tostring(client.create_message(client.service, "HelpDesk_Query_Service", number, _soapheaders=[info])).decode()
given = {"url": url, "good": envelope("INC1 {{wherry:password}}"), "echo": envelope("echo")}
print(json.dumps(given), flush=True)
"#;

#[tokio::test]
async fn a_service_of_others_accepts_the_envelope_that_a_client_of_others_wrote() {
    let Some(python) = env::var_os("WHERRY_PYTHON") else {
        eprintln!("skipped: tests against software of others, run them with cargo xtask test --third-party");
        return;
    };
    let mut command = Command::new(python);
    command.args(["-c", SERVER]).arg(PASSWORD).env("NO_PROXY", "*");
    let mut server: Child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let given = soon("the service of others", said.next_line()).await.unwrap().unwrap();
    let given: Value = serde_json::from_str(&given).unwrap();
    let url = given["url"].as_str().unwrap();
    let auth = |user: &str| {
        json!({
            "type": "soap_header", "username": user, "password": { "secret": "password" },
            "fields": { "locale": "de_DE" },
        })
    };
    let (ada, _hand) = endpoint(url, &auth("Ada")).unwrap();
    let soap = |which: &str| {
        let mut request: Request<_> = post(url, given[which].as_str().unwrap());
        request.headers_mut().insert("content-type", "text/xml; charset=utf-8".parse().unwrap());
        request.headers_mut().insert("soapaction", "\"HelpDesk_Query_Service\"".parse().unwrap());
        request
    };
    let answer = text(send(&ada, soap("good")).await.unwrap()).await;
    assert!(answer.contains("found INC1 {{wherry:password}}<"), "{answer}");
    let echo = send(&ada, soap("echo")).await.unwrap().into_body().collect().await.map(drop).unwrap_err();
    assert!(matches!(echo, EgressError::Echoed { .. }), "{echo:?}");
    let (bob, _hand) = endpoint(url, &auth("Bob")).unwrap();
    let refused = text(send(&bob, soap("good")).await.unwrap()).await;
    assert!(refused.contains("ERROR (623)"), "{refused}");
}
