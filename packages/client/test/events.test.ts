import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createClient, type Fetch, type StreamedEvent, type StreamEventsOptions } from "../src/index.ts";
import { createFakeServer, respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createWrittenStream } from "./event-stream.ts";
import { installClock, installRandom } from "./install-clock.ts";

function setUp(options: StreamEventsOptions, ...responses: readonly (() => Response | Error)[]) {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.5);
  const script = scriptFetch(...responses);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: script.fetch });
  const events = environments.events(options);
  const headers = () => script.seen.map(({ init }) => new Headers(init.headers).get("last-event-id"));
  return { clock, script, events, headers };
}

/** Collects events as they come. */
function follow(events: AsyncIterable<StreamedEvent>) {
  const seen: StreamedEvent[] = [];
  const ended = (async () => {
    for await (const event of events) seen.push(event);
  })();
  return { seen, ended };
}

const device = { deviceId: "d-1", connectionId: "c-1" };

test("events have their type, id and data; unknown types and data that is not an object are left out", async () => {
  const stream = createWrittenStream();
  let opened = 0;
  const { clock, script, events } = setUp(
    { include: "output", deviceId: "d-1", headers: { Accept: "text/plain" }, onOpen: () => (opened += 1) },
    stream.response,
  );
  const { seen, ended } = follow(events);
  await clock.advance(0);
  expect([opened, script.seen[0]?.url]).toEqual([
    1,
    "http://127.0.0.1:1/v1/environments/events?include=output&deviceId=d-1",
  ]);
  // Whatever the caller's headers say.
  expect(new Headers(script.seen[0]?.init.headers).get("accept")).toBe("text/event-stream");
  stream.write("retry: 1000\nid: 0\n\n:\n\n");
  stream.event("1", "output", {
    ...device,
    agentId: "a",
    conversationId: "default",
    delta: { type: "forged", id: "x" },
  });
  stream.event("2", "newer", {});
  stream.write("id: 3\nevent: message\ndata: [1]\n\n");
  stream.event("4", "gap", { reason: "expired", type: "output", id: "9" });
  await clock.advance(0);
  expect(seen).toEqual([
    { ...device, type: "output", id: "1", agentId: "a", conversationId: "default", delta: { type: "forged", id: "x" } },
    { type: "gap", id: "4", reason: "expired" },
  ]);
  await events.return();
  await ended;
  expect(stream.isCancelled).toBe(true);
});

test("a stream that ends or breaks is continued after its last id that is not empty, after a random wait", async () => {
  const [first, second, third] = [createWrittenStream(), createWrittenStream(), createWrittenStream()];
  const { clock, events, headers } = setUp(
    { lastEventId: "given" },
    first.response,
    second.response,
    () => new TypeError("fetch failed"),
    third.response,
  );
  const { seen } = follow(events);
  await clock.advance(0);
  first.event("1", "gap", { reason: "unknown" });
  // A comment with an id moves the reader on.
  first.write(":\nid: 2\n\n");
  first.end();
  await clock.advance(499);
  expect(headers()).toEqual(["given"]);
  await clock.advance(1);
  expect(headers()).toEqual(["given", "2"]);
  // An empty id does not lose the position, also in the same piece.
  second.write('id: 3\nevent: gap\ndata: {"reason":"lost"}\n\nid\n\n');
  await clock.advance(0);
  second.fail();
  // Half of two seconds, then half of four.
  await clock.advance(3_000);
  expect(headers()).toEqual(["given", "2", "3", "3"]);
  third.event("4", "gap", { reason: "lost" });
  await clock.advance(0);
  expect(seen.map(({ id }) => id)).toEqual(["1", "3", "4"]);
  await events.return();
  expect(clock.timerCount).toBe(0);
});

