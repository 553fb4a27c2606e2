import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import {
  createClient,
  type EnvironmentEvent,
  type Fetch,
  type ListEnvironmentsInput,
  type WatchOptions,
} from "../src/index.ts";
import { createFakeServer, exampleEnvironment, respondWithJson, respondWithProblem } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createWrittenStream } from "./event-stream.ts";
import { installRandom, installClock } from "./install-clock.ts";

function setUp(options: WatchOptions = {}, query: ListEnvironmentsInput = {}) {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0);
  const server = createFakeServer({ now: clock.now });
  const settings = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: server.fetch };
  const watch = () => createClient(settings).environments.watch(query, options);
  /** The requests for the list since the last call. */
  const takeLists = () => server.requests.splice(0).filter(({ url }) => !url.includes("/events"));
  return { clock, server, watch, takeLists };
}

/** Collects the events of a watcher as they come. */
function follow(events: AsyncIterable<EnvironmentEvent>) {
  const seen: string[] = [];
  const ended = (async () => {
    for await (const { type, environment } of events) seen.push(`${environment.deviceId} ${type}`);
  })();
  return { ended, take: () => seen.splice(0) };
}

test("every row appears first, and then each change is reported once", async () => {
  const { clock, server, watch } = setUp();
  server.put({ deviceId: "d-1" });
  server.connect("d-2");
  const events = watch();
  const { take, ended } = follow(events);
  await clock.advance(0);
  expect(take()).toEqual(["d-1 appeared", "d-2 appeared"]);
  server.connect("d-1");
  await clock.advance(5_000);
  expect(take()).toEqual(["d-1 online"]);
  server.put({ deviceId: "d-1", connectionName: "box" });
  server.put({ deviceId: "d-3" });
  await clock.advance(5_000);
  expect(take()).toEqual(["d-1 changed", "d-3 appeared"]);
  server.disconnect("d-2");
  server.remove("d-3");
  await clock.advance(5_000);
  expect(take()).toEqual(["d-2 offline", "d-3 gone"]);
  await clock.advance(60_000);
  expect(take()).toEqual([]);
  await events.return();
  await ended;
});

test("a heartbeat is not a change", async () => {
  const { clock, server, watch } = setUp();
  server.connect("d-1");
  const events = watch();
  const { take } = follow(events);
  await clock.advance(0);
  take();
  await clock.advance(60_000);
  server.heartbeat("d-1");
  await clock.advance(10_000);
  expect(take()).toEqual([]);
  await events.return();
});

