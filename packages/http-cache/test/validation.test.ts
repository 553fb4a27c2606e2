import { expect, test } from "vitest";
import { createHarness, reply, textOf } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

test("a stale response is validated; 304 updates its fields except those that describe its bytes", async () => {
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
  const response = await send({ headers: { range: "bytes=0-0", "if-none-match": '"z"', "x-c": "1" } });
  expect(requests[1]?.headers).toEqual({ "if-none-match": '"a"', "if-modified-since": date(-661), "x-c": "1" });
  expect(response).toMatchObject({ status: 206, report: { outcome: "revalidated", reason: "stale" } });
  expect(response.headers["cache-status"]).toBe("test; fwd=stale; fwd-status=304; ttl=80; stored; detail=stale");
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

test("unstorable fields of a 304 reach only the client that requested it", async () => {
  const { clock, replies, send } = createHarness({ policy: { setCookie: "omit" } });
  const own = { "set-cookie": "id=1", "x-user": "ada", "x-trace": "t1" };
  const directives = 'max-age=60, private="x-user", no-cache="x-trace"';
  replies.push(
    reply({ ...minute, etag: '"a"' }),
    reply({ "cache-control": directives, etag: '"a"', "content-type": "text/html", ...own }, "", 304),
  );
  await send();
  await clock.advance(61_000);
  const validated = await send();
  expect(validated).toMatchObject({ status: 200, report: { outcome: "revalidated" }, headers: own });
  expect(validated.headers).not.toHaveProperty("content-type");
  const next = await send();
  expect(next.report.outcome).toBe("hit");
  for (const name of Object.keys(own)) expect(next.headers).not.toHaveProperty(name);
});

test("a client's condition is evaluated against the validated response", async () => {
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

test("a 304 about another response is not used: the whole response is fetched", async () => {
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

test("a response whose 304 forbids storing is not used again", async () => {
  const { clock, replies, requests, send, store } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }), reply({ "cache-control": "no-store", etag: '"a"' }, "", 304));
  await send();
  await clock.advance(61_000);
  expect((await send()).report).toMatchObject({ outcome: "revalidated", refusal: "no-store" });
  expect([store.entryCount, requests.length]).toEqual([0, 2]);
});

test("a response that must not be stored invalidates the stored one", async () => {
  const { clock, replies, send, store } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }), reply({ "cache-control": "no-store" }, "new"));
  await send();
  await clock.advance(61_000);
  expect(textOf(await send())).toBe("new");
  expect(store.entryCount).toBe(0);
});

test("a response to one user's credentials does not invalidate the shared response", async () => {
  const { clock, replies, send, store } = createHarness();
  replies.push(reply({ ...minute, etag: '"a"' }), reply({ ...minute, etag: '"a"' }, "", 304));
  await send();
  await clock.advance(61_000);
  expect((await send({ headers: { authorization: "x" } })).report.refusal).toBe("authorization");
  expect(store.entryCount).toBe(1);
});

test("stale-while-revalidate responds immediately and revalidates once in the background", async () => {
  const { background, clock, replies, requests, send } = createHarness();
  replies.push(reply({ "cache-control": "max-age=10, stale-while-revalidate=60", etag: '"a"' }), reply(minute, "new"));
  await send();
  await clock.advance(11_000);
  const responses = await Promise.all([send(), send(), send({ method: "HEAD" })]);
  expect(responses.map((response) => response.report.reason)).toEqual(Array(3).fill("stale-while-revalidate"));
  expect(responses[0]?.headers["cache-status"]).toBe("test; hit; ttl=-1; detail=stale-while-revalidate");
  await Promise.all(background);
  expect(textOf(await send())).toBe("new");
  expect(requests.map(({ method, signal }) => [method, signal])).toEqual([
    ["GET", undefined],
    ["GET", undefined],
  ]);
});

test.each([
  ["max-age=10, stale-while-revalidate=60", 0],
  ["max-age=10, stale-while-revalidate=60", 60_000],
  ["max-age=10, stale-while-revalidate=60, stale-if-error=60", 0],
])("a failed background validation changes nothing and is reported (%s, %i)", async (directives, unreachableMs) => {
  const policy = { staleIfUnreachableMs: unreachableMs };
  const { background, clock, replies, send, failures } = createHarness({ policy });
  replies.push(reply({ "cache-control": directives }), new Error("down"), reply({}, "", 503));
  await send();
  await clock.advance(11_000);
  for (let index = 0; index < 3; index++) {
    expect(textOf(await send())).toBe("hello");
    await Promise.all(background);
  }
  expect(failures).toEqual(["background"]);
});

test.each([
  [
    "throws",
    (): never => {
      throw new Error("This context has no ExecutionContext");
    },
  ],
  // The type allows a function that returns a promise.
  ["rejects", (): unknown => Promise.reject(new Error("This context has no ExecutionContext"))],
])(
  "a background function that %s does not fail the request: it is reported, and the validation continues",
  async (_case, background) => {
    const { clock, replies, send, failures } = createHarness({ background });
    replies.push(reply({ "cache-control": "max-age=10, stale-while-revalidate=60" }), reply(minute, "new"));
    await send();
    await clock.advance(11_000);
    expect(textOf(await send())).toBe("hello");
    await clock.advance(0);
    expect([textOf(await send()), failures]).toEqual(["new", ["background"]]);
  },
);

