import { expect, test } from "vitest";
import { type CacheMiddleware, createCacheMiddleware } from "../src/rfc9111.ts";
import { createHarness, deferred, reply, textOf, url } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

test("a successful unsafe request invalidates all variants of its target; an error or a safe request does not", async () => {
  for (const [method, status, isForgotten] of [
    ["POST", 200, true],
    ["PUT", 201, true],
    ["DELETE", 204, true],
    ["M-SEARCH", 302, true],
    ["POST", 400, false],
    ["POST", 500, false],
    ["OPTIONS", 200, false],
  ] as const) {
    const { replies, send, store } = createHarness();
    replies.push(reply({ ...minute, vary: "foo" }), reply({ ...minute, vary: "foo" }), reply({}, "", status));
    await send({ headers: { foo: "1" } });
    await send({ headers: { foo: "2" } });
    expect((await send({ method })).headers["cache-status"]).toBe(
      `test; fwd=method; fwd-status=${status}; detail=method`,
    );
    expect(store.entryCount).toBe(isForgotten ? 0 : 2);
  }
});

test("Location and Content-Location are invalidated at the same origin only", async () => {
  const { replies, send, store } = createHarness();
  const urls = ["/b", "/c?x=1", "/d"].map((path) => new URL(path, url).href);
  replies.push(reply(minute));
  for (const other of [...urls, "https://other.test/e"]) await send({ url: other });
  replies[0] = reply({ location: "b#top", "content-location": "https://example.test/c?x=1" }, "", 201);
  await send({ method: "POST" });
  replies[0] = reply({ location: "https://other.test/e", "content-location": "http://[" }, "", 201);
  await send({ method: "POST" });
  expect(store.entryCount).toBe(2);
});

test("invalidation stays in the partition of the request", async () => {
  const { replies, send } = createHarness();
  replies.push(reply(minute), reply(minute), reply({}, "", 200));
  await send({ partition: ["a"] });
  await send({ partition: ["b"] });
  await send({ method: "POST", partition: ["a"] });
  const outcomes = [await send({ partition: ["b"] }), await send({ partition: ["a"] })].map(
    ({ report }) => report.outcome,
  );
  expect(outcomes).toEqual(["hit", "fetched"]);
});

test("Cache-Group-Invalidation deletes the group's responses at the same origin, and only after a successful unsafe request", async () => {
  const { replies, send, store } = createHarness();
  const grouped = reply({ ...minute, "cache-groups": '"list", "d;1"' });
  replies.push(grouped);
  for (const other of [url, "https://example.test/b", "https://other.test/a"]) await send({ url: other });
  await send({ url: "https://example.test/c", partition: ["t"] });
  const invalidating = { "cache-group-invalidation": '"list";x=1, "unknown"' };
  replies[0] = reply(invalidating);
  await send({ url: "https://example.test/safe" });
  replies[0] = reply(invalidating, "", 500);
  await send({ url: "https://example.test/send", method: "POST" });
  replies[0] = reply({ "cache-group-invalidation": "list" });
  await send({ url: "https://example.test/send", method: "POST" });
  expect(store.entryCount).toBe(4);
  replies[0] = reply(invalidating);
  await send({ url: "https://example.test/send", method: "POST" });
  expect(store.entryCount).toBe(2);
});

test("a response requested before an invalidation is not stored after it", async () => {
  const { cache, replies, requests, send, store } = createHarness();
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  replies.push(
    async () => {
      await gate;
      return reply({ ...minute, "cache-groups": '"g"' }, "old");
    },
    reply({}, "", 204),
  );
  const slow = send();
  const other = send({ url: "https://example.test/other" });
  await other;
  await cache.invalidate({ url });
  release();
  expect((await slow).report.refusal).toBe("outdated");
  expect([store.entryCount, requests.length]).toEqual([0, 2]);
});

test("a POST response with the target as Content-Location serves GET", async () => {
  const { replies, requests, send } = createHarness();
  replies.push(reply({ ...minute, "content-location": "/a" }, "made"));
  expect((await send({ method: "POST" })).headers["cache-status"]).toBe(
    "test; fwd=method; fwd-status=200; ttl=60; stored",
  );
  expect([textOf(await send()), requests.length]).toEqual(["made", 1]);
});

test("a HEAD response updates the stored GET response that it agrees with", async () => {
  const { clock, replies, send, requests } = createHarness();
  replies.push(
    reply({ ...minute, etag: '"a"', "x-a": "1", "x-b": "1" }),
    reply({ ...minute, etag: '"a"', "x-a": "2", "content-length": "5" }, ""),
  );
  await send();
  await clock.advance(61_000);
  await send({ method: "HEAD" });
  const response = await send();
  expect([textOf(response), response.headers["x-a"], response.headers["x-b"], requests.length]).toEqual([
    "hello",
    "2",
    "1",
    2,
  ]);
});

