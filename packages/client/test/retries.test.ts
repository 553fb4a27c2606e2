import { beforeEach, describe, expect, test, vi } from "vitest";
import type { RequestOptions, SendMessageInput } from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { createHandClock, type HandClock } from "./hand-clock.ts";
import { installRandom } from "./install-clock.ts";
import {
  broken,
  clientOver,
  deduplicatingClient,
  emptyPage,
  hello,
  json,
  scriptFetch,
  sent,
} from "./scripted-fetch.ts";

const approval: SendMessageInput = {
  messages: [{ type: "approval", approvals: [{ approve: true, tool_call_id: "t-1" }] }],
};

let clock: HandClock;
beforeEach(() => {
  clock = createHandClock();
  installRandom(1);
});

describe("repeats of reads", () => {
  test.each([
    ["a broken connection", broken],
    ["429", json(429, {})],
    ["500", json(500, {})],
    ["503", json(503, {})],
    ["a 409 that may be repeated", json(409, {}, { "x-should-retry": "true" })],
  ])("a read is repeated after %s, with growing waits, at most twice by default", async (_case, failure) => {
    const script = scriptFetch(failure, failure, emptyPage);
    await expect(clientOver(script).list()).resolves.toEqual({ connections: [], hasNextPage: false });
    expect(clock.waits).toEqual([500, 1_000]);
    const failing = scriptFetch(failure);
    const error = await catchError(clientOver(failing).list());
    expect(error.retryable).toBe(true);
    expect(failing.seen).toHaveLength(3);
  });

  test.each([
    ["400", json(400, {})],
    ["404", json(404, {})],
    ["409", json(409, {})],
    ["a 503 that may not be repeated", json(503, {}, { "x-should-retry": "false" })],
    ["a success of another shape", json(200, { connections: 5 })],
  ])("a read is not repeated after %s", async (_case, failure) => {
    const script = scriptFetch(failure);
    const error = await catchError(clientOver(script).list());
    expect(error.retryable).toBe(false);
    expect(script.seen).toHaveLength(1);
  });

  test("a read is repeated as often as the call's maxRetries says, or else the client's", async () => {
    const counts = await Promise.all(
      [
        [0, {}],
        [4, {}],
        [4, { maxRetries: 1 }],
      ].map(async ([maxRetries, options]) => {
        const script = scriptFetch(broken);
        const client = clientOver(script, { maxRetries: maxRetries as number });
        await catchError(client.list({}, options as RequestOptions));
        return script.seen.length;
      }),
    );
    expect(counts).toEqual([1, 5, 2]);
  });
});

describe("sends to a server that deduplicates", () => {
  test("a send is repeated after a broken connection, byte for byte, under the same generated id", async () => {
    const script = scriptFetch(broken, broken, sent);
    const result = await (await deduplicatingClient(script)).sendMessage("c-1", hello);
    const bodies = script.seen.map(({ body }) => body);
    expect(bodies).toHaveLength(3);
    expect(new Set(bodies).size).toBe(1);
    expect(bodies[0]).toContain(String(result.clientMessageIds[0]));
  });

  test("two calls are sent under different ids", async () => {
    const client = clientOver(scriptFetch(sent));
    const first = await client.sendMessage("c-1", hello);
    const second = await client.sendMessage("c-1", hello);
    expect(first.clientMessageIds).not.toEqual(second.clientMessageIds);
  });

  test.each([
    ["429", json(429, {}), hello],
    ["a 503 that may be repeated", json(503, {}, { "x-should-retry": "true" }), hello],
    ["429, with an approval", json(429, {}), approval],
  ])("a send is repeated after %s", async (_case, failure, body) => {
    const script = scriptFetch(failure, sent);
    await expect((await deduplicatingClient(script)).sendMessage("c-1", body)).resolves.toMatchObject({
      success: true,
    });
    expect(script.seen).toHaveLength(2);
  });

  test.each([
    ["500", json(500, {}), hello],
    ["503", json(503, {}), hello],
    ["504", json(504, {}), hello],
    ["408", json(408, {}), hello],
    ["409", json(409, {}), hello],
    ["a 429 that may not be repeated", json(429, {}, { "x-should-retry": "false" }), hello],
    ["a 502 that may be repeated, with an approval", json(502, {}, { "x-should-retry": "true" }), approval],
    ["a broken connection, with an approval", broken, approval],
    [
      "a broken connection, with an approval that has the role of a user message",
      broken,
      { messages: approval.messages.map((message) => ({ ...message, role: "user" })) } as SendMessageInput,
    ],
    [
      "a broken connection, with an approval among messages",
      broken,
      { messages: [...hello.messages, ...approval.messages] },
    ],
  ])("a send is not repeated after %s; the error contains the message ids", async (_case, failure, body) => {
    const script = scriptFetch(failure);
    const error = await catchError((await deduplicatingClient(script)).sendMessage("c-1", body));
    expect(error.retryable).toBe(false);
    expect(script.seen).toHaveLength(1);
    const users = body.messages.filter((message) => !("approvals" in message));
    expect(error.clientMessageIds).toHaveLength(users.length);
    for (const id of error.clientMessageIds ?? []) expect(script.seen[0]?.body).toContain(id);
  });
});

