/** Platforms that lack a part of the web platform, or have only a polyfill of it. */
import { Readable } from "node:stream";
import { createVirtualClock } from "@letta-environments/testkit";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createClient, type Fetch, type TransportEvent, type TransportOptions } from "../src/index.ts";
import { createFakeServer, respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { installClock, installRandom } from "./install-clock.ts";
import { base, clientOver, hello, page } from "./scripted-fetch.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

/** A response as polyfills of `fetch` have it, with a body of another kind or none. */
function withBody(response: Response, body: unknown): Response {
  const { status, ok, headers } = response;
  const read = { text: () => response.text(), clone: () => withBody(response.clone(), body) };
  return Object.assign(Object.create(null), { status, ok, headers, ...read, ...(body !== undefined && { body }) });
}

/** A device that takes messages, behind a `fetch` whose responses have another body. */
function setUp(bodyOf: (response: Response) => unknown, more: Partial<TransportOptions> = {}) {
  const server = createFakeServer({ events: true });
  server.put({ deviceId: "d-1", connectionName: "box" });
  const connectionId = server.connect("d-1");
  const fetch: Fetch = async (url, init) => {
    const response = await server.fetch(url, init);
    return withBody(response, bodyOf(response));
  };
  return { server, connectionId, environments: createClient({ ...base, fetch, ...more }).environments };
}

/** As over XMLHttpRequest: `fetch` resolves when the whole body has arrived, and a stream of events has no end. */
function setUpWhole(listed: () => Response) {
  let streams = 0;
  const fetch: Fetch = async (url, { signal }) => {
    if (!url.includes("/events")) return listed();
    streams += 1;
    return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(new TypeError("aborted"))));
  };
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.5);
  const { environments } = createClient({ ...base, fetch });
  return { clock, environments, streams: () => streams };
}

describe("platforms whose fetch buffers bodies", () => {
  test("event streams over a fetch that buffers bodies are given up after two time limits", async () => {
    const { clock, environments, streams } = setUpWhole(respondWithJson(200, {}));
    const failure = catchError(environments.events({ timeoutMs: 10_000 }).next());
    await clock.advance(30_000);
    expect([await failure, streams()]).toEqual([expect.objectContaining({ code: "timeout" }), 2]);
    expect(clock.timerCount).toBe(0);
  });

  test("watch only polls over a fetch that buffers bodies", async () => {
    let lists = 0;
    const { clock, environments, streams } = setUpWhole(() => {
      lists += 1;
      return respondWithJson(200, { connections: [], hasNextPage: false })();
    });
    const events = environments.watch({}, { timeoutMs: 10_000 });
    const next = events.next();
    await clock.advance(100_000);
    expect(streams()).toBe(2);
    const before = lists;
    await clock.advance(60_000);
    expect(lists - before).toBeGreaterThan(8);
    await events.return();
    await next;
    expect(clock.timerCount).toBe(0);
  });
});

const body = { agentId: "agent-1", ...hello };

describe.each<[string, () => unknown]>([
  ["no body", () => undefined],
  ["a stream of Node.js as body", () => Readable.from([])],
])("responses with %s", (_case, bodyOf) => {
  test("responses without a readable body are read as text, and a message is sent once with a clear outcome", async () => {
    const { environments, server, connectionId } = setUp(bodyOf);
    expect((await environments.list()).connections).toHaveLength(1);
    expect(await environments.sendMessage(connectionId, body)).toMatchObject({ outcome: "started" });
    expect(server.taken).toHaveLength(1);
  });

  test("responses without a readable body are refused if they are too large", async () => {
    const { environments } = setUp(bodyOf, { maxResponseBytes: 20 });
    expect(await catchError(environments.list())).toMatchObject({ code: "response_too_large" });
  });

  test("responses without a readable body still provide the reason of an error", async () => {
    const { environments, server, connectionId } = setUp(bodyOf);
    server.interrupt(respondWithProblem("queue_full"));
    const error = await catchError(environments.sendMessage(connectionId, body));
    expect(error).toMatchObject({ code: "queue_full", outcome: "refused" });
  });

  test("responses without a readable body may be redirects, which are not followed", async () => {
    const { environments, server, connectionId } = setUp(bodyOf);
    server.interrupt(() => new Response("moved", { status: 307, headers: { location: "/elsewhere" } }));
    const error = await catchError(environments.sendMessage(connectionId, body));
    expect(error).toMatchObject({ code: "redirected", outcome: "refused" });
  });

  test("responses without a readable body cannot be event streams, and the error says so", async () => {
    const { environments } = setUp(bodyOf);
    expect(await catchError(environments.events().next())).toMatchObject({
      code: "invalid_response",
      message: "invalid response: this fetch returns no stream",
    });
  });
});

