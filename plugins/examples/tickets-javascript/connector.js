// A connector in JavaScript: the requests of the desk that `wherry sandbox start` simulates.
// `docs/guides/other-languages.md` explains it.

const VERSION = "0.1.0";
// A system that hands out the same token again would otherwise be asked for ever.
const MOST_PAGES = 10_000;

const descriptor = {
  schemaVersion: 1,
  name: "tickets-javascript",
  version: VERSION,
  title: "Tickets",
  description: "Requests of a simulated help desk.",
  license: "Apache-2.0",
  connection: {
    configSchema: { type: "object", properties: {}, additionalProperties: false },
    auth: [{ id: "basic", type: "basic" }],
  },
  errors: [
    "tickets.activity",
    "tickets.cancelled",
    "tickets.no_items",
    "tickets.not_json",
    "tickets.page_repeated",
    "tickets.refused",
    "tickets.too_many_pages",
    "tickets.unreachable",
  ],
  activities: [
    {
      name: "ticket.query",
      kind: "source",
      title: "Query tickets",
      sideEffects: "read",
      configSchema: {
        type: "object",
        properties: {
          page_size: { type: "integer", minimum: 1, maximum: 1000, default: 50, description: "Tickets asked for at once." },
        },
        additionalProperties: false,
      },
      outputSchema: { type: "object", required: ["id"], properties: { id: { type: "string" } } },
    },
  ],
};

// What the contract calls an error: `kind` decides whether the run is tried again.
function fail(kind, code, message, retryAfterMs) {
  const payload = { kind, code, message, retryAfterMs, details: undefined };
  return Object.assign(new Error(message), { payload });
}

const KINDS = { 400: "data", 401: "auth", 403: "forbidden", 404: "not-found", 429: "throttled" };

// One request through the agent, which checks the destination and adds the credential.
async function get(inv, path) {
  if (inv.cancelled()) throw fail("cancelled", "tickets.cancelled", "asked to stop");
  const { url } = JSON.parse(inv.connection());
  let answer;
  try {
    answer = await fetch(url + path, { headers: { accept: "application/json" } });
  } catch {
    throw fail("transient", "tickets.unreachable", "the help desk did not answer");
  }
  if (!answer.ok) {
    const kind = KINDS[answer.status] ?? (answer.status >= 500 ? "transient" : "data");
    const seconds = Number(answer.headers.get("retry-after"));
    const wait = seconds > 0 ? BigInt(Math.round(seconds * 1000)) : undefined;
    throw fail(kind, "tickets.refused", `the help desk answered ${answer.status}`, wait);
  }
  try {
    return JSON.parse(await answer.text());
  } catch {
    throw fail("data", "tickets.not_json", "the help desk did not answer with JSON");
  }
}

function write(output, records, cursor) {
  const lines = records.map((record) => JSON.stringify(record) + "\n").join("");
  output.write({ count: records.length, data: new TextEncoder().encode(lines) }, cursor);
}

async function query(inv, output) {
  const { page_size = 50 } = JSON.parse(inv.params());
  // Behind the last page that arrived, if an earlier attempt got that far.
  let after = JSON.parse(inv.cursor() ?? "null")?.after;
  let records = 0;
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const wanted = new URLSearchParams({ size: page_size, ...(after ? { cursor: after } : {}) });
    const body = await get(inv, `/rest/requests?${wanted}`);
    if (!Array.isArray(body?.items)) throw fail("data", "tickets.no_items", "the answer has no items");
    records += body.items.length;
    if (!body.next_cursor) {
      write(output, body.items, undefined);
      return { status: "complete", output: JSON.stringify({ records, pages: page }) };
    }
    if (body.next_cursor === after) throw fail("data", "tickets.page_repeated", "the help desk repeats a page");
    after = body.next_cursor;
    write(output, body.items, JSON.stringify({ after }));
  }
  throw fail("data", "tickets.too_many_pages", "the help desk has more pages than anyone needs");
}

export const meta = {
  describe: () => JSON.stringify(descriptor),
};

export const activities = {
  async test(inv) {
    const body = await get(inv, "/rest/requests?size=1");
    return JSON.stringify({ tickets: body.total ?? null });
  },

  async invoke(inv, input, output) {
    if (inv.activity() !== "ticket.query") throw fail("unsupported", "tickets.activity", "there is no such activity");
    return query(inv, output);
  },
};
