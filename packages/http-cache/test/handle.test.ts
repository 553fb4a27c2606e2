import { expect, test } from "vitest";
import type { CacheStore } from "../src/index.ts";
import { entryOf } from "./entry.ts";
import { createHarness, reply, textOf, url } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

test("a miss is fetched and stored, and the next request is served from the store", async () => {
  const { replies, requests, send } = createHarness();
  replies.push(reply(minute));
  const first = await send();
  const second = await send();
  expect([textOf(first), textOf(second), requests.length]).toEqual(["hello", "hello", 1]);
  expect(first.headers["cache-status"]).toBe("test; fwd=uri-miss; fwd-status=200; ttl=60; stored");
  expect(second.headers).toMatchObject({ "cache-status": "test; hit; ttl=60", age: "0" });
});

test("a hit in a memory store returns a plain value, not a promise", async () => {
  const { cache, replies, send } = createHarness();
  replies.push(reply(minute));
  await send();
  const response = cache.handle({ method: "GET", url, headers: {} }, () => Promise.reject(new Error("forwarded")));
  expect(response).toMatchObject({ status: 200, report: { outcome: "hit" } });
});

test("HEAD is served from the stored GET response", async () => {
  const { replies, requests, send } = createHarness();
  replies.push(reply(minute));
  await send();
  expect(await send({ method: "HEAD" })).toMatchObject({ status: 200, body: null });
  expect(requests).toHaveLength(1);
});

test("connection fields are neither stored nor passed on", async () => {
  const { replies, send } = createHarness();
  replies.push(reply({ ...minute, connection: "a, keep-alive", a: "1", "transfer-encoding": "chunked", b: "2" }));
  for (const { headers } of [await send(), await send()]) {
    expect(headers).toMatchObject({ b: "2" });
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["a"]));
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["connection"]));
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["transfer-encoding"]));
  }
});

test("fields named by private reach only the client that requested them", async () => {
  const { replies, send } = createHarness();
  replies.push(reply({ "cache-control": 'max-age=60, private="x-user"', "x-user": "ann" }));
  expect((await send()).headers["x-user"]).toBe("ann");
  expect((await send()).headers).not.toHaveProperty("x-user");
});

test("cookies are stored unchanged, or omitted if the policy says so", async () => {
  for (const [setCookie, expected] of [
    ["store", "a=1\nb=2"],
    ["omit", undefined],
  ] as const) {
    const { replies, send } = createHarness({ policy: { setCookie } });
    replies.push(reply({ ...minute, "set-cookie": "a=1\nb=2" }));
    expect((await send()).headers["set-cookie"]).toBe("a=1\nb=2");
    expect((await send()).headers["set-cookie"]).toBe(expected);
  }
});

test.each([
  ["no-store", { "cache-control": "no-store, only-if-cached" }],
  ["a precondition", { "cache-control": "only-if-cached", "if-match": '"a"' }],
])("only-if-cached sends nothing to the origin, even with %s", async (_case, headers) => {
  const { requests, send } = createHarness();
  expect((await send({ headers })).status).toBe(504);
  expect(requests).toHaveLength(0);
});

test("only-if-cached without a stored response is 504 and sends nothing to the origin", async () => {
  const { requests, send } = createHarness();
  const response = await send({ headers: { "cache-control": "only-if-cached" } });
  expect([response.status, response.headers["cache-status"], requests.length]).toEqual([
    504,
    "test; detail=only-if-cached",
    0,
  ]);
});

test("a request with no-store is neither served from the store nor stored", async () => {
  const { replies, requests, send, store } = createHarness();
  replies.push(reply(minute));
  const response = await send({ headers: { "cache-control": "no-store" } });
  expect(response.headers["cache-status"]).toBe("test; fwd=bypass; fwd-status=200; detail=request-no-store");
  expect([store.entryCount, requests.length]).toEqual([0, 1]);
});