test("Retry-After is honoured, and a permanent failure is thrown", async () => {
  const { clock, events, script } = setUp(
    {},
    respondWithProblem("rate_limited", { retryAfterSeconds: 30 }),
    respondWithProblem("insufficient_scope"),
  );
  const failure = catchError(events.next());
  // Half a second of jitter follows, so that not all readers come back at once.
  await clock.advance(30_499);
  expect(script.seen).toHaveLength(1);
  await clock.advance(1);
  expect(await failure).toMatchObject({ code: "insufficient_scope", status: 403 });
  expect(clock.timerCount).toBe(0);
});

test("a silent connection is replaced after 45 seconds", async () => {
  const [silent, next] = [createWrittenStream(), createWrittenStream()];
  const { clock, events, headers } = setUp({}, silent.response, next.response);
  follow(events);
  await clock.advance(40_000);
  silent.write(":\nid: 7\n\n");
  await clock.advance(44_999);
  expect(headers()).toEqual([null]);
  await clock.advance(1_000);
  expect([silent.isCancelled, headers()]).toEqual([true, [null, "7"]]);
  await events.return();
});

test("the iteration ends with the signal, and nothing is left", async () => {
  const controller = new AbortController();
  const stream = createWrittenStream();
  const { clock, events } = setUp({ signal: controller.signal }, stream.response);
  const { ended } = follow(events);
  await clock.advance(0);
  controller.abort();
  await ended;
  expect([stream.isCancelled, clock.timerCount]).toEqual([true, 0]);
});

test.each([
  ["endpoint_not_found", respondWithProblem("endpoint_not_found")],
  ["environment_not_found", respondWithProblem("environment_not_found")],
  ["http_error", respondWithJson(404, {})],
])("a server without events causes an error that says what is missing: %s", async (code, respond) => {
  const { events } = setUp({}, respond);
  const error = await catchError(events.next());
  expect(error).toMatchObject({
    code,
    message: expect.stringMatching(/^the server does not offer streamEvents, an ext/),
  });
});

test.each(["application/json", "text/event-streams", "x-text/event-stream", ""])(
  "a success with the content type %j is an error, not an event stream",
  async (type) => {
    const { events } = setUp({}, respondWithJson(200, {}, { "content-type": type }));
    expect(await catchError(events.next())).toMatchObject({ code: "invalid_response" });
  },
);

test.each(["Text/Event-Stream", "text/event-stream;charset=utf-8", "text/event-stream \t; charset=utf-8"])(
  "the content type %s is an event stream",
  async (type) => {
    const body = 'id: 1\nevent: gap\ndata: {"reason":"lost"}\n\n';
    const { events } = setUp({}, () => new Response(body, { headers: { "content-type": type } }));
    expect(await events.next()).toMatchObject({ value: { type: "gap" } });
    await events.return();
  },
);

test("an event without an end is an error with the limit, and its stream is cancelled", async () => {
  const stream = createWrittenStream();
  const { clock, events } = setUp({}, stream.response);
  const failure = catchError(events.next());
  await clock.advance(0);
  stream.write(`data: ${"x".repeat(2 ** 23)}`);
  await clock.advance(0);
  expect(await failure).toMatchObject({
    code: "response_too_large",
    message: "an event of more than 8388608 characters",
    status: 200,
  });
  expect(stream.isCancelled).toBe(true);
});

test.each([
  [{ include: "" }, "include"],
  [{ deviceId: "a/b" }, "deviceId"],
  [{ lastEventId: 7 }, "lastEventId"],
  [{ lastEventId: "id-\u2603" }, "lastEventId"],
  [{ lastEventId: "1\n2" }, "lastEventId"],
  [{ onOpen: 1 }, "onOpen"],
  [{ signal: {} }, "signal"],
])("the argument %j breaks a rule of %s before any request", async (options, member) => {
  const { events, script } = setUp(options as StreamEventsOptions, respondWithJson(200, {}));
  expect(await catchError(events.next())).toMatchObject({ code: "invalid_argument", issues: [{ member }] });
  expect(script.seen).toEqual([]);
});