test.each([
  ["ETag", { etag: '"a"' }],
  ["Last-Modified", { "last-modified": "Fri, 01 Jan 2027 00:00:00 GMT" }],
  ["any validator", {}],
])("a HEAD response without validator does not refresh a stored response with %s", async (_name, stored) => {
  for (const head of [minute, { ...minute, "content-length": "5" }]) {
    const { clock, replies, send, requests } = createHarness();
    replies.push(reply({ ...minute, ...stored }, "one 1"), reply(head, ""), reply(minute, "two 2"));
    await send();
    await clock.advance(59_000);
    await send({ method: "HEAD", headers: { "cache-control": "no-cache" } });
    // The origin has not said that the stored response is outdated.
    expect(textOf(await send())).toBe("one 1");
    await clock.advance(2_000);
    expect([textOf(await send()), requests.length]).toEqual(["two 2", 3]);
  }
});

test("a HEAD response of the target of a redirect does not refresh the stored GET response of the URL that redirects", async () => {
  const { clock, replies, send } = createHarness();
  const [minute, hour] = ["max-age=60", "max-age=3600"].map((value) => ({ "cache-control": value, etag: '"1"' }));
  replies.push(reply(minute, "v1"), { ...reply(hour, ""), isRedirected: true }, reply(minute, "v2"));
  await send();
  await clock.advance(61_000);
  await send({ method: "HEAD" });
  expect(textOf(await send())).toBe("v2");
});

test("a HEAD response that disagrees invalidates the stored GET response; an error does not", async () => {
  for (const [head, count] of [
    [reply({ ...minute, etag: '"b"' }, ""), 0],
    [reply({ ...minute, "content-length": "7" }, ""), 0],
    [reply({ ...minute, "last-modified": "Fri, 01 Jan 2027 00:00:00 GMT" }, ""), 0],
    [reply({ "cache-control": "no-store" }, ""), 0],
    [reply(minute, "", 410), 0],
    [reply({}, "", 500), 1],
    [reply({}, "", 403), 1],
  ] as const) {
    const { clock, replies, send, store } = createHarness();
    replies.push(reply({ ...minute, etag: '"a"' }), head);
    await send();
    await clock.advance(61_000);
    await send({ method: "HEAD" });
    expect(store.entryCount).toBe(count);
  }
});

test("after an invalidation overtakes a validation, one of the waiting requests fetches for the others", async () => {
  const { cache, clock, replies, requests, send } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }, "old"));
  await send();
  await clock.advance(61_000);
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  replies.length = 0;
  replies.push(
    async () => {
      await gate;
      return reply({ ...minute, etag: '"a"' }, "", 304);
    },
    reply(minute, "new"),
  );
  const all = [send(), send(), send()];
  await clock.advance(0);
  await cache.invalidate({ url });
  release();
  const [first, ...others] = await Promise.all(all);
  expect([first?.report.outcome, first?.report.refusal]).toEqual(["revalidated", "outdated"]);
  expect([others.map(textOf), requests.length]).toEqual([["new", "new"], 3]);
});

test("a POST response requested before an invalidation is not stored for GET", async () => {
  const { cache, clock, replies, send, store } = createHarness();
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  replies.push(async () => {
    await gate;
    return reply({ ...minute, "content-location": "/a" }, "made");
  });
  const sent = send({ method: "POST" });
  await clock.advance(0);
  await cache.invalidate({ url });
  release();
  expect([(await sent).report.refusal, store.entryCount]).toEqual(["outdated", 0]);
});

const target = { url, partition: ["tenant"] };

test.each<[string, (cached: CacheMiddleware) => Promise<void>]>([
  ["a URL", (cached) => cached.invalidate(target)],
  [
    "a URL in another spelling",
    (cached) => cached.invalidate({ ...target, url: "HTTPS://example.test:443/b/../a#top" }),
  ],
  ["a group", (cached) => cached.invalidateGroup({ ...target, url: "https://example.test" }, "products")],
])("the middleware invalidates %s, including a response that is in flight", async (_, invalidate) => {
  const cached = createCacheMiddleware({ partition: () => ["tenant"] });
  const headers = { ...minute, "cache-groups": '"products"' };
  const read = async (next: () => Response | Promise<Response>): Promise<string> =>
    (await cached(new Request(url), next)).text();
  const slow = deferred<Response>();
  const first = read(() => slow.promise);
  await invalidate(cached);
  slow.resolve(new Response("before", { headers }));
  expect(await first).toBe("before");
  expect(await read(() => new Response("after", { headers }))).toBe("after");
  expect(await read(() => new Response("not asked"))).toBe("after");
  await invalidate(cached);
  expect(await read(() => new Response("last", { headers }))).toBe("last");
});

test("the middleware invalidates only the given partition, and rejects a URL that is not absolute", async () => {
  const cached = createCacheMiddleware({ partition: () => ["tenant"] });
  const headers = { ...minute, "cache-groups": '"products"' };
  const read = async (): Promise<string | null> =>
    (await cached(new Request(url), () => new Response("text", { headers }))).headers.get("cache-status");
  await read();
  for (const partition of [[], ["other"]]) {
    await cached.invalidate({ url, partition });
    await cached.invalidateGroup({ url, partition }, "products");
  }
  expect(await read()).toContain("hit");
  await expect(cached.invalidate({ url: "/a" })).rejects.toThrow(TypeError);
  await expect(cached.invalidateGroup({ url: "/a" }, "products")).rejects.toThrow(TypeError);
  await expect(createHarness().cache.invalidateGroup({ url: "/a" }, "products")).rejects.toThrow(TypeError);
});
