import { expect, test } from "vitest";
import type { CacheStore } from "../src/index.ts";
import type { CacheRequest } from "../src/rfc9111.ts";
import { createHarness, type Harness, type Reply, reply, textOf } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

/** Makes the origin wait until the returned function is called. */
function gate(harness: Harness, ...replies: Reply[]): () => void {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  for (const each of replies) {
    harness.replies.push(async (request) => {
      await opened;
      if (each instanceof Error) throw each;
      return typeof each === "function" ? each(request) : each;
    });
  }
  return open;
}

function sendMany(harness: Harness, count: number, request: (index: number) => Partial<CacheRequest> = () => ({})) {
  return Promise.allSettled(Array.from({ length: count }, (_, index) => harness.send(request(index))));
}

function texts(results: Awaited<ReturnType<typeof sendMany>>): string[] {
  return results.map((result) => (result.status === "fulfilled" ? textOf(result.value) : "rejected"));
}

test("50 concurrent misses make one request to the origin", async () => {
  const harness = createHarness();
  const open = gate(harness, reply(minute));
  const all = sendMany(harness, 50);
  open();
  expect(texts(await all)).toEqual(Array(50).fill("hello"));
  expect(harness.requests).toHaveLength(1);
  const last = (await all).at(-1);
  expect(last?.status === "fulfilled" && last.value.headers["cache-status"]).toBe(
    "test; fwd=uri-miss; ttl=60; collapsed",
  );
});

test("50 requests for one stale response make one validation", async () => {
  const harness = createHarness();
  harness.replies.push(reply({ ...minute, etag: '"a"' }));
  await harness.send();
  await harness.clock.advance(61_000);
  harness.replies.length = 0;
  const open = gate(harness, reply({ ...minute, etag: '"a"' }, "", 304));
  const all = sendMany(harness, 50);
  open();
  expect(texts(await all)).toEqual(Array(50).fill("hello"));
  expect(harness.requests).toHaveLength(2);
});

test("a failed leader does not fail its followers: one of them takes over", async () => {
  const harness = createHarness();
  const open = gate(harness, new Error("reset"), reply(minute));
  const all = sendMany(harness, 50);
  open();
  expect(texts(await all)).toEqual(["rejected", ...Array(49).fill("hello")]);
  expect(harness.requests).toHaveLength(2);
});

test("after a second leader fails, the remaining requests fetch on their own without waiting", async () => {
  const harness = createHarness();
  const open = gate(harness, new Error("reset"), new Error("reset"), reply({}, "down", 503));
  const all = sendMany(harness, 10);
  open();
  expect(texts(await all)).toEqual(["rejected", "rejected", ...Array(8).fill("down")]);
});

test("a leader whose client disconnects hands over without waiting for the origin", async () => {
  const harness = createHarness();
  const never = new Promise<never>(() => undefined);
  harness.replies.push(() => never, reply(minute));
  const client = new AbortController();
  void harness.send({}, client.signal);
  const followers = sendMany(harness, 5);
  await harness.clock.advance(0);
  expect(harness.requests).toHaveLength(1);
  client.abort();
  expect(texts(await followers)).toEqual(Array(5).fill("hello"));
  expect(harness.requests).toHaveLength(2);
});

test("a fetch that hangs blocks its resource only for a time, even in the background", async () => {
  for (const isStale of [false, true]) {
    const harness = createHarness();
    if (isStale) {
      harness.replies.push(reply({ "cache-control": "max-age=1, stale-while-revalidate=1" }));
      await harness.send();
      await harness.clock.advance(1_500);
      harness.replies.length = 0;
    }
    harness.replies.push(() => new Promise<never>(() => undefined), reply(minute, "new"));
    void harness.send();
    await harness.clock.advance(9_000);
    const waiting = harness.send();
    await harness.clock.advance(1_000);
    expect([textOf(await harness.send()), textOf(await waiting)]).toEqual(["new", "new"]);
  }
});

test("a follower whose client disconnects rejects at once, and the others are served", async () => {
  const harness = createHarness();
  const open = gate(harness, reply(minute));
  const leader = harness.send();
  const client = new AbortController();
  const gone = harness.send({}, client.signal);
  const other = harness.send();
  client.abort(new Error("gone"));
  await expect(gone).rejects.toThrow("gone");
  open();
  expect([textOf(await leader), textOf(await other)]).toEqual(["hello", "hello"]);
});

