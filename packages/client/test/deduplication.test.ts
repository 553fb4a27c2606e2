import { beforeEach, describe, expect, test } from "vitest";
import { createClient, type SendMessageInput } from "../src/index.ts";
import { createFakeServer, respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createHandClock } from "./hand-clock.ts";
import { installRandom } from "./install-clock.ts";
import { broken } from "./scripted-fetch.ts";

const base = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test" };
const hello: SendMessageInput = { agentId: "agent-1", messages: [{ role: "user", content: "hello" }] };
const approval: SendMessageInput = {
  agentId: "agent-1",
  messages: [{ type: "approval", approvals: [{ approve: true, tool_call_id: "t-1" }] }],
};
const page = { connections: [], hasNextPage: false };
const deduplicates = { "x-message-deduplication": "86400" };
const mayRetry = { "x-should-retry": "true" };
const sent = respondWithJson(200, { success: true, message: "ok" });

type Respond = () => Response | Error;

function clientOver(...responses: readonly Respond[]) {
  const { fetch, seen } = scriptFetch(...responses);
  const posts = (): number => seen.filter(({ init }) => init.method === "POST").length;
  return { ...createClient({ ...base, fetch }), posts };
}

beforeEach(() => {
  createHandClock();
  installRandom(1);
});

describe("servers that have not announced deduplication", () => {
  test.each<[string, Respond]>([
    ["a broken connection", broken],
    ["a foreign 429", respondWithJson(429, {})],
    ["a foreign 429 that asks for a retry", respondWithJson(429, {}, mayRetry)],
    ["a foreign 502 that asks for a retry", respondWithJson(502, {}, mayRetry)],
    ["a foreign 503 that asks for a retry", respondWithJson(503, {}, mayRetry)],
    [
      "an upstream's 429 that a gateway passes on",
      respondWithProblem("upstream_error", { status: 429, retryable: true }),
    ],
    [
      "an upstream's 503 that a gateway passes on",
      respondWithProblem("upstream_error", { status: 503, retryable: true }),
    ],
    ["500", respondWithJson(500, {})],
    ["504 without an acknowledgement", respondWithProblem("delivery_unknown")],
    ["303, the response to a POST that was performed", respondWithJson(303, {})],
    ["a foreign 408 that asks for a retry", respondWithJson(408, {}, mayRetry)],
    ["a foreign 409 that asks for a retry", respondWithJson(409, {}, mayRetry)],
    ["a foreign 409", respondWithJson(409, { message: "a request with this id is in progress" })],
    ["a foreign 499", respondWithJson(499, {})],
    [
      "a problem that nothing was sent, which says otherwise in its delivery",
      respondWithProblem("upstream_timeout", { members: { delivery: "unknown" } }),
    ],
  ])(
    "the outcome of a send is unknown when the attempt to a server without deduplication ended with %s",
    async (_case, failure) => {
      for (const body of [hello, approval]) {
        const { environments, posts } = clientOver(failure, sent);
        const error = await catchError(environments.sendMessage("c-1", body));
        expect(error).toMatchObject({ retryable: false, outcome: "unknown" });
        expect(posts()).toBe(1);
      }
    },
  );

  test.each([400, 404, 410, 422, 307, 308])(
    "a foreign %i is a refusal even if the server does not deduplicate",
    async (status) => {
      const { environments, posts } = clientOver(respondWithJson(status, {}, mayRetry), sent);
      const error = await catchError(environments.sendMessage("c-1", hello));
      expect(error).toMatchObject({ retryable: false, outcome: "refused" });
      expect(posts()).toBe(1);
    },
  );

  test.each(["", "0", "-1", "yes", "true", "86400, 86400", "1e3", "Infinity", "0x10"])(
    "the header value %j does not announce deduplication",
    async (value) => {
      const list = respondWithJson(200, page, { "x-message-deduplication": value });
      const { environments, posts } = clientOver(list, broken, sent);
      await environments.list();
      expect(await catchError(environments.sendMessage("c-1", hello))).toMatchObject({ outcome: "unknown" });
      expect(posts()).toBe(1);
    },
  );
});

describe("problems whose code says that nothing was sent", () => {
  test.each([
    "rate_limited",
    "upstream_unreachable",
    "issuer_unavailable",
    "audit_unavailable",
    "idempotency_unavailable",
    "key_store_unavailable",
    "limits_unavailable",
    "overloaded",
    "shutting_down",
    "storage_unavailable",
  ] as const)("a send is repeated on every server after the problem code %s", async (code) => {
    for (const body of [hello, approval]) {
      const { environments, posts } = clientOver(respondWithProblem(code), sent);
      await expect(environments.sendMessage("c-1", body)).resolves.toMatchObject({ success: true });
      expect(posts()).toBe(2);
    }
  });

  test("x-should-retry: false prevents a repeat after such a problem, and the outcome is refused", async () => {
    const { environments, posts } = clientOver(respondWithProblem("shutting_down", { retryable: false }), sent);
    const error = await catchError(environments.sendMessage("c-1", hello));
    expect(error).toMatchObject({ retryable: false, outcome: "refused" });
    expect(posts()).toBe(1);
  });

  test("queue_full is refused without a repeat", async () => {
    const { environments, posts } = clientOver(respondWithProblem("queue_full"), sent);
    const error = await catchError(environments.sendMessage("c-1", hello));
    expect(error).toMatchObject({ retryable: false, outcome: "refused" });
    expect(posts()).toBe(1);
  });
});

