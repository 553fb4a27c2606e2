import { createVirtualClock } from "@letta-environments/testkit";
import { beforeEach, describe, expect, test } from "vitest";
import {
  createClient,
  createTransport,
  listEnvironments,
  type ResponseMismatch,
  type TransportEvent,
} from "../src/index.ts";
import { exampleEnvironment, respondWithJson, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createHandClock, type HandClock } from "./hand-clock.ts";
import { installRandom, installClock } from "./install-clock.ts";
import { base, broken, clientOver, deduplicatingClient, emptyPage, hello, page, sent } from "./scripted-fetch.ts";

beforeEach(() => {
  createHandClock();
  installRandom(1);
});

describe("withResponse of a call", () => {
  test("withResponse resolves to the value and the response with its status and headers", async () => {
    const headers = { "x-request-id": "r-1", "cache-status": "letta-gateway; hit", ratelimit: '"reads";r=5;t=60' };
    const { data, response } = await clientOver(scriptFetch(respondWithJson(200, page, headers)))
      .list()
      .withResponse();
    expect(data).toEqual(page);
    expect(response.status).toBe(200);
    for (const [name, value] of Object.entries(headers)) expect(response.headers.get(name)).toBe(value);
  });

  test("withResponse rejects for a failed call, without another unhandled rejection", async () => {
    const error = await catchError(
      clientOver(scriptFetch(respondWithJson(404, {})))
        .retrieve("d-1")
        .withResponse(),
    );
    expect(error.status).toBe(404);
  });
});

