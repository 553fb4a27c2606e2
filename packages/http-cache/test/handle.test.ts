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

test("a stale answer is validated; 304 updates its fields, but not what describes its bytes", async () => {
  const { clock, replies, requests, send, date } = createHarness();
  replies.push(
    reply({
      ...minute,
      etag: '"a"',
      "last-modified": date(-600),
      "x-a": "1",
      "x-b": "1",
      "content-type": "text/plain",
      "content-length": "5",
    }),
    reply(
      {
        "cache-control": "max-age=90",
        etag: '"a"',
        "x-a": "2",
        "content-type": "text/html",
        "content-length": "0",
        age: "10",
      },
      "",
      304,
    ),
  );
  await send();
  await clock.advance(61_000);
  const answer = await send({ headers: { range: "bytes=0-0", "if-none-match": '"z"', "x-c": "1" } });
  expect(requests[1]?.headers).toEqual({ "if-none-match": '"a"', "if-modified-since": date(-661), "x-c": "1" });
  expect(answer).toMatchObject({ status: 206, report: { outcome: "revalidated", reason: "stale" } });
  expect(answer.headers["cache-status"]).toBe("test; fwd=stale; fwd-status=304; ttl=80; stored; detail=stale");
  const next = await send();
  expect(textOf(next)).toBe("hello");
  expect(next.headers).toMatchObject({
    "x-a": "2",
    "x-b": "1",
    "content-type": "text/plain",
    "content-length": "5",
    age: "10",
  });
  expect(requests).toHaveLength(2);
});

test("a client's condition is judged against what validation brought", async () => {
  const { clock, replies, send } = createHarness();
  replies.push(
    reply({ ...minute, etag: '"a"' }),
    reply({ ...minute, etag: '"a"' }, "", 304),
    reply({ ...minute, etag: '"b"' }, "new"),
  );
  await send();
  await clock.advance(61_000);
  expect((await send({ headers: { "if-none-match": '"a"' } })).status).toBe(304);
  await clock.advance(61_000);
  expect((await send({ headers: { "if-none-match": '"b"' } })).status).toBe(304);
  expect(textOf(await send({ headers: { "if-none-match": '"a"' } }))).toBe("new");
});

test("a 304 about something else than what is stored is not used: the whole is fetched", async () => {
  const { clock, replies, requests, send } = createHarness();
  replies.push(
    reply({ ...minute, etag: '"a"' }),
    reply({ etag: '"b"' }, "", 304),
    reply({ ...minute, etag: '"b"' }, "new"),
  );
  await send();
  await clock.advance(61_000);
  expect(textOf(await send())).toBe("new");
  expect(requests[2]?.headers).toEqual({});
});

test("what 304 forbids to store is not used again", async () => {
  const { clock, replies, requests, send, store } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }), reply({ "cache-control": "no-store", etag: '"a"' }, "", 304));
  await send();
  await clock.advance(61_000);
  expect((await send()).report).toMatchObject({ outcome: "revalidated", refusal: "no-store" });
  expect([store.entryCount, requests.length]).toEqual([0, 2]);
});

test("an answer that may not be stored shows that the one stored before is over", async () => {
  const { clock, replies, send, store } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }), reply({ "cache-control": "no-store" }, "new"));
  await send();
  await clock.advance(61_000);
  expect(textOf(await send())).toBe("new");
  expect(store.entryCount).toBe(0);
});

test("one user's credentials do not end what everybody may use", async () => {
  const { clock, replies, send, store } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }), reply({ ...minute, etag: '"a"' }, "", 304));
  await send();
  await clock.advance(61_000);
  expect((await send({ headers: { authorization: "x" } })).report.refusal).toBe("authorization");
  expect(store.entryCount).toBe(1);
});

test("stale-while-revalidate answers at once and asks behind the answer, once", async () => {
  const { background, clock, replies, requests, send } = createHarness();
  replies.push(reply({ "cache-control": "max-age=10, stale-while-revalidate=60", etag: '"a"' }), reply(minute, "new"));
  await send();
  await clock.advance(11_000);
  const answers = await Promise.all([send(), send(), send({ method: "HEAD" })]);
  expect(answers.map((answer) => answer.report.reason)).toEqual(Array(3).fill("stale-while-revalidate"));
  expect(answers[0]?.headers["cache-status"]).toBe("test; hit; ttl=-1; detail=stale-while-revalidate");
  await Promise.all(background);
  expect(textOf(await send())).toBe("new");
  expect(requests.map(({ method, signal }) => [method, signal])).toEqual([
    ["GET", undefined],
    ["GET", undefined],
  ]);
});