test("a response that must not be shared reaches only the client that requested it", async () => {
  for (const headers of [
    { "cache-control": "private, max-age=60" },
    { "cache-control": "no-store" },
    { ...minute, vary: "*" },
    { "cache-control": "no-cache", etag: '"a"' },
  ]) {
    const harness = createHarness();
    const mine: Reply = ({ headers: { "x-user": user = "" } }) => reply(headers, user);
    const open = gate(harness, mine);
    const all = sendMany(harness, 20, (index) => ({ headers: { "x-user": `user ${index}` } }));
    open();
    expect(texts(await all)).toEqual(Array.from({ length: 20 }, (_, index) => `user ${index}`));
  }
});

test("a response to a request with credentials is shared only if it is marked as shareable", async () => {
  for (const [directive, requests] of [
    ["max-age=60", 20],
    ["max-age=60, public", 1],
  ] as const) {
    const harness = createHarness();
    const open = gate(harness, ({ headers: { authorization = "" } }) =>
      reply({ "cache-control": directive }, authorization),
    );
    const all = sendMany(harness, 20, (index) => ({ headers: { authorization: `user ${index}` } }));
    open();
    expect(new Set(texts(await all)).size).toBe(requests);
    expect(harness.requests).toHaveLength(requests);
  }
});

test("followers that need another variant wait once more, for that variant", async () => {
  const harness = createHarness();
  const open = gate(harness, ({ headers: { foo = "" } }) => reply({ ...minute, vary: "foo" }, foo));
  const all = sendMany(harness, 30, (index) => ({ headers: { foo: String(index % 3) } }));
  open();
  expect(texts(await all)).toEqual(Array.from({ length: 30 }, (_, index) => String(index % 3)));
  expect(harness.requests).toHaveLength(3);
});

test("a conditional follower that finds another variant fetches on its own", async () => {
  const { clock, store: memory } = createHarness();
  const store: CacheStore = {
    ...memory,
    // Like a store that keeps only the last variant of a resource.
    put(key, response) {
      memory.delete(key);
      memory.put(key, response);
    },
  };
  const harness = createHarness({ clock, store });
  harness.replies.push(reply({ ...minute, etag: '"a"' }));
  await harness.send();
  await clock.advance(61_000);
  harness.replies.length = 0;
  const open = gate(harness, reply({ ...minute, vary: "accept-language" }, "german"));
  harness.replies.push(() => new Promise<never>(() => undefined));
  const german = harness.send({ headers: { "accept-language": "de" } });
  void sendMany(harness, 2, () => ({ headers: { "accept-language": "en", "if-none-match": '"mine"' } }));
  open();
  expect(textOf(await german)).toBe("german");
  await clock.advance(0);
  expect(harness.requests).toHaveLength(4);
});

test("requests of different partitions, with ranges or with conditions do not wait for each other", async () => {
  const harness = createHarness();
  const open = gate(harness, reply(minute));
  const all = sendMany(harness, 4, (index) => {
    if (index === 0) return { partition: ["a"] };
    if (index === 1) return { partition: ["b"] };
    return { headers: index === 2 ? { range: "bytes=0-1" } : { "if-none-match": '"x"' } };
  });
  await harness.clock.advance(0);
  expect(harness.requests).toHaveLength(4);
  open();
  await all;
});

test("a client that is refused or sends credentials does not end the waiting of others", async () => {
  const harness = createHarness();
  const open = gate(harness, ({ headers }) => {
    if (headers["x-bad"] !== undefined) return reply({}, "bad", 400);
    return reply(minute, headers["authorization"] ?? "public");
  });
  const all = sendMany(harness, 20, (index) => {
    if (index === 0) return { headers: { "x-bad": "1" } };
    return { headers: index === 1 ? { authorization: "mine" } : {} };
  });
  open();
  expect(texts(await all)).toEqual(["bad", "mine", ...Array(18).fill("public")]);
  expect(harness.requests).toHaveLength(3);
});
