import { expect, test } from "vitest";
import type { CacheStore } from "../src/index.ts";
import type { CacheRequest, CacheResponse, UpstreamResponse } from "../src/rfc9111.ts";
import { createHarness, deferred, type Harness, reply, textOf, url } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };
const hour = { "cache-control": "max-age=3600" };
const reload = { "cache-control": "no-cache" };

/** Sends a request whose response arrives when the returned function is called, which resolves to what the cache returns. */
async function hold(harness: Harness, response: UpstreamResponse, request: Partial<CacheRequest> = {}) {
  const { promise, resolve } = deferred<UpstreamResponse>();
  harness.replies.length = 0;
  harness.replies.push(() => promise);
  const held = harness.send(request);
  await harness.clock.advance(0);
  harness.replies.length = 0;
  return async (): Promise<CacheResponse> => {
    resolve(response);
    return held;
  };
}

test("a slow response does not overwrite one that was requested later", async () => {
  const harness = createHarness();
  const { clock, replies, send } = harness;
  const arrive = await hold(harness, reply({ ...minute, date: harness.date() }, "v1"));
  await clock.advance(5_000);
  replies.push(reply({ ...minute, date: harness.date() }, "v2"));
  expect(textOf(await send({ headers: reload }))).toBe("v2");
  const late = await arrive();
  expect([textOf(late), late.report.refusal]).toEqual(["v1", "superseded"]);
  const next = await send();
  expect([textOf(next), next.report.outcome]).toEqual(["v2", "hit"]);
});

test("a slow validation does not restore the response that a later request replaced", async () => {
  for (const slow of [reply({ ...minute, etag: '"1"' }, "", 304), reply({ "cache-control": "no-store" }, "v1")]) {
    const harness = createHarness();
    const { clock, replies, send } = harness;
    replies.push(reply({ ...minute, etag: '"1"' }, "v1"));
    await send();
    await clock.advance(61_000);
    const arrive = await hold(harness, slow);
    replies.push(reply({ ...minute, etag: '"2"' }, "v2"));
    await send({ headers: reload });
    await arrive();
    const next = await send();
    expect([textOf(next), next.report.outcome]).toEqual(["v2", "hit"]);
  }
});

test("a slow response is not stored after a later one showed that nothing may be stored", async () => {
  const harness = createHarness();
  const { clock, replies, send, store } = harness;
  replies.push(reply({ ...minute, etag: '"1"' }, "v1"));
  await send();
  await clock.advance(61_000);
  const arrive = await hold(harness, reply({ ...minute, etag: '"1"' }, "", 304));
  replies.push(reply({ "cache-control": "no-store" }, "v2"));
  await send({ headers: reload });
  expect([(await arrive()).report.refusal, store.entryCount]).toEqual(["outdated", 0]);
});

test("a slow response is stored beside a later one of another variant, and of another resource", async () => {
  for (const later of [{ headers: { foo: "2" } }, { url: "https://example.test/b", headers: { foo: "1" } }]) {
    const harness = createHarness();
    const varied = { ...minute, vary: "foo" };
    const arrive = await hold(harness, reply(varied, "1"), { headers: { foo: "1" } });
    harness.replies.push(reply(varied, "2"));
    await harness.send({ ...later, headers: { ...later.headers, ...reload } });
    expect((await arrive()).report.refusal).toBe(null);
    expect(harness.store.entryCount).toBe(2);
  }
});

test("requests that wait for a slow response use the newer one that was requested later", async () => {
  const harness = createHarness();
  const arrive = await hold(harness, reply(minute, "v1"));
  const waiting = [harness.send(), harness.send(), harness.send()];
  harness.replies.push(reply(minute, "v2"));
  await harness.send({ headers: reload });
  await arrive();
  expect((await Promise.all(waiting)).map(textOf)).toEqual(["v2", "v2", "v2"]);
  expect(harness.requests).toHaveLength(2);
});

test("a POST response that serves GET is stored even if a GET was sent and completed in the meantime", async () => {
  const harness = createHarness();
  const arrive = await hold(harness, reply({ ...minute, "content-location": "/a" }, "made"), { method: "POST" });
  harness.replies.push(reply(minute, "before"));
  await harness.send();
  await arrive();
  expect(textOf(await harness.send())).toBe("made");
});

test("a response overtaken by many variants is not stored, and the cache keeps no list of all of them", async () => {
  const harness = createHarness();
  const varied = { ...minute, vary: "foo" };
  const arrive = await hold(harness, reply(varied, "slow"), { headers: { foo: "slow" } });
  harness.replies.push(reply(varied));
  for (let index = 0; index < 33; index++) await harness.send({ headers: { foo: String(index), ...reload } });
  expect((await arrive()).report.refusal).toBe("outdated");
});