test("onClose is called whenever an open stream ends, and not for a stream that never opened", async () => {
  const [first, second] = [createWrittenStream(), createWrittenStream()];
  const calls: string[] = [];
  const options = { onOpen: () => void calls.push("open"), onClose: () => void calls.push("close") };
  const { clock, events } = setUp(options, first.response, respondWithProblem("shutting_down"), second.response);
  const { ended } = follow(events);
  await clock.advance(0);
  first.end();
  await clock.advance(10_000);
  expect(calls).toEqual(["open", "close", "open"]);
  await events.return();
  await ended;
  expect(calls).toEqual(["open", "close", "open", "close"]);
});

test("waits grow while no stream opens, however long each refusal takes to arrive", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.999);
  const startedAtMs = clock.now();
  const seconds: number[] = [];
  const fetch: Fetch = (url) => {
    if (url.includes("/events")) seconds.push(Math.floor((clock.now() - startedAtMs) / 1_000));
    return new Promise((resolve) => void clock.setTimer(6_000, () => resolve(respondWithJson(503, {})())));
  };
  const events = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch }).environments.events();
  const { ended } = follow(events);
  await clock.advance(100_000);
  // Each takes 6 s, and the waits are 1, 2, 4, 8, 16 and 30 s.
  expect(seconds).toEqual([0, 6, 14, 24, 38, 60, 96]);
  await events.return();
  await ended;
});

test("a server can set the wait before reconnecting", async () => {
  const stream = createWrittenStream();
  const { clock, events, headers } = setUp({}, stream.response, createWrittenStream().response);
  const { ended } = follow(events);
  await clock.advance(0);
  stream.write("retry: 20000\n\n");
  stream.end();
  await clock.advance(9_999);
  expect(headers()).toHaveLength(1);
  await clock.advance(1);
  expect(headers()).toHaveLength(2);
  await events.return();
  await ended;
});

test("a character whose bytes arrive one by one is decoded correctly", async () => {
  const stream = createWrittenStream();
  const { clock, events } = setUp({}, stream.response);
  const { seen, ended } = follow(events);
  await clock.advance(0);
  const text = 'id: 1\nevent: gap\ndata: {"reason":"größer 😀"}\n\n';
  for (const byte of new TextEncoder().encode(text)) stream.write(Uint8Array.of(byte));
  await clock.advance(0);
  expect(seen).toEqual([{ type: "gap", id: "1", reason: "größer 😀" }]);
  await events.return();
  await ended;
});

test("a server cannot make the client reconnect without a pause", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.5);
  let requests = 0;
  const fetch: Fetch = async () => {
    requests += 1;
    if (requests > 20) return new Promise(() => undefined);
    return new Response("retry: 0\n\n", { headers: { "content-type": "text/event-stream" } });
  };
  const events = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch }).environments.events();
  const { ended } = follow(events);
  await clock.advance(5_000);
  expect(requests).toBeLessThan(6);
  await events.return();
  await ended;
});

test("a stream that opens after the iteration has ended is cancelled, even by a fetch that ignores signals", async () => {
  const stream = createWrittenStream();
  let open = (): void => undefined;
  const fetch: Fetch = () => new Promise((resolve) => void (open = () => resolve(stream.response())));
  const events = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch }).environments.events();
  const { ended } = follow(events);
  await new Promise((resolve) => void setImmediate(resolve));
  await events.return();
  await ended;
  open();
  await new Promise((resolve) => void setImmediate(resolve));
  expect(stream.isCancelled).toBe(true);
});

test.each(["events", "watch"] as const)(
  "the call %s accepts a polyfilled signal, and leaves no listener on it",
  async (operation) => {
    const listeners = new Set<() => void>();
    const polyfill = {
      aborted: false,
      addEventListener: (_type: string, listener: () => void) => void listeners.add(listener),
      removeEventListener: (_type: string, listener: () => void) => void listeners.delete(listener),
    };
    const server = createFakeServer({ events: true });
    const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: server.fetch });
    const options = { signal: polyfill as unknown as AbortSignal };
    const values = operation === "events" ? environments.events(options) : environments.watch({}, options);
    const next = values.next();
    await new Promise((resolve) => void setImmediate(resolve));
    polyfill.aborted = true;
    for (const listener of listeners) listener();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(listeners.size).toBe(0);
  },
);