test("a background validation that gets an error does not replace a response that may still be served stale", async () => {
  const { background, clock, replies, send } = createHarness();
  const directives = "max-age=10, stale-while-revalidate=60, stale-if-error=60";
  replies.push(reply({ "cache-control": directives }), reply(minute, "error", 503));
  await send();
  await clock.advance(11_000);
  await send();
  await Promise.all(background);
  expect(textOf(await send())).toBe("hello");
});

test("stale-if-error serves stale for 500, 502, 503, 504 and a broken connection until its time is over", async () => {
  for (const failure of [
    reply({}, "", 500),
    reply({}, "", 502),
    reply({}, "", 503),
    reply({}, "", 504),
    new Error("reset"),
  ]) {
    const { clock, replies, send } = createHarness({ policy: { staleIfUnreachableMs: 0 } });
    replies.push(reply({ "cache-control": "max-age=10, stale-if-error=60" }), failure);
    await send();
    await clock.advance(69_000);
    const response = await send();
    expect([response.status, response.report.outcome, response.headers["age"]]).toEqual([200, "stale", "69"]);
    const forwarded = failure instanceof Error ? "fwd=stale" : `fwd=stale; fwd-status=${failure.status}`;
    expect(response.headers["cache-status"]).toBe(`test; ${forwarded}; ttl=-59; detail=stale-if-error`);
    await clock.advance(1_000);
    const late = await send().catch(() => null);
    expect(late?.status ?? null).toBe(failure instanceof Error ? null : failure.status);
  }
});

test("other errors are passed on and do not invalidate the stored response", async () => {
  const { clock, replies, send, store } = createHarness();
  replies.push(reply({ "cache-control": "max-age=10, stale-if-error=60" }), reply({}, "teapot", 418));
  await send();
  await clock.advance(11_000);
  expect((await send()).status).toBe(418);
  expect(store.entryCount).toBe(1);
});

test("a stale response is served when the origin is unreachable, unless forbidden", async () => {
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

test("request stale-if-error is honoured, and a request with no-cache never gets a stale response", async () => {
  const { clock, replies, send } = createHarness();
  replies.push(reply({ "cache-control": "max-age=10" }), reply({}, "", 503));
  await send();
  await clock.advance(11_000);
  expect((await send({ headers: { "cache-control": "stale-if-error=60" } })).status).toBe(200);
  expect((await send({ headers: { "cache-control": "stale-if-error=60, no-cache" } })).status).toBe(503);
});

test("HEAD gets the same stale response as GET when the origin fails", async () => {
  for (const failure of [reply({}, "", 503), new Error("down")]) {
    const { clock, replies, send } = createHarness();
    replies.push(reply({ "cache-control": "max-age=10, stale-if-error=60" }), failure);
    await send();
    await clock.advance(11_000);
    expect(await send({ method: "HEAD" })).toMatchObject({
      status: 200,
      body: null,
      report: { reason: "stale-if-error" },
    });
  }
});

test("a request with If-Match is forwarded unchanged and its response is not stored", async () => {
  const { replies, requests, send, store } = createHarness();
  replies.push(reply({ "cache-control": "max-age=60" }));
  const response = await send({ headers: { "if-match": '"a"' } });
  expect(response.headers["cache-status"]).toBe("test; fwd=bypass; fwd-status=200; detail=precondition");
  expect([requests[0]?.headers, store.entryCount]).toEqual([{ "if-match": '"a"' }, 0]);
});

test("a response without Vary replaces the variant that it was fetched for, which is not validated again", async () => {
  const { clock, replies, requests, send } = createHarness();
  const french = { headers: { "accept-language": "fr" } };
  const varied = { ...minute, vary: "accept-language", etag: '"1"' };
  replies.push(reply(varied, "old"), reply(varied, "german"), reply({ ...minute, etag: '"2"' }, "new"));
  await send(french);
  await send({ headers: { "accept-language": "de" } });
  await clock.advance(61_000);
  expect(textOf(await send(french))).toBe("new");
  const again = await send(french);
  expect([textOf(again), again.report.outcome, requests.length]).toEqual(["new", "hit", 3]);
});

test.each([301, 404, 410, 500])(
  "a stale response with the status %d is fetched again, since a 304 could only confirm a 200 (RFC 9110, 15.4.5)",
  async (status) => {
    const { clock, replies, requests, send } = createHarness();
    const validators = { etag: '"a"', "last-modified": "Tue, 01 Jan 2019 00:00:00 GMT" };
    replies.push(
      reply({ ...minute, ...validators, location: "/b" }, "old", status),
      reply(validators, "", 304),
      reply({ ...minute, ...validators }, "new"),
    );
    await send();
    await clock.advance(61_000);
    const response = await send({ headers: { "if-none-match": '"z"' } });
    expect([response.status, textOf(response)]).toEqual([200, "new"]);
    expect(requests.slice(1).map(({ headers }) => headers)).toEqual([{}, {}]);
  },
);

test("a background validation does not forward only-if-cached", async () => {
  const { clock, replies, requests, background, send } = createHarness();
  replies.push(reply({ "cache-control": "max-age=60, stale-while-revalidate=60", etag: '"a"' }), reply(minute, "new"));
  await send();
  await clock.advance(61_000);
  const headers = { "cache-control": "only-if-cached", pragma: "x", "x-a": "1" };
  expect(textOf(await send({ headers }))).toBe("hello");
  await Promise.all(background);
  expect(requests[1]?.headers).toEqual({ "if-none-match": '"a"', "x-a": "1" });
  expect(textOf(await send())).toBe("new");
});