/** A cache with a stale response, which validation may find to be current. */
async function staleHarness(): Promise<Harness> {
  const harness = createHarness();
  harness.replies.push(reply({ ...minute, etag: '"1"', "content-length": "2" }, "v1"));
  await harness.send();
  await harness.clock.advance(61_000);
  return harness;
}

test.each([
  ["304", reply({ ...hour, etag: '"1"' }, "", 304), { headers: reload }],
  ["HEAD response", reply({ ...hour, etag: '"1"', "content-length": "2" }, ""), { headers: reload, method: "HEAD" }],
])("a late %s does not restore a replaced response, whichever was requested first", async (_, late, request) => {
  for (const isLateFirst of [true, false]) {
    const harness = await staleHarness();
    const newer = reply({ ...hour, etag: '"2"', "content-length": "2" }, "v2");
    const holdLate = () => hold(harness, late, request);
    const arriveLate = isLateFirst ? await holdLate() : null;
    const arrive = await hold(harness, newer, { headers: reload });
    const arriveLater = arriveLate ?? (await holdLate());
    await arrive();
    await arriveLater();
    const next = await harness.send();
    expect([textOf(next), next.report.outcome]).toEqual(["v2", "hit"]);
  }
});

test("the second of two validations of one response keeps what the first stored", async () => {
  const harness = await staleHarness();
  const arrivals = [];
  for (const mark of ["a", "b"]) {
    const validation = reply({ ...hour, etag: '"1"', "x-mark": mark }, "", 304);
    arrivals.push(await hold(harness, validation, { headers: reload }));
  }
  const refusals = [];
  for (const arrive of arrivals) refusals.push((await arrive()).report.refusal);
  const next = await harness.send();
  expect([refusals, textOf(next), next.headers["x-mark"]]).toEqual([[null, "superseded"], "v1", "a"]);
});

test("a response that had to be requested again is as new as its second request", async () => {
  const harness = await staleHarness();
  const { clock, replies, send } = harness;
  const { promise, resolve } = deferred<UpstreamResponse>();
  replies.length = 0;
  replies.push(() => promise, reply({ ...hour, etag: '"2"' }, "v2"), reply({ ...hour, etag: '"3"' }, "v3"));
  const held = send();
  await clock.advance(1_000);
  await send({ headers: reload });
  await clock.advance(10_000);
  resolve(reply({ etag: '"9"' }, "", 304));
  expect([textOf(await held), (await held).report.refusal]).toEqual(["v3", null]);
  expect(textOf(await send())).toBe("v3");
});

test("nothing stays stored if the order of the requests and Date disagree about which response is newer", async () => {
  // The first request, whose Date is later, arrives first or last.
  for (const isFirstLast of [true, false]) {
    const harness = createHarness();
    const { clock, replies, send, store } = harness;
    const arrivals = [await hold(harness, reply({ ...hour, date: harness.date(31) }, "first"))];
    await clock.advance(1_000);
    arrivals.push(await hold(harness, reply({ ...hour, date: harness.date() }, "second"), { headers: reload }));
    await clock.advance(30_000);
    if (isFirstLast) arrivals.reverse();
    const refusals = [];
    for (const arrive of arrivals) refusals.push((await arrive()).report.refusal);
    expect([refusals, store.entryCount]).toEqual([[null, "outdated"], 0]);
    replies.push(reply(hour, "next"));
    expect([textOf(await send()), textOf(await send())]).toEqual(["next", "next"]);
  }
});

test("a response that was requested and dated later replaces one that arrived before it", async () => {
  const harness = createHarness();
  const first = await hold(harness, reply({ ...hour, date: harness.date() }, "v1"));
  const second = await hold(harness, reply({ ...hour, date: harness.date() }, "v2"), { headers: reload });
  await first();
  expect((await second()).report.refusal).toBe(null);
  expect(textOf(await harness.send())).toBe("v2");
});

const noStore = reply({ "cache-control": "no-store" }, "v2");

test("an unstorable response supersedes those that were requested before it, even if nothing was stored", async () => {
  for (const isSlowLast of [true, false]) {
    const harness = createHarness();
    const arrivals = [await hold(harness, reply(hour, "v1")), await hold(harness, noStore, { headers: reload })];
    if (isSlowLast) arrivals.reverse();
    for (const arrive of arrivals) await arrive();
    expect(harness.store.entryCount).toBe(0);
  }
});