describe("repeats once an earlier response carried x-message-deduplication", () => {
  const row = { ...createFakeServer().put({ deviceId: "d-1" }) };
  test.each<[string, Respond, (environments: ReturnType<typeof clientOver>["environments"]) => Promise<unknown>]>([
    ["a list", respondWithJson(200, page, deduplicates), (environments) => environments.list()],
    ["a single environment", respondWithJson(200, row, deduplicates), (environments) => environments.retrieve("d-1")],
    [
      "an error",
      respondWithJson(404, {}, deduplicates),
      (environments) => environments.retrieve("d-1").catch(() => null),
    ],
    [
      "a send",
      respondWithJson(200, { success: true, message: "ok" }, deduplicates),
      (environments) => environments.sendMessage("c-1", hello),
    ],
  ])(
    "a send is repeated after a broken connection if an earlier response announced deduplication: %s",
    async (_case, first, call) => {
      const { environments, posts } = clientOver(first, broken, sent);
      await call(environments);
      const before = posts();
      await expect(environments.sendMessage("c-1", hello)).resolves.toMatchObject({ success: true });
      expect(posts() - before).toBe(2);
    },
  );

  test("a send is repeated after a broken connection if one of its earlier attempts announced deduplication", async () => {
    const limited = respondWithJson(429, {}, deduplicates);
    const { environments, posts } = clientOver(limited, broken, sent);
    await expect(environments.sendMessage("c-1", hello)).resolves.toMatchObject({ success: true });
    expect(posts()).toBe(3);
  });

  test.each([
    [60_000, "unknown", 1],
    [29_000, "accepted", 2],
  ])(
    "a send is not repeated if the server may have forgotten the id before the end of the call: 30 s with a limit of %i ms",
    async (timeoutMs, outcome, expected) => {
      createHandClock(timeoutMs);
      const list = respondWithJson(200, page, { "x-message-deduplication": "30" });
      const { environments, posts } = clientOver(list, broken, sent);
      await environments.list({}, { timeoutMs });
      const result = await environments.sendMessage("c-1", hello, { timeoutMs }).catch((error: unknown) => error);
      expect(result).toMatchObject({ outcome });
      expect(posts()).toBe(expected);
    },
  );

  test.each([
    ["0", "unknown", 1],
    [undefined, "accepted", 2],
    ["yes", "accepted", 2],
  ])(
    "a later x-message-deduplication: 0 withdraws the announcement; a response without a number changes nothing: %s",
    async (value, outcome, expected) => {
      const later = respondWithJson(200, page, value === undefined ? {} : { "x-message-deduplication": value });
      const { environments, posts } = clientOver(respondWithJson(200, page, deduplicates), later, broken, sent);
      await environments.list();
      await environments.list();
      const result = await environments.sendMessage("c-1", hello).catch((error: unknown) => error);
      expect(result).toMatchObject({ outcome });
      expect(posts()).toBe(expected);
    },
  );

  test("a send with approvals is not repeated, because approvals have no ids", async () => {
    const { environments, posts } = clientOver(respondWithJson(200, page, deduplicates), broken, sent);
    await environments.list();
    const error = await catchError(environments.sendMessage("c-1", approval));
    expect(error).toMatchObject({ retryable: false, outcome: "unknown" });
    expect(posts()).toBe(1);
  });

  test("announced deduplication is not shared between transports", async () => {
    const { fetch } = scriptFetch(respondWithJson(200, page, deduplicates), broken, sent);
    await createClient({ ...base, fetch }).environments.list();
    const { environments } = createClient({ ...base, fetch });
    expect(await catchError(environments.sendMessage("c-1", hello))).toMatchObject({ outcome: "unknown" });
  });
});

describe("deduplication of the fake server", () => {
  test.each([
    [{}, "started"],
    [{ deduplicates: false }, "unknown"],
  ])("the fake server deduplicates messages unless an option turns it off: %j", async (options, outcome) => {
    const server = createFakeServer({ now: () => 1_800_000_000_000, ...options });
    server.put({ deviceId: "d-1" });
    const connectionId = server.connect("d-1");
    const { environments } = createClient({ ...base, fetch: server.fetch });
    await environments.list();
    server.interrupt(broken);
    const result = await environments.sendMessage(connectionId, hello).catch((error: unknown) => error);
    expect(result).toMatchObject({ outcome });
    expect(server.taken).toHaveLength(outcome === "started" ? 1 : 0);
  });

  test("the fake server without deduplication runs a repeated message again", async () => {
    const server = createFakeServer({ deduplicates: false });
    server.put({ deviceId: "d-1" });
    const connectionId = server.connect("d-1");
    const { environments } = createClient({ ...base, fetch: server.fetch });
    const body = { agentId: "a", messages: [{ role: "user" as const, content: "x", client_message_id: "m-1" }] };
    for (const attempt of [1, 2]) {
      expect(await environments.sendMessage(connectionId, body)).toMatchObject({ outcome: "started" });
      expect(server.taken).toHaveLength(attempt);
    }
  });
});