describe("the outcome of a send", () => {
  test.each<[string, object, Record<string, string>, string]>([
    ["started", { success: true, message: "ok", disposition: "started" }, {}, "started"],
    ["queued", { success: true, message: "ok", disposition: "queued" }, {}, "queued"],
    ["accepted without further members", { success: true, message: "ok" }, {}, "accepted"],
    ["an unknown disposition", { success: true, message: "ok", disposition: "parked" }, {}, "accepted"],
    [
      "known already",
      { success: true, message: "ok", disposition: "started" },
      { "idempotency-replayed": "true" },
      "duplicate",
    ],
    ["not accepted", { success: false, message: "no" }, {}, "refused"],
  ])("the outcome of a send is read from its response: %s", async (_case, body, headers, outcome) => {
    const result = await clientOver(scriptFetch(respondWithJson(200, body, headers))).sendMessage("c-1", hello);
    expect(result).toMatchObject({ ...body, outcome });
  });

  test.each<[string, () => Response | Error, string | null]>([
    ["a broken connection", broken, "unknown"],
    [
      "no acknowledgement",
      respondWithJson(504, { errorCode: "delivery_unknown" }, { "x-should-retry": "false" }),
      "unknown",
    ],
    ["500", respondWithJson(500, {}), "unknown"],
    ["a success that cannot be read", respondWithJson(200, { ok: 1 }), "unknown"],
    ["409", respondWithJson(409, { errorCode: "device_offline" }), "refused"],
    ["409 with a code of another vendor", respondWithJson(409, { title: "x", type: 5, errorCode: "x" }), "unknown"],
    ["429", respondWithJson(429, {}), "refused"],
    ["a 503 that says that nothing was done", respondWithJson(503, {}, { "x-should-retry": "true" }), "refused"],
  ])("the outcome of an error says whether the message may be running: %s", async (_case, respond, outcome) => {
    const environments = await deduplicatingClient(scriptFetch(respond), { maxRetries: 0 });
    expect(await catchError(environments.sendMessage("c-1", hello))).toMatchObject({ outcome });
    expect(await catchError(environments.retrieve("d-1"))).not.toHaveProperty("outcome");
  });

  test("the outcome stays unknown if an attempt had no response, whatever the next response says", async () => {
    const script = scriptFetch(broken, respondWithJson(403, {}));
    const error = await catchError((await deduplicatingClient(script)).sendMessage("c-1", hello));
    expect(error).toMatchObject({ status: 403, outcome: "unknown" });
    const limited = await deduplicatingClient(scriptFetch(respondWithJson(429, {}), respondWithJson(403, {})));
    expect(await catchError(limited.sendMessage("c-1", hello))).toMatchObject({ outcome: "refused" });
  });

  test.each(["aborted", "timeout"] as const)(
    "the outcome stays refused when the wait after a 429 ends by %s",
    async (code) => {
      const controller = new AbortController();
      const clock: HandClock = createHandClock(60_000, () =>
        code === "aborted" ? controller.abort() : clock.passDeadline(),
      );
      const script = scriptFetch(respondWithJson(429, {}));
      const environments = await deduplicatingClient(script);
      const error = await catchError(environments.sendMessage("c-1", hello, { signal: controller.signal }));
      expect(error).toMatchObject({ code, outcome: "refused" });
      expect(script.seen).toHaveLength(1);
    },
  );

  test("the outcome is refused if the call was ended before anything was sent", async () => {
    const environments = clientOver(scriptFetch(sent));
    const error = await catchError(environments.sendMessage("c-1", hello, { signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ code: "aborted", outcome: "refused" });
  });
});

describe("the option idempotencyKey", () => {
  test.each([
    [true, (id: string | undefined) => id],
    ["mine", () => "mine"],
    [undefined, () => undefined],
    [false, () => undefined],
  ])(
    "every attempt sends the same Idempotency-Key with the option idempotencyKey %j",
    async (idempotencyKey, expected) => {
      const script = scriptFetch(broken, sent);
      const result = await (await deduplicatingClient(script)).sendMessage("c-1", hello, { idempotencyKey });
      const keys = script.seen.map(({ init }) => new Headers(init.headers).get("idempotency-key") ?? undefined);
      expect(keys).toEqual([expected(result.clientMessageIds[0]), expected(result.clientMessageIds[0])]);
    },
  );
});

describe("the option validate", () => {
  const odd = { connections: [{ ...exampleEnvironment({ deviceId: "d-1" }), lastSeenAt: "now" }], hasNextPage: false };

  test("validate: report, the default, calls onMismatch and returns the value", async () => {
    const told: ResponseMismatch[] = [];
    const script = scriptFetch(respondWithJson(200, odd));
    const value = await clientOver(script, { onMismatch: (mismatch) => void told.push(mismatch) }).list();
    expect(value).toEqual(odd);
    expect(told).toMatchObject([{ path: "connections[0].lastSeenAt", response: { status: 200 } }]);
  });

  test("validate: throw makes a mismatch a typed error that names the member", async () => {
    const error = await catchError(clientOver(scriptFetch(respondWithJson(200, odd)), { validate: "throw" }).list());
    expect(error).toMatchObject({
      code: "invalid_response",
      message: expect.stringContaining("connections[0].lastSeenAt"),
    });
  });

  test("validate: off does not call onMismatch", async () => {
    const told: ResponseMismatch[] = [];
    const script = scriptFetch(respondWithJson(200, odd));
    const environments = clientOver(script, { validate: "off", onMismatch: (mismatch) => void told.push(mismatch) });
    await expect(environments.list()).resolves.toEqual(odd);
    expect(told).toEqual([]);
  });

  test.each(["report", "throw", "off"] as const)(
    "validate: %s makes an unusable response an error",
    async (validate) => {
      const rows = { connections: [null], hasNextPage: false };
      for (const value of [5, null, [], { connections: 5 }, rows]) {
        const error = await catchError(clientOver(scriptFetch(respondWithJson(200, value)), { validate }).list());
        expect(error).toMatchObject({ code: "invalid_response", retryable: false });
      }
    },
  );

  test("a rejection of an asynchronous hook is ignored", async () => {
    const hook = async (): Promise<never> => Promise.reject(new Error("the log is down"));
    const hooks = { onEvent: hook, onDrift: hook, onMismatch: hook };
    const rejections: unknown[] = [];
    const note = (reason: unknown): void => void rejections.push(reason);
    process.on("unhandledRejection", note);
    await clientOver(
      scriptFetch(respondWithJson(200, { ...page, hasNextPage: true, connections: [{ id: "1" }] })),
      hooks,
    ).list();
    await new Promise((resolve) => void setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(rejections).toEqual([]);
  });

  test("an exception of a hook does not turn a good response into an error", async () => {
    const fail = (): never => {
      throw new Error("a broken log");
    };
    const hooks = { onMismatch: fail, onDrift: fail, onEvent: fail };
    await expect(clientOver(scriptFetch(respondWithJson(200, odd)), hooks).list()).resolves.toEqual(odd);
  });
});

test("a call has the events start, retry and end, all with the same call object", async () => {
  const events: TransportEvent[] = [];
  const script = scriptFetch(broken, emptyPage);
  await clientOver(script, { onEvent: (event) => void events.push(event) }).list({ limit: 5 });
  const url = "http://127.0.0.1:1/v1/environments?limit=5";
  expect(events).toMatchObject([
    { type: "start", call: { operation: "listEnvironments", method: "GET", url } },
    { type: "retry", attempt: 1, delayMs: 500, error: { code: "connection_failed" } },
    { type: "end", attempts: 2, error: undefined },
  ]);
  expect(new Set(events.map(({ call }) => call)).size).toBe(1);
});

test("the deadline of a call with a signal is a timeout, not an abort, and no retry event follows it", async () => {
  const clock = createVirtualClock();
  // The wall clock may stand still meanwhile.
  installClock({ now: () => 0, setTimer: clock.setTimer });
  const told: string[] = [];
  const fetch = (): Promise<Response> => new Promise(() => undefined);
  const { environments } = createClient({ ...base, fetch, onEvent: ({ type }) => void told.push(type) });
  const call = catchError(environments.list({}, { timeoutMs: 1_000, signal: new AbortController().signal }));
  await clock.advance(1_000);
  expect(await call).toMatchObject({ code: "timeout", retryable: true });
  expect(told).toEqual(["start", "end"]);
});

test("an aborted call ends once, even if its attempt succeeds later", async () => {
  const events: TransportEvent[] = [];
  const controller = new AbortController();
  let respond = (_response: Response): void => undefined;
  const fetch = (): Promise<Response> => {
    queueMicrotask(() => controller.abort());
    return new Promise((resolve) => void (respond = resolve));
  };
  const environments = createClient({ ...base, fetch, onEvent: (event) => void events.push(event) }).environments;
  const error = await catchError(environments.list({}, { signal: controller.signal }));
  respond(emptyPage());
  await new Promise((resolve) => void setImmediate(resolve));
  expect(error.code).toBe("aborted");
  expect(events.map(({ type }) => type)).toEqual(["start", "end"]);
});

describe("the retry budget", () => {
  test("the retry budget limits the repeats of all calls of a transport, so that load on a failing server is not multiplied", async () => {
    const script = scriptFetch(respondWithJson(503, {}));
    const transport = createTransport({ ...base, fetch: script.fetch });
    for (let call = 0; call < 20; call += 1) await catchError(listEnvironments(transport));
    expect(script.seen).toHaveLength(20 + 10);
  });

  test("the retry budget grows by one for every ten successes, up to its size", async () => {
    let isFailing = true;
    let requests = 0;
    const fetch = async (): Promise<Response> => {
      requests += 1;
      return isFailing ? respondWithJson(503, {})() : emptyPage();
    };
    const transport = createTransport({ ...base, fetch });
    const fail = async (calls: number): Promise<number> => {
      isFailing = true;
      const before = requests;
      for (let call = 0; call < calls; call += 1) await catchError(listEnvironments(transport));
      return requests - before - calls;
    };
    const succeed = async (calls: number): Promise<void> => {
      isFailing = false;
      for (let call = 0; call < calls; call += 1) await listEnvironments(transport);
    };
    expect(await fail(20)).toBe(10);
    await succeed(9);
    expect(await fail(20)).toBe(0);
    await succeed(1);
    expect(await fail(20)).toBe(1);
    await succeed(25);
    expect(await fail(20)).toBe(2);
    await succeed(300);
    expect(await fail(20)).toBe(10);
  });
});

test("headers of the client and of the call are sent, and none of them replaces the key", async () => {
  const script = scriptFetch(emptyPage);
  const headers = { "x-project": "a", authorization: "Bearer other" };
  await clientOver(script, { headers }).list({}, { headers: { traceparent: "00-1-2-01" } });
  expect(script.seen[0]?.init.headers).toEqual({
    "x-project": "a",
    traceparent: "00-1-2-01",
    accept: "application/json",
    authorization: "Bearer lek_test",
  });
});

test("timeout, the official SDK's name, works, and timeoutMs takes precedence", async () => {
  const timers: number[] = [];
  installClock({ now: () => 0, setTimer: (delayMs) => (timers.push(delayMs), () => undefined) });
  const environments = clientOver(scriptFetch(emptyPage));
  await environments.list({}, { timeout: 1_000 });
  await environments.list({}, { timeout: 1_000, timeoutMs: 2_000 });
  expect(timers).toEqual([1_000, 2_000]);
});