test("no event that has already arrived is yielded after the caller aborts, and the stream is cancelled", async () => {
  const stream = createWrittenStream();
  const controller = new AbortController();
  let closed = 0;
  const { clock, events } = setUp({ signal: controller.signal, onClose: () => (closed += 1) }, stream.response);
  const ids: string[] = [];
  const ended = (async () => {
    for await (const { id } of events) {
      ids.push(id);
      controller.abort();
    }
  })();
  await clock.advance(0);
  const gap = (id: number): string => `id: ${id}\nevent: gap\ndata: {"reason":"expired"}\n\n`;
  stream.write(gap(1) + gap(2) + gap(3));
  await clock.advance(0);
  await ended;
  expect([ids, stream.isCancelled, closed]).toEqual([["1"], true, 1]);
});

test("the caller's abort closes the stream immediately, even while the last event is still being used", async () => {
  const stream = createWrittenStream();
  const controller = new AbortController();
  const { clock, events } = setUp({ signal: controller.signal }, stream.response);
  const first = events.next();
  await clock.advance(0);
  stream.event("1", "gap", { reason: "expired" });
  expect((await first).done).toBe(false);
  controller.abort();
  expect([stream.isCancelled, clock.timerCount]).toEqual([true, 0]);
});

test("a stream that broke before its first id is followed by a gap, because events may have been missed", async () => {
  const [first, second, third] = [createWrittenStream(), createWrittenStream(), createWrittenStream()];
  // The id of such a gap, which a program may have stored, is that of a stream that begins now.
  const { clock, events, headers } = setUp({ lastEventId: "" }, first.response, second.response, third.response);
  const { seen } = follow(events);
  await clock.advance(0);
  first.end();
  await clock.advance(500);
  second.write("id: 1\n\n");
  await clock.advance(0);
  second.end();
  await clock.advance(1_000);
  third.event("2", "gap", { reason: "lost" });
  await clock.advance(0);
  expect(headers()).toEqual([null, null, "1"]);
  expect(seen).toEqual([
    { type: "gap", id: "", reason: "unknown" },
    { type: "gap", id: "2", reason: "lost" },
  ]);
  await events.return();
});

test.each(["a b", 'a"b', "a\\b"])("a stream can resume from the server's id %j, even as an option", async (id) => {
  const [first, second] = [createWrittenStream(), createWrittenStream()];
  const { clock, events, headers } = setUp({ lastEventId: id }, first.response, second.response);
  const { seen } = follow(events);
  await clock.advance(0);
  first.event(`${id}2`, "gap", { reason: "lost" });
  first.end();
  await clock.advance(1_000);
  expect([headers(), seen.map((event) => event.id)]).toEqual([[id, `${id}2`], [`${id}2`]]);
  await events.return();
});

test("exceptions of onOpen and onClose are ignored, including those of a promise", async () => {
  const [first, second] = [createWrittenStream(), createWrittenStream()];
  const fail = (): never => {
    throw new Error("a hook is broken");
  };
  const hooks = { onOpen: fail, onClose: async () => fail() };
  const { clock, events, script } = setUp(hooks, first.response, second.response);
  const { seen, ended } = follow(events);
  await clock.advance(0);
  first.event("1", "gap", { reason: "expired" });
  first.end();
  await clock.advance(1_000);
  second.event("2", "gap", { reason: "expired" });
  await clock.advance(0);
  expect([seen.map(({ id }) => id), script.seen.length]).toEqual([["1", "2"], 2]);
  await events.return();
  await ended;
});
