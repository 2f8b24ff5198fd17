"""A connector in Python: the tickets of an imaginary help desk. `docs/guides/other-languages.md` explains it."""

import json
from urllib.parse import urlencode, urlsplit

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.exports.activities import Outcome, Status
from wit_world.imports import outgoing_handler, wasi_http_types as http
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.wherry_connector_types import Batch, Error, ErrorKind

# A system that hands out the same token again would otherwise be asked for ever.
MOST_PAGES = 10_000
PIECE = 64 * 1024

DESCRIPTOR = {
    "schemaVersion": 1,
    "name": "tickets-python",
    "version": "0.1.0",
    "title": "Tickets",
    "description": "Tickets of an imaginary help desk.",
    "license": "Apache-2.0",
    "connection": {
        "configSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "auth": [{"id": "bearer", "type": "bearer"}],
    },
    "activities": [
        {
            "name": "ticket.query",
            "kind": "source",
            "title": "Query tickets",
            "sideEffects": "read",
            "configSchema": {
                "type": "object",
                "properties": {
                    "state": {
                        "type": "string",
                        "enum": ["open", "closed"],
                        "default": "open",
                        "description": "Only tickets in this state.",
                    }
                },
                "additionalProperties": False,
            },
            "outputSchema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
        }
    ],
}

KINDS = {
    401: ErrorKind.AUTH,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.NOT_FOUND,
    429: ErrorKind.THROTTLED,
}


def fail(kind, code, message, retry_after_ms=None):
    """What the contract calls an error: its kind decides whether the run is tried again."""
    return Err(Error(kind=kind, code=code, message=message, retry_after_ms=retry_after_ms, details=None))


def exchange(url):
    """One request through the agent, which checks the destination and adds the credential: status, headers, body."""
    parts = urlsplit(url)
    request = http.OutgoingRequest(http.Fields.from_list([("accept", b"application/json")]))
    request.set_scheme(http.Scheme_Https() if parts.scheme == "https" else http.Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query(parts.path + ("?" + parts.query if parts.query else ""))
    future = outgoing_handler.handle(request, None)
    answer = future.get()
    while answer is None:
        future.subscribe().block()
        answer = future.get()
    # Ok(Ok(answer)), or Ok(Err(why)).
    answer = answer.value
    if isinstance(answer, Err):
        raise fail(ErrorKind.TRANSIENT, "tickets.unreachable", "the help desk did not answer")
    answer = answer.value
    headers = {name.lower(): value.decode("utf-8", "replace") for name, value in answer.headers().entries()}
    return answer.status(), headers, read(answer)


def read(answer):
    body = answer.consume()
    content = bytearray()
    with body.stream() as stream:
        while True:
            try:
                content += stream.blocking_read(PIECE)
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return bytes(content)
                raise fail(ErrorKind.TRANSIENT, "tickets.broke_off", "the answer broke off") from None


def get(inv, path):
    if inv.cancelled():
        raise fail(ErrorKind.CANCELLED, "tickets.cancelled", "asked to stop")
    status, headers, body = exchange(json.loads(inv.connection())["url"] + path)
    if not 200 <= status < 300:
        kind = KINDS.get(status, ErrorKind.TRANSIENT if status >= 500 else ErrorKind.DATA)
        wait = headers.get("retry-after", "")
        wait = int(wait) * 1000 if wait.isdigit() else None
        raise fail(kind, f"tickets.status_{status}", f"the help desk answered {status}", wait)
    try:
        return json.loads(body)
    except ValueError:
        raise fail(ErrorKind.DATA, "tickets.not_json", "the help desk did not answer with JSON") from None


def write(output, records, cursor):
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    output.write(Batch(count=len(records), data=lines.encode()), cursor)


def query(inv, output):
    state = json.loads(inv.params()).get("state", "open")
    # Behind the last page that arrived, if an earlier attempt got that far.
    after = json.loads(inv.cursor() or "{}").get("after")
    records = 0
    for page in range(1, MOST_PAGES + 1):
        wanted = {"state": state} | ({"after": after} if after else {})
        body = get(inv, "/tickets?" + urlencode(wanted))
        if not isinstance(body, dict) or not isinstance(body.get("items"), list):
            raise fail(ErrorKind.DATA, "tickets.no_items", "the answer has no items")
        records += len(body["items"])
        following = body.get("next")
        if not following:
            write(output, body["items"], None)
            return Outcome(status=Status.COMPLETE, output=json.dumps({"records": records, "pages": page}))
        if following == after:
            raise fail(ErrorKind.DATA, "tickets.page_repeated", "the help desk repeats a page")
        after = following
        write(output, body["items"], json.dumps({"after": after}))
    raise fail(ErrorKind.DATA, "tickets.too_many_pages", "the help desk has more pages than anyone needs")


class Meta(exports.Meta):
    def describe(self):
        return json.dumps(DESCRIPTOR)


class Activities(exports.Activities):
    def test(self, inv):
        return json.dumps({"signed_in_as": get(inv, "/me").get("name")})

    def invoke(self, inv, input, output):
        if inv.activity() != "ticket.query":
            raise fail(ErrorKind.UNSUPPORTED, "tickets.activity", "there is no such activity")
        return query(inv, output)