describe("delays requested by the server", () => {
  test.each([
    [{ "retry-after": "7" }, 7_500],
    [{ "retry-after-ms": "1250", "retry-after": "9" }, 1_750],
    [{ "retry-after": "60" }, 60_500],
    [{ "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" }, 500],
    [{ "retry-after": "0" }, 500],
  ])("a retry waits for the delay of %j plus half a second of jitter: %i ms", async (headers, delayMs) => {
    clock = createHandClock(120_000);
    const script = scriptFetch(json(429, {}, headers), emptyPage);
    await clientOver(script, { timeoutMs: 120_000 }).list();
    expect(clock.waits).toEqual([delayMs]);
  });

  test("a delay of more than a minute ends the call immediately, and the error contains it", async () => {
    clock = createHandClock(900_000_000);
    const script = scriptFetch(json(429, {}, { "retry-after": "3600" }));
    const error = await catchError(clientOver(script, { timeoutMs: 900_000_000 }).list());
    expect(error).toMatchObject({ status: 429, retryable: true, retryAfterMs: 3_600_000 });
    expect(clock.waits).toEqual([]);
  });

  test("a delay given as a date is measured against the server's clock, because the local one may be wrong", async () => {
    const clock = createHandClock();
    const date = (afterMs: number): string => new Date(clock.now() + 3_600_000 + afterMs).toUTCString();
    const headers = { date: date(0), "retry-after": date(4_000) };
    await clientOver(scriptFetch(json(429, {}, headers), emptyPage)).list();
    expect(clock.waits).toEqual([4_500]);
  });

  test("a delay that exceeds the deadline ends the call immediately with the server's error", async () => {
    clock = createHandClock(5_000);
    const script = scriptFetch(json(503, {}, { "retry-after": "5" }));
    const error = await catchError(clientOver(script, { timeoutMs: 5_000 }).list());
    expect(error).toMatchObject({ code: "http_error", status: 503, retryAfterMs: 5_000 });
    expect(clock.waits).toEqual([]);
  });

  test("delays count towards the deadline over all attempts", async () => {
    clock = createHandClock(10_000);
    const script = scriptFetch(json(503, {}, { "retry-after": "4" }));
    const error = await catchError(clientOver(script, { timeoutMs: 10_000, maxRetries: 9 }).list());
    expect(error.status).toBe(503);
    expect(clock.waits).toEqual([4_500, 5_000]);
  });
});

test("back-off doubles up to eight seconds and is shortened at random", async () => {
  clock = createHandClock(900_000);
  installRandom(0.5);
  await catchError(clientOver(scriptFetch(broken), { maxRetries: 7, timeoutMs: 900_000 }).list());
  expect(clock.waits).toEqual([250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
});

test("a delay requested by the server has jitter on top, so that not all clients come back at once", async () => {
  for (const [random, delayMs] of [
    [0, 1_000],
    [0.5, 1_250],
  ] as const) {
    clock = createHandClock();
    installRandom(random);
    await clientOver(scriptFetch(json(503, {}, { "retry-after": "1" }), emptyPage)).list();
    expect(clock.waits).toEqual([delayMs]);
  }
});

describe("the end of a wait for a retry", () => {
  test("a wait for a retry ends when the caller aborts", async () => {
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    clock = createHandClock(60_000, () => controller.abort(reason));
    const script = scriptFetch(json(429, {}, { "retry-after": "30" }));
    const environments = await deduplicatingClient(script);
    const error = await catchError(environments.sendMessage("c-1", hello, { signal: controller.signal }));
    expect(error).toMatchObject({
      code: "aborted",
      retryable: false,
      cause: reason,
      clientMessageIds: [expect.any(String)],
    });
    expect(script.seen).toHaveLength(1);
    expect(clock.open()).toBe(0);
  });

  test("a wait for a retry ends when the deadline passes", async () => {
    clock = createHandClock(60_000, () => clock.passDeadline());
    const error = await catchError(clientOver(scriptFetch(broken)).list());
    expect(error).toMatchObject({ code: "timeout", retryable: true });
    expect(clock.open()).toBe(0);
  });
});

test("the fake timers of a test runner drive a call", async () => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useFakeTimers();
  installRandom(0);
  try {
    const script = scriptFetch(json(429, {}, { "retry-after": "30" }), emptyPage);
    const call = clientOver(script).list();
    await vi.advanceTimersByTimeAsync(29_999);
    expect(script.seen).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    await expect(call).resolves.toMatchObject({ hasNextPage: false });
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("no call leaves a timer, however it ends", async () => {
  for (const respond of [emptyPage, broken, json(404, {}), json(503, {}), json(200, 5)]) {
    await clientOver(scriptFetch(respond))
      .list()
      .catch(() => undefined);
    expect(clock.open()).toBe(0);
  }
});