test("a background validation that fails changes nothing and is told of", async () => {
  const { background, clock, replies, send, troubles } = createHarness({ policy: { staleIfUnreachableMs: 0 } });
  replies.push(
    reply({ "cache-control": "max-age=10, stale-while-revalidate=60" }),
    new Error("down"),
    reply({}, "", 503),
  );
  await send();
  await clock.advance(11_000);
  for (let index = 0; index < 3; index++) {
    expect(textOf(await send())).toBe("hello");
    await Promise.all(background);
  }
  expect(troubles).toEqual(["background"]);
});

test("stale-if-error stands in for 500, 502, 503, 504 and a broken connection, until its window ends", async () => {
  for (const trouble of [
    reply({}, "", 500),
    reply({}, "", 502),
    reply({}, "", 503),
    reply({}, "", 504),
    new Error("reset"),
  ]) {
    const { clock, replies, send } = createHarness({ policy: { staleIfUnreachableMs: 0 } });
    replies.push(reply({ "cache-control": "max-age=10, stale-if-error=60" }), trouble);
    await send();
    await clock.advance(69_000);
    const answer = await send();
    expect([answer.status, answer.report.outcome, answer.headers["age"]]).toEqual([200, "stale", "69"]);
    expect(answer.headers["cache-status"]).toBe("test; fwd=stale; ttl=-59; detail=stale-if-error");
    await clock.advance(1_000);
    const late = await send().catch(() => null);
    expect(late?.status ?? null).toBe(trouble instanceof Error ? null : trouble.status);
  }
});

test("other errors are passed on, and do not end what is stored", async () => {
  const { clock, replies, send, store } = createHarness();
  replies.push(reply({ "cache-control": "max-age=10, stale-if-error=60" }), reply({}, "teapot", 418));
  await send();
  await clock.advance(11_000);
  expect((await send()).status).toBe(418);
  expect(store.entryCount).toBe(1);
});

test("without a connection a stale answer is used unless that is forbidden", async () => {
  for (const [directive, mayUse] of [
    ["public", true],
    ["must-revalidate", false],
    ["proxy-revalidate", false],
    ["s-maxage=10", false],
    ["no-cache", false],
  ] as const) {
    const { clock, replies, send } = createHarness();
    replies.push(reply({ "cache-control": `max-age=10, ${directive}`, etag: '"a"' }), new Error("down"));
    await send();
    await clock.advance(11_000);
    expect((await send().catch(() => null))?.report.reason ?? null).toBe(mayUse ? "unreachable" : null);
  }
});

test("a request may ask for stale-if-error, and one with no-cache gets nothing stale", async () => {
  const { clock, replies, send } = createHarness();
  replies.push(reply({ "cache-control": "max-age=10" }), reply({}, "", 503));
  await send();
  await clock.advance(11_000);
  expect((await send({ headers: { "cache-control": "stale-if-error=60" } })).status).toBe(200);
  expect((await send({ headers: { "cache-control": "stale-if-error=60, no-cache" } })).status).toBe(503);
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

test("an unsafe request that succeeds forgets its target with all variants, an error or a safe one does not", async () => {
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

test("Location and Content-Location of the same origin are forgotten too, others are not", async () => {
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

test("a group invalidation forgets the group's answers at the same origin, and only on a successful unsafe request", async () => {
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

test("an answer that left the origin before a change is not stored after it", async () => {
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

test("the answer to POST serves GET where it says that it is what GET would get", async () => {
  const { replies, requests, send } = createHarness();
  replies.push(reply({ ...minute, "content-location": "/a" }, "made"));
  expect((await send({ method: "POST" })).headers["cache-status"]).toBe(
    "test; fwd=method; fwd-status=200; ttl=60; stored",
  );
  expect([textOf(await send()), requests.length]).toEqual(["made", 1]);
});

test("HEAD that goes to the origin freshens what it agrees with", async () => {
  const { clock, replies, send, requests } = createHarness();
  replies.push(
    reply({ ...minute, etag: '"a"', "x-a": "1", "x-b": "1" }),
    reply({ ...minute, etag: '"a"', "x-a": "2", "content-length": "5" }, ""),
  );
  await send();
  await clock.advance(61_000);
  await send({ method: "HEAD" });
  const answer = await send();
  expect([textOf(answer), answer.headers["x-a"], answer.headers["x-b"], requests.length]).toEqual([
    "hello",
    "2",
    "1",
    2,
  ]);
});

test("HEAD that does not agree ends what is stored; an error does not", async () => {
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
  const { replies, send, troubles } = createHarness({ store: broken });
  replies.push(reply(minute));
  const answer = await send();
  expect([textOf(answer), answer.report.refusal]).toEqual(["hello", "store-failed"]);
  await send({ method: "DELETE" });
  expect(troubles).toEqual(["store-get", "store-put", "store-delete"]);
});

test("a name that is no token is refused, since it would break Cache-Status", () => {
  expect(() => createHarness({ name: "my cache" })).toThrow(TypeError);
});