test("each page is requested with its entity tag, so that an unchanged page is 304", async () => {
  const { clock, server, watch, takeLists } = setUp({}, { limit: 2 });
  for (const deviceId of ["d-1", "d-2", "d-3"]) server.put({ deviceId });
  const events = watch();
  const { take } = follow(events);
  await clock.advance(0);
  expect(take()).toHaveLength(3);
  const tags = () => takeLists().map(({ init }) => new Headers(init.headers).get("if-none-match"));
  expect(tags()).toEqual([null, null]);
  await clock.advance(5_000);
  const [first, second] = tags();
  expect([first, second]).toEqual([expect.stringMatching(/^W\//), expect.stringMatching(/^W\//)]);
  expect(first).not.toBe(second);
  server.put({ deviceId: "d-3", connectionName: "box" });
  await clock.advance(5_000);
  expect(take()).toEqual(["d-3 changed"]);
  await events.return();
});

test("a server without entity tags receives unconditional requests", async () => {
  const { clock, server, watch, takeLists } = setUp();
  const page = respondWithJson(200, { connections: [], hasNextPage: false });
  server.interrupt(page, page);
  const events = watch();
  const next = events.next();
  await clock.advance(5_000);
  const lists = takeLists();
  for (const { init } of lists) expect(init.headers).not.toHaveProperty("if-none-match");
  expect(lists).toHaveLength(2);
  await events.return();
  await next;
});

test("a device goes offline 120 seconds after its last heartbeat, even if every response is 304", async () => {
  const { clock, server, watch } = setUp();
  server.connect("d-1");
  const events = watch();
  const { take } = follow(events);
  await clock.advance(115_000);
  expect(take()).toEqual(["d-1 appeared"]);
  await clock.advance(5_000);
  expect(take()).toEqual(["d-1 offline"]);
  await events.return();
});

test("waits are the interval and up to a second more, so that watchers spread their requests", async () => {
  for (const [randomValue, expected] of [
    [0, 10_000],
    [0.999, 11_000],
  ] as const) {
    const waits: number[] = [];
    const { clock, watch } = setUp({ intervalMs: 10_000 });
    const setTimer = (ms: number, run: () => void) => (waits.push(ms), clock.setTimer(ms, run));
    installClock({ now: clock.now, setTimer });
    installRandom(randomValue);
    const events = watch();
    follow(events);
    await clock.advance(0);
    const wait = waits.filter((ms) => ms < 60_000).at(-1) ?? 0;
    expect(Math.abs(wait - expected)).toBeLessThan(10);
    await events.return();
  }
});

test("polling continues after transient failures, and waits at least for Retry-After", async () => {
  const { clock, server, watch } = setUp();
  server.put({ deviceId: "d-1" });
  const events = watch();
  const { take } = follow(events);
  await clock.advance(0);
  take();
  server.interrupt(
    respondWithProblem("rate_limited", { retryAfterSeconds: 30 }),
    () => new TypeError("fetch failed"),
    respondWithProblem("shutting_down"),
  );
  server.put({ deviceId: "d-2" });
  await clock.advance(5_000);
  const before = server.requests.length;
  await clock.advance(29_000);
  expect(server.requests).toHaveLength(before);
  await clock.advance(130_000);
  expect(take()).toEqual(["d-2 appeared"]);
  await events.return();
});

test("a permanent failure is thrown, and no timer is left", async () => {
  const { clock, server, watch } = setUp();
  server.interrupt(respondWithProblem("invalid_key"));
  expect(await catchError(watch().next())).toMatchObject({ code: "invalid_key" });
  expect(clock.timerCount).toBe(0);
});

test("watching ends when the caller aborts during a wait, and no timer or listener is left", async () => {
  const controller = new AbortController();
  let listeners = 0;
  for (const [name, step] of [
    ["addEventListener", 1],
    ["removeEventListener", -1],
  ] as const) {
    const original = controller.signal[name].bind(controller.signal);
    controller.signal[name] = (...parameters: Parameters<AbortSignal["addEventListener"]>) => {
      listeners += step;
      original(...parameters);
    };
  }
  const { clock, watch } = setUp({ signal: controller.signal });
  const { ended } = follow(watch());
  await clock.advance(12_000);
  controller.abort();
  await ended;
  expect([clock.timerCount, listeners]).toEqual([0, 0]);
});

test("watching ends when the loop is left, and by return() during a wait", async () => {
  const { clock, server, watch } = setUp();
  server.put({ deviceId: "d-1" });
  for await (const event of watch()) {
    expect(event).toMatchObject({ type: "appeared", online: false });
    break;
  }
  expect(clock.timerCount).toBe(0);
  const waiting = watch();
  await waiting.next();
  const next = waiting.next();
  await clock.advance(1_000);
  await waiting.return();
  expect(await next).toEqual({ done: true, value: undefined });
  expect(clock.timerCount).toBe(0);
});

test("watching ends by return() during a request", async () => {
  const fetch = (): Promise<Response> => new Promise(() => undefined);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  const events = environments.watch();
  const next = events.next();
  await new Promise((resolve) => void setImmediate(resolve));
  await events.return();
  expect(await next).toEqual({ done: true, value: undefined });
});

test("a Retry-After beyond the longest timer does not make watch poll in a tight loop", async () => {
  const { clock, server, watch } = setUp();
  const delays: number[] = [];
  installClock({ now: clock.now, setTimer: (ms, run) => (delays.push(ms), clock.setTimer(ms, run)) });
  server.interrupt(respondWithProblem("rate_limited", { retryAfterSeconds: 2_592_000 }));
  const events = watch();
  const next = events.next();
  await clock.advance(60_000);
  expect(server.requests).toHaveLength(1);
  expect(Math.max(...delays)).toBe(2_000_000_000);
  await events.return();
  await next;
});

test("a poll that fails halfway repeats no event, loses none, and reports no row as gone", async () => {
  const row = (id: string, lastSeenAt = 1) => exampleEnvironment({ id, deviceId: id, lastSeenAt });
  const page = (rows: object[], hasNextPage = false) => respondWithJson(200, { connections: rows, hasNextPage });
  const { clock, server, watch, takeLists } = setUp();
  server.interrupt(
    ...[page([row("a")], true), page([row("b")])],
    ...[page([row("a"), row("c")], true), respondWithJson(503, {})],
    ...[page([row("a", 9)], true), page([row("b")])],
    page([]),
  );
  const events = watch();
  const { take, ended } = follow(events);
  await clock.advance(0);
  expect(take()).toEqual(["a appeared", "b appeared"]);
  await clock.advance(5_000);
  expect(take()).toEqual(["c appeared"]);
  expect(takeLists()).toHaveLength(4);
  await clock.advance(10_000);
  expect(take()).toEqual(["c gone"]);
  await clock.advance(5_000);
  expect(take()).toEqual(["a gone", "b gone"]);
  await events.return();
  await ended;
});

test("a row that disappears from the list is reported as offline", async () => {
  const { clock, server, watch } = setUp();
  server.connect("d-1");
  const events = watch();
  await events.next();
  server.remove("d-1");
  const next = events.next();
  await clock.advance(5_000);
  expect((await next).value).toMatchObject({ type: "gone", online: false });
  await events.return();
});

test("a signal that is already aborted ends watching before any request", async () => {
  const { server, watch } = setUp({ signal: AbortSignal.abort() });
  expect(await watch().next()).toEqual({ done: true, value: undefined });
  expect(server.requests).toEqual([]);
});

test("with an event stream, a change is reported immediately, and the list is rarely read", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0);
  const server = createFakeServer({ now: clock.now });
  const stream = createWrittenStream();
  const fetch: Fetch = (url, init) =>
    url.includes("/events") ? Promise.resolve(stream.response()) : server.fetch(url, init);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  server.connect("d-1");
  const events = environments.watch();
  const { take } = follow(events);
  await clock.advance(1_000);
  expect(take()).toEqual(["d-1 appeared"]);
  // What changed before the stream was open is seen by a second look.
  expect(server.requests).toHaveLength(2);
  await clock.advance(20_000);
  expect(server.requests).toHaveLength(2);
  server.disconnect("d-1");
  stream.event("1", "environment", { deviceId: "d-1", connectionId: null, environment: {} });
  stream.event("2", "message", { deviceId: "d-1", connectionId: null, message: {} });
  await clock.advance(0);
  expect(take()).toEqual(["d-1 offline"]);
  await clock.advance(31_000);
  expect(server.requests).toHaveLength(4);
  await events.return();
  await clock.advance(0);
  expect([stream.isCancelled, clock.timerCount]).toEqual([true, 0]);
});

/** A watcher of a server that streams events, once its stream is open. */
async function setUpStream() {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0);
  const server = createFakeServer({ now: clock.now, events: true });
  const streams = [createWrittenStream()];
  const fetch: Fetch = async (url, init) => {
    if (!url.includes("/events")) return server.fetch(url, init);
    return streams.shift()?.response() ?? respondWithProblem("overloaded")();
  };
  const [stream] = streams;
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  const events = environments.watch();
  follow(events);
  await clock.advance(1_000);
  const change = () => stream?.event("1", "environment", { deviceId: "d-1", connectionId: null, environment: {} });
  return { clock, server, streams, stream, events, change, takeLists: () => server.requests.splice(0).length };
}

