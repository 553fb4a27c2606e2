import { expect, test } from "vitest";
import type { CacheStore } from "../src/index.ts";
import { createHarness, reply, textOf, url } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

test("a miss is fetched and stored, and the next request is answered without the origin", async () => {
  const { replies, requests, send } = createHarness();
  replies.push(reply(minute));
  const first = await send();
  const second = await send();
  expect([textOf(first), textOf(second), requests.length]).toEqual(["hello", "hello", 1]);
  expect(first.headers["cache-status"]).toBe("test; fwd=uri-miss; fwd-status=200; ttl=60; stored");
  expect(second.headers).toMatchObject({ "cache-status": "test; hit; ttl=60", age: "0" });
});

test("with a store in memory a hit is there at once, not as a promise", async () => {
  const { cache, replies, send } = createHarness();
  replies.push(reply(minute));
  await send();
  const answer = cache.handle({ method: "GET", url, headers: {} }, () => Promise.reject(new Error("asked")));
  expect(answer).toMatchObject({ status: 200, report: { outcome: "hit" } });
});

test("HEAD is answered from what GET stored", async () => {
  const { replies, requests, send } = createHarness();
  replies.push(reply(minute));
  await send();
  expect(await send({ method: "HEAD" })).toMatchObject({ status: 200, body: null });
  expect(requests).toHaveLength(1);
});

test("fields of a connection are neither stored nor passed on", async () => {
  const { replies, send } = createHarness();
  replies.push(reply({ ...minute, connection: "a, keep-alive", a: "1", "transfer-encoding": "chunked", b: "2" }));
  for (const { headers } of [await send(), await send()]) {
    expect(headers).toMatchObject({ b: "2" });
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["a"]));
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["connection"]));
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["transfer-encoding"]));
  }
});

test("fields that private names reach who asked, and nobody else", async () => {
  const { replies, send } = createHarness();
  replies.push(reply({ "cache-control": 'max-age=60, private="x-user"', "x-user": "ann" }));
  expect((await send()).headers["x-user"]).toBe("ann");
  expect((await send()).headers).not.toHaveProperty("x-user");
});

test("cookies are stored as they came, or left out where the policy says so", async () => {
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

test("only-if-cached without anything stored is 504 and asks nobody", async () => {
  const { requests, send } = createHarness();
  const answer = await send({ headers: { "cache-control": "only-if-cached" } });
  expect([answer.status, answer.headers["cache-status"], requests.length]).toEqual([
    504,
    "test; detail=only-if-cached",
    0,
  ]);
});

test("a request with no-store is neither answered from the store nor stored", async () => {
  const { replies, requests, send, store } = createHarness();
  replies.push(reply(minute));
  const answer = await send({ headers: { "cache-control": "no-store" } });
  expect(answer.headers["cache-status"]).toBe("test; fwd=bypass; fwd-status=200; detail=request-no-store");
  expect([store.entryCount, requests.length]).toEqual([0, 1]);
});

test("a body that is shorter or longer than announced, or too large, is passed on and not stored", async () => {
  for (const [headers, refusal] of [
    [{ ...minute, "content-length": "6" }, "incomplete"],
    [{ ...minute, "content-length": "4" }, "incomplete"],
    [{ ...minute, "content-length": "4", "content-encoding": "gzip" }, null],
    [{ ...minute, "content-length": "99999999" }, "too-large"],
  ] as const) {
    const { replies, send } = createHarness();
    replies.push(reply(headers));
    const answer = await send();
    expect([textOf(answer), answer.report.refusal]).toEqual(["hello", refusal]);
  }
  const { replies, send } = createHarness({ policy: { maxBodyBytes: 4 } });
  replies.push(reply(minute));
  expect((await send()).report.refusal).toBe("too-large");
});

test("206 and a client's own 304 are passed on and not stored", async () => {
  const { replies, send, store } = createHarness();
  replies.push(reply({ ...minute, "content-range": "bytes 0-4/10" }, "01234", 206), reply(minute, "", 304));
  expect((await send({ headers: { range: "bytes=0-4" } })).status).toBe(206);
  expect((await send({ headers: { "if-none-match": '"a"' } })).status).toBe(304);
  expect(store.entryCount).toBe(0);
});

test("a store that fails fails no request", async () => {
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
  const answer = await send();
  expect([textOf(answer), answer.report.refusal]).toEqual(["hello", "store-failed"]);
  await send({ method: "DELETE" });
  expect(failures).toEqual(["store-get", "store-put", "store-delete"]);
});

test("a name that is no token is refused, since it would break Cache-Status", () => {
  expect(() => createHarness({ name: "my cache" })).toThrow(TypeError);
});
