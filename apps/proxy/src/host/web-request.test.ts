import { createMemoryBudget } from "@letta-environments/environment-server";
import { expect, test } from "vitest";
import { createTestProxy } from "../../test/support/test-proxy.ts";
import { createBodyBudget } from "../http/body-memory.ts";
import { passedRequest, readWebBody, webGatewayRequest, webRequestTarget } from "./web-request.ts";

test("path and query are those of the URL unchanged, and the authority is plain or null", () => {
  const base = "https://gateway.example:8443";
  expect(webRequestTarget(`${base}/v1/../a%2F?b=1?c#d`)).toEqual({
    authority: base,
    path: "/v1/../a%2F",
    query: "b=1?c",
  });
  expect(webRequestTarget(base)).toEqual({ authority: base, path: "/", query: "" });
  expect(webRequestTarget(`${base}?a=1`)).toEqual({ authority: base, path: "/", query: "a=1" });
  expect(webRequestTarget("http://[::1]:1/x")).toEqual({ authority: "http://[::1]:1", path: "/x", query: "" });
  expect(webRequestTarget("http://user@host/x").authority).toBeNull();
});

type WebBody = Parameters<typeof readWebBody>[0];

const owner = { tenant: "default", keyId: "key-1" };
const atMost4 = { maxBytes: 4 };

interface Watched {
  readonly isCancelled: () => boolean;
}

function requestOf(chunks: readonly (string | Error)[], headers: Record<string, string> = {}): WebBody & Watched {
  const rest = [...chunks];
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = rest.shift();
      if (next === undefined) controller.close();
      else if (typeof next === "string") controller.enqueue(new TextEncoder().encode(next));
      else controller.error(next);
    },
    cancel: () => void (isCancelled = true),
  });
  return { body, headers: new Headers(headers), isCancelled: () => isCancelled };
}

test("a body of several chunks is read completely, and a request without a body is null", async () => {
  const bytes = await readWebBody(requestOf(["ab", "", "cd"]), atMost4);
  expect(bytes instanceof Uint8Array && new TextDecoder().decode(bytes)).toBe("abcd");
  expect(await readWebBody(requestOf([]), atMost4)).toBeNull();
  expect(await readWebBody({ body: null, headers: new Headers() }, atMost4)).toBeNull();
});

test("a body over the limit is cancelled, and a body with a Content-Length over the limit is not read", async () => {
  const growing = requestOf(["abc", "de", "never"]);
  expect([await readWebBody(growing, atMost4), growing.isCancelled()]).toEqual(["too_large", true]);
  const announced = requestOf(["abcde"], { "content-length": "5" });
  expect([await readWebBody(announced, atMost4), announced.isCancelled()]).toEqual(["too_large", true]);
});

test("a body over the memory limit is cancelled, and a body that has ended uses no memory", async () => {
  const budget = createBodyBudget(createMemoryBudget, { maxOwnerBytes: 2_000, maxTotalBytes: 2_000 });
  const limits = { maxBytes: 4_000, memory: { budget, owner } };
  const growing = requestOf(["x".repeat(1_000), "x".repeat(1_000), "never"]);
  expect([await readWebBody(growing, limits), growing.isCancelled()]).toEqual(["no_room", true]);
  const announced = requestOf(["x".repeat(1_400)], { "content-length": "1400" });
  expect(await readWebBody(announced, limits)).toHaveLength(1_400);
  expect(budget.unfinished.totalBytes).toBe(0);
});

test("a body counts until its stream ends, with all the bytes that it declares", async () => {
  const budget = createBodyBudget(createMemoryBudget, { maxOwnerBytes: 2_000, maxTotalBytes: 2_000 });
  const withheld = () => new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1_000)) });
  const headers = new Headers({ "content-length": "1000" });
  const reading = () => readWebBody({ body: withheld(), headers }, { maxBytes: 4_000, memory: { budget, owner } });
  const first = reading();
  await expect.poll(() => budget.unfinished.totalBytes).toBeGreaterThan(1_000);
  expect(await Promise.race([first, reading()])).toBe("no_room");
});