test("an unstorable response does not supersede one that was requested after it", async () => {
  for (const isForbiddenLast of [true, false]) {
    const harness = createHarness();
    const arrivals = [await hold(harness, noStore, { headers: reload }), await hold(harness, reply(hour, "v3"))];
    if (isForbiddenLast) arrivals.reverse();
    for (const arrive of arrivals) await arrive();
    expect(textOf(await harness.send())).toBe("v3");
  }
});

test.each([
  ["for another variant", noStore, { headers: { ...reload, foo: "2" } }],
  ["private", reply({ "cache-control": "private" }), { headers: { ...reload, foo: "1" } }],
  ["a part", reply({}, "part", 206), { headers: { ...reload, foo: "1", range: "bytes=0-3" } }],
  ["to HEAD", noStore, { method: "HEAD", headers: { ...reload, foo: "1" } }],
])("a response that is %s and not stored supersedes no other", async (_, later, request) => {
  const harness = createHarness();
  const arrive = await hold(harness, reply({ ...hour, vary: "foo" }, "v1"), { headers: { foo: "1" } });
  harness.replies.push(later);
  await harness.send(request);
  await arrive();
  expect(textOf(await harness.send({ headers: { foo: "1" } }))).toBe("v1");
});

test("requests that wait for a response fetch once if it was overtaken by one whose write failed", async () => {
  const { store } = createHarness();
  const failures = [true];
  const failing: CacheStore = {
    get: (key) => store.get(key),
    delete: (key) => store.delete(key),
    deleteGroup: (group) => store.deleteGroup(group),
    put(key, entry) {
      if (failures.pop() === true) throw new Error("full");
      store.put(key, entry);
    },
  };
  const harness = createHarness({ store: failing });
  const arrive = await hold(harness, reply(hour, "v1"));
  const waiting = Array.from({ length: 20 }, () => harness.send());
  harness.replies.push(reply(hour, "v2"));
  expect((await harness.send({ headers: reload })).report.refusal).toBe("store-failed");
  expect((await arrive()).report.refusal).toBe("outdated");
  expect([new Set((await Promise.all(waiting)).map(textOf)), harness.requests.length]).toEqual([new Set(["v2"]), 3]);
});

test("requests that wait for a response fetch once if it was overtaken during a slow write of the newer one", async () => {
  const { store } = createHarness();
  const { promise, resolve: finishWrite } = deferred<void>();
  let isFirst = true;
  const slow: CacheStore = {
    get: (key) => store.get(key),
    delete: (key) => store.delete(key),
    deleteGroup: (group) => store.deleteGroup(group),
    async put(key, entry) {
      if (isFirst) {
        isFirst = false;
        await promise;
      }
      store.put(key, entry);
    },
  };
  const harness = createHarness({ store: slow });
  const arrive = await hold(harness, reply(hour, "v1"));
  const waiting = Array.from({ length: 20 }, () => harness.send());
  harness.replies.push(reply(hour, "v2"));
  const newer = harness.send({ headers: reload });
  await harness.clock.advance(0);
  expect((await arrive()).report.refusal).toBe("superseded");
  await harness.clock.advance(0);
  finishWrite();
  await newer;
  expect([new Set((await Promise.all(waiting)).map(textOf)), harness.requests.length]).toEqual([new Set(["v2"]), 3]);
});

test.each([
  ["given to the cache", "stored"],
  ["requested after it, and arrives after it", "fetched"],
] as const)("a response without Vary replaces the variant of its request if it is %s", async (_, way) => {
  const harness = createHarness();
  const { cache, clock, replies } = harness;
  const [french, german] = [{ language: "fr" }, { language: "de" }];
  const variant = (text: string): UpstreamResponse => reply({ ...hour, vary: "language" }, text);
  replies.push(variant("de v1"));
  await harness.send({ headers: german });
  if (way === "stored") {
    replies[0] = variant("fr v1");
    await harness.send({ headers: french });
    await clock.advance(1_000);
    const times = { requestedAtMs: clock.now(), receivedAtMs: clock.now() };
    const request = { method: "GET", url, headers: french };
    expect(await cache.store(request, reply(hour, "v2"), times)).toBe(null);
  } else {
    const arrivals = [await hold(harness, variant("fr v1"), { headers: french })];
    arrivals.push(await hold(harness, reply(hour, "v2"), { headers: { ...french, ...reload } }));
    for (const arrive of arrivals) await arrive();
  }
  const responses = [await harness.send({ headers: french }), await harness.send({ headers: german })];
  expect(responses.map((response) => [textOf(response), response.report.outcome])).toEqual([
    ["v2", "hit"],
    ["de v1", "hit"],
  ]);
});