test("a body that is shorter or longer than its Content-Length, or too large, is passed on and not stored", async () => {
  for (const [headers, refusal] of [
    [{ ...minute, "content-length": "6" }, "incomplete"],
    [{ ...minute, "content-length": "4" }, "incomplete"],
    [{ ...minute, "content-length": "6", "content-encoding": "gzip" }, "incomplete"],
    [{ ...minute, "content-length": "5", "content-encoding": "gzip" }, null],
    // Several lines of a field are joined. Equal lengths are one (RFC 9110, 8.6).
    [{ ...minute, "content-length": "5, 5" }, null],
    [{ ...minute, "content-length": " 5 " }, null],
    [{ ...minute, "content-length": "6, 6" }, "incomplete"],
    [{ ...minute, "content-length": "5, 6" }, "incomplete"],
    [{ ...minute, "content-length": " 6" }, "incomplete"],
    [{ ...minute, "content-length": "+5" }, "incomplete"],
    [{ ...minute, "content-length": "" }, "incomplete"],
    [{ ...minute, "content-length": "99999999" }, "too-large"],
  ] as const) {
    const { replies, send } = createHarness();
    replies.push(reply(headers));
    const response = await send();
    expect([textOf(response), response.report.refusal]).toEqual(["hello", refusal]);
  }
  const decoded = createHarness();
  decoded.replies.push({
    ...reply({ ...minute, "content-length": "25", "content-encoding": "gzip" }),
    isDecoded: true,
  });
  expect((await decoded.send()).report.refusal).toBe(null);
  const { replies, send } = createHarness({ policy: { maxBodyBytes: 4 } });
  replies.push(reply(minute));
  expect((await send()).report.refusal).toBe("too-large");
});

test("no range is served from an incomplete body, whose length is not the complete length", async () => {
  const { clock, replies, send } = createHarness();
  replies.push(reply({ ...minute, etag: '"1"' }), reply({ ...minute, "content-length": "10" }, "abc"));
  await send();
  await clock.advance(61_000);
  const response = await send({ headers: { range: "bytes=0-1" } });
  expect([response.status, textOf(response), response.report.refusal]).toEqual([200, "abc", "incomplete"]);
  expect(response.headers).toMatchObject({ "content-length": "10" });
  expect(response.headers).not.toHaveProperty("content-range");
});

test("206 and a client's own 304 are passed on and not stored", async () => {
  const { replies, send, store } = createHarness();
  replies.push(reply({ ...minute, "content-range": "bytes 0-4/10" }, "01234", 206), reply(minute, "", 304));
  expect((await send({ headers: { range: "bytes=0-4" } })).status).toBe(206);
  expect((await send({ headers: { "if-none-match": '"a"' } })).status).toBe(304);
  expect(store.entryCount).toBe(0);
});

test("a failing store does not fail requests", async () => {
  const broken: CacheStore = {
    get: () => {
      throw new Error("get");
    },
    put: () => Promise.reject(new Error("put")),
    delete: () => Promise.reject(new Error("delete")),
    deleteGroup: () => undefined,
  };
  const { replies, send, failures } = createHarness({ store: broken });
  replies.push(reply(minute));
  const response = await send();
  expect([textOf(response), response.report.refusal]).toEqual(["hello", "store-failed"]);
  await send({ method: "DELETE" });
  expect(failures).toEqual(["store-get", "store-put", "store-delete"]);
});

const entry = entryOf(createHarness().clock.now(), { headers: {} });

test.each([
  ["undefined", undefined],
  ["null", null],
  ["an entry without members", [{}]],
  ["an entry without fields", [{ status: 200 }]],
  ["an entry without a status", [{ ...entry, status: undefined }]],
  ["an entry without header fields", [{ ...entry, headers: undefined }]],
  ["a stale entry without header fields", [{ ...entry, headers: null, freshForMs: 0 }]],
  ["an entry without a body", [{ ...entry, body: undefined }]],
  ["an entry whose body JSON has changed", [{ ...entry, body: JSON.parse(JSON.stringify(entry.body)) }]],
])("a store that returns %s, for example from another version, counts as failed and as a miss", async (_, found) => {
  for (const get of [() => found as never, () => Promise.resolve(found as never)]) {
    const { store, clock } = createHarness();
    const { cache, replies, send, failures } = createHarness({ clock, store: Object.assign(store, { get }) });
    replies.push(reply(minute));
    const response = await send();
    expect([textOf(response), response.headers["cache-status"]]).toEqual([
      "hello",
      "test; fwd=uri-miss; fwd-status=200; ttl=60; stored",
    ]);
    const times = { requestedAtMs: clock.now(), receivedAtMs: clock.now() };
    expect(await cache.store({ method: "GET", url, headers: {} }, reply(minute), times)).toBe(null);
    expect(failures).toEqual(["store-get", "store-get"]);
  }
});

test("a cache name that is not a token throws, since it would break Cache-Status", () => {
  expect(() => createHarness({ name: "my cache" })).toThrow(TypeError);
});