test("a body that is waiting for its client is dropped when others need the memory", async () => {
  const budget = createBodyBudget(createMemoryBudget, { maxOwnerBytes: 2_000, maxTotalBytes: 2_000 });
  const memory = { budget, owner };
  let isCancelled = false;
  const waiting = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(1_000)),
    cancel: () => void (isCancelled = true),
  });
  const reading = readWebBody({ body: waiting, headers: new Headers() }, { maxBytes: 4_000, memory });
  const other = readWebBody(requestOf(["x".repeat(400)]), { maxBytes: 4_000, memory });
  expect([await reading, isCancelled]).toEqual(["no_room", true]);
  expect(await other).toHaveLength(400);
});

test("a body that was dropped for lack of memory does not count as aborted, even if its stream fails afterwards", async () => {
  const budget = createBodyBudget(createMemoryBudget, { maxOwnerBytes: 2_000, maxTotalBytes: 2_000 });
  const sources: ReadableStreamDefaultController<Uint8Array>[] = [];
  const body = new ReadableStream<Uint8Array>({ start: (controller) => void sources.push(controller) });
  const memory = { budget, owner: "operator" } as const;
  const reading = readWebBody({ body, headers: new Headers() }, { maxBytes: 4_000, memory });
  sources[0]?.enqueue(new Uint8Array(1_000));
  await expect.poll(() => budget.unfinished.totalBytes).toBeGreaterThan(1_000);
  sources[0]?.error(new Error("reset"));
  budget.unfinished.resize(
    budget.unfinished.open({ tenant: "operator", keyId: "" }, () => undefined),
    600,
  );
  expect(await reading).toBe("no_room");
});

const readers: readonly (readonly [by: string, read: (body: Request) => unknown])[] = [
  ["is being read", (request) => request.body?.getReader()],
  ["was read", (request) => request.text()],
  [
    "was read, and released,",
    async ({ body }) => {
      const reader = body?.getReader();
      while ((await reader?.read())?.done === false);
      reader?.releaseLock();
    },
  ],
];
test.each(readers)(
  "a body that %s before the gateway is 500 with its cause in the log, and does not count as a client disconnect",
  async (_how, read) => {
    const { proxy, issueKey, events } = createTestProxy();
    const { key } = await issueKey();
    const sent = JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m-1" }] });
    const request = new Request("https://gateway.example/v1/environments/c/messages", {
      ...{ method: "POST", body: sent },
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    });
    await read(request);
    expect((await proxy.handle(webGatewayRequest(request, null))).status).toBe(500);
    const failures = events.flatMap((event) => (event.type === "internal_error" ? [String(event.cause)] : []));
    expect(failures).toEqual([expect.stringContaining("was read before it reached the gateway")]);
  },
);

test("a body that ends early is aborted", async () => {
  expect(await readWebBody(requestOf(["ab", new Error("reset")]), atMost4)).toBe("aborted");
});

function readSent(text: string, contentLength: number): Promise<unknown> {
  const body = new ReadableStream({
    start(controller) {
      if (text !== "") controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
  const headers = { "content-length": String(contentLength) };
  const init = { method: "POST", headers, body, duplex: "half" } as const;
  return passedRequest(new Request("https://app.example/letta/x", init), null, "/letta").readBody({ maxBytes: 4 });
}

test("a body that is empty despite its Content-Length was consumed before the gateway, as by a body parser of Express or Fastify", async () => {
  await expect(readSent("", 3)).rejects.toThrow("was read before it reached the gateway");
  expect(await readSent("", 0)).toBeNull();
});

test("a body that the program has rewritten is read whole, whatever its Content-Length says", async () => {
  expect(await readSent("ab", 3)).toEqual(new TextEncoder().encode("ab"));
  expect(await readSent("abc", 3)).toEqual(new TextEncoder().encode("abc"));
  expect(await readSent("abcde", 5)).toBe("too_large");
});