test("changes do not shorten the wait that Retry-After asks for", async () => {
  const { clock, server, change, takeLists, events } = await setUpStream();
  expect(takeLists()).toBe(2);
  server.interrupt(respondWithProblem("rate_limited", { retryAfterSeconds: 30 }));
  for (let second = 0; second < 29; second += 1) {
    change();
    await clock.advance(1_000);
  }
  expect(takeLists()).toBe(1);
  // What has changed meanwhile is seen by one poll.
  await clock.advance(1_000);
  expect(takeLists()).toBe(1);
  await clock.advance(20_000);
  expect(takeLists()).toBe(0);
  await events.return();
});

test("changes do not shorten the growing waits after failures", async () => {
  const { clock, server, change, takeLists, events } = await setUpStream();
  takeLists();
  server.interrupt(...Array<() => Error>(9).fill(() => new TypeError("fetch failed")));
  for (let second = 0; second < 60; second += 1) {
    change();
    await clock.advance(1_000);
  }
  expect(takeLists()).toBeLessThan(5);
  await events.return();
});

test("the list is read every intervalMs while the stream is broken, until a stream is open again", async () => {
  const { clock, streams, stream, takeLists, events } = await setUpStream();
  takeLists();
  await clock.advance(6_000);
  expect(takeLists()).toBe(0);
  stream?.end();
  await clock.advance(19_000);
  expect(takeLists()).toBe(4);
  streams.push(createWrittenStream());
  await clock.advance(10_000);
  takeLists();
  await clock.advance(15_000);
  expect(takeLists()).toBe(0);
  await events.return();
  await clock.advance(0);
  expect(clock.timerCount).toBe(0);
});

test("a stream that hung twice is tried again after five minutes", async () => {
  const { clock, server } = setUp();
  const stream = createWrittenStream();
  let streams = 0;
  const fetch: Fetch = (url, init) => {
    if (!url.includes("/events")) return server.fetch(url, init);
    return (streams += 1) > 2 ? Promise.resolve(stream.response()) : new Promise(() => undefined);
  };
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  const events = environments.watch(null, { timeoutMs: 1_000 });
  follow(events);
  await clock.advance(300_000);
  expect(streams).toBe(2);
  await clock.advance(10_000);
  await events.return();
  await clock.advance(0);
  expect([streams, stream.isCancelled, clock.timerCount]).toEqual([3, true, 0]);
});

test("a wall clock that is set back does not stop the polls", async () => {
  const { clock, server, watch, takeLists } = setUp({ intervalMs: 1_000 });
  server.put({ deviceId: "d-1" });
  const events = watch();
  follow(events);
  await clock.advance(3_000);
  takeLists();
  clock.shiftWallTime(-3_600_000);
  await clock.advance(5_000);
  expect(takeLists().length).toBeGreaterThanOrEqual(4);
  await events.return();
});