test("signals of a polyfill have neither a reason nor throwIfAborted", async () => {
  class Signal extends EventTarget {
    aborted = false;
  }
  class Controller {
    readonly signal = new Signal();
    abort(): void {
      this.signal.aborted = true;
      this.signal.dispatchEvent(new Event("abort"));
    }
  }
  vi.stubGlobal("AbortController", Controller);
  const server = createFakeServer();
  server.put({ deviceId: "d-1" });
  const connectionId = server.connect("d-1");
  const { environments } = createClient({ ...base, fetch: server.fetch });
  expect((await environments.list()).connections).toHaveLength(1);
  expect(await environments.sendMessage(connectionId, body)).toMatchObject({ outcome: "started" });
  expect(await environments.messages.wait(connectionId, "none").catch(({ code }) => code)).toBe("message_not_found");
});

describe("platforms without fetch", () => {
  test("a call without fetch fails immediately, says what is missing, and has sent nothing", async () => {
    vi.stubGlobal("fetch", undefined);
    const events: TransportEvent["type"][] = [];
    const { environments } = createClient({ ...base, onEvent: ({ type }) => events.push(type) });
    const expected = { code: "invalid_argument", message: "fetch is missing on this platform: pass the option fetch" };
    expect(await catchError(environments.list())).toMatchObject({ ...expected, retryable: false });
    expect(events).toEqual(["start", "end"]);
    expect(await catchError(environments.sendMessage("c-1", body))).toMatchObject({ ...expected, outcome: "refused" });
  });

  test("middleware can respond where there is no fetch", async () => {
    vi.stubGlobal("fetch", undefined);
    const { environments } = createClient({ ...base, middleware: async () => respondWithJson(200, page)() });
    expect(await environments.list()).toEqual(page);
  });
});

describe("platforms without crypto or TextEncoder", () => {
  test("a send without crypto fails with an error that says what to do, and messages with ids are sent", async () => {
    vi.stubGlobal("crypto", undefined);
    const { environments, server, connectionId } = setUp(({ body: stream }) => stream);
    const send = (more: object) =>
      environments.sendMessage(connectionId, { agentId: "a", messages: [{ role: "user", content: "x", ...more }] });
    expect(await catchError(send({}))).toMatchObject({
      code: "invalid_argument",
      message: "crypto is missing on this platform: give each message a client_message_id",
      outcome: "refused",
    });
    expect(server.taken).toHaveLength(0);
    expect(await send({ client_message_id: "m-1" })).toMatchObject({ outcome: "started" });
  });

  test("a long body is measured without TextEncoder", async () => {
    vi.stubGlobal("TextEncoder", undefined);
    const { environments, connectionId } = setUp(({ body: stream }) => stream);
    const send = (length: number) =>
      environments.sendMessage(connectionId, {
        agentId: "a",
        messages: [{ role: "user", content: "\u20ac".repeat(length), client_message_id: "m-1" }],
      });
    expect(await send(300_000)).toMatchObject({ outcome: "started" });
    expect(await catchError(send(350_000))).toMatchObject({ message: "body must be at most 1 MiB" });
  });
});

test("an address is checked without URL.canParse", async () => {
  class OldUrl extends URL {}
  Object.assign(OldUrl, { canParse: undefined });
  vi.stubGlobal("URL", OldUrl);
  expect(await clientOver(scriptFetch(respondWithJson(200, page))).list()).toEqual(page);
  expect(() => createClient({ ...base, baseUrl: "gateway.example" })).toThrow("baseUrl must be an https: URL");
});

test("a query is sent without URLSearchParams.size", async () => {
  class OldParameters extends URLSearchParams {}
  Object.defineProperty(OldParameters.prototype, "size", { value: undefined });
  vi.stubGlobal("URLSearchParams", OldParameters);
  const script = scriptFetch(respondWithJson(200, page));
  await clientOver(script).list({ limit: 5 });
  expect(script.seen[0]?.url).toBe(`${base.baseUrl}/v1/environments?limit=5`);
});

test("the client, its fake server and the schemas load without TextDecoder and TextEncoder", async () => {
  vi.stubGlobal("TextDecoder", undefined);
  vi.stubGlobal("TextEncoder", undefined);
  vi.resetModules();
  expect(await import("../src/testing/index.ts")).toHaveProperty("createFakeServer");
  expect(await import("../src/index.ts")).toHaveProperty("createClient");
  expect(await import("@letta-environments/schema")).toHaveProperty("decodeBody");
});
