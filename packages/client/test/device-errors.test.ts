import type { ProblemCode } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { beforeEach, expect, test } from "vitest";
import {
  createTransport,
  type DeviceSelector,
  listEnvironments,
  type SendToDeviceOptions,
  sendToDevice,
  stop,
  type Transport,
  type TransportRequest,
} from "../src/index.ts";
import { createFakeServer, respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { installRandom, installClock } from "./install-clock.ts";
import { sent } from "./scripted-fetch.ts";

const base = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test" };
const hello = { agentId: "agent-1", messages: [{ role: "user" as const, content: "hello" }] };
const approval = {
  agentId: "agent-1",
  messages: [{ type: "approval" as const, approvals: [{ approve: true, tool_call_id: "call-1" }] }],
};

const upstreamError = {
  ...{ type: "urn:letta-environments:problem:upstream_error", title: "Upstream error", status: 404 },
  ...{ errorCode: "upstream_error", delivery: "none" },
};

let clock: ReturnType<typeof createVirtualClock>;
beforeEach(() => {
  clock = createVirtualClock();
  installClock(clock);
  installRandom(0);
});

function setUp() {
  const server = createFakeServer({ now: clock.now });
  server.connect("d-1");
  const transport = createTransport({ ...base, maxRetries: 0, fetch: server.fetch });
  const posts = () => server.requests.filter(({ init }) => init.method === "POST").length;
  const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
  return { server, transport, posts, row };
}

const row = (id: string, connectionId: string | null, lastHeartbeat: number) => ({
  id,
  connectedAt: null,
  connectionId,
  connectionName: "box",
  deviceId: "d-1",
  firstSeenAt: 1,
  lastHeartbeat,
  lastSeenAt: lastHeartbeat,
  organizationId: "org",
  podId: null,
});

test("an error from another source ends a send immediately, because the message may be running", async () => {
  const { server, transport } = setUp();
  const broken = Object.assign(new Error("the log store is down"), { retryable: true });
  const logged: Transport = {
    async send<Value>(request: TransportRequest<Value>) {
      const response = await transport.send(request);
      if (request.operation !== "sendMessage") return response;
      server.connect("d-1");
      throw broken;
    },
  };
  const options: SendToDeviceOptions = { waitUntilOnlineMs: 10_000, intervalMs: 1_000 };
  const ended = sendToDevice(logged, "d-1", approval, options).catch((error: unknown) => error);
  await clock.advance(20_000);
  expect(await ended).toBe(broken);
  expect(broken).not.toHaveProperty("outcome");
  expect(server.taken).toHaveLength(1);
});

test.each([undefined, null, "no", Object.assign(new Error("no"), { retryable: true })])(
  "an error thrown by a selector function reaches the caller unchanged and ends the send: %s",
  async (thrown) => {
    const { server, transport } = setUp();
    const rule = (): never => {
      throw thrown;
    };
    const ended = sendToDevice(transport, rule, hello, { waitUntilOnlineMs: 10_000 }).then(
      () => "sent",
      (error: unknown) => [error],
    );
    await clock.advance(20_000);
    expect(await ended).toEqual([thrown]);
    expect(server.requests).toHaveLength(1);
  },
);

test("a second send with an unknown outcome is not repeated, even if there is time left to wait", async () => {
  const { server, transport, posts, row: present } = setUp();
  const rotate = (respond: () => Response | Error) => () => {
    server.connect("d-1");
    return respond();
  };
  server.interrupt(
    present,
    rotate(respondWithProblem("connection_replaced")),
    present,
    rotate(() => new TypeError("fetch failed")),
  );
  const call = catchError(sendToDevice(transport, "d-1", hello, { waitUntilOnlineMs: 60_000 }));
  await clock.advance(60_000);
  expect(await call).toMatchObject({ code: "connection_failed", outcome: "unknown" });
  expect(posts()).toBe(2);
});

test.each<[ProblemCode, SendToDeviceOptions]>([
  ["input_rejected", {}],
  ["input_rejected", { waitUntilOnlineMs: 60_000 }],
  ["approval_decided", {}],
  ["approval_not_found", {}],
])("a refusal %s with the options %j is thrown at once, even if the device is gone by then", async (code, options) => {
  const { server, transport, row: present } = setUp();
  server.interrupt(present, () => {
    server.disconnect("d-1");
    return respondWithProblem(code)();
  });
  expect(await catchError(sendToDevice(transport, "d-1", hello, options))).toMatchObject({ code, outcome: "refused" });
  expect(server.requests).toHaveLength(2);
});

test.each<[string, number, object]>([
  ["without a code", 409, { message: "Remote environment is offline" }],
  ["with a code of another server", 404, { error: "gone", errorCode: "CONNECTION_NOT_FOUND" }],
  ["that the gateway passes on", 404, upstreamError],
  ["that the gateway passes on", 409, upstreamError],
])("after a refusal %s (%i), the messages go to the device's new connection", async (_what, status, body) => {
  const { server, transport, posts, row: present } = setUp();
  server.interrupt(present, () => {
    server.connect("d-1");
    return respondWithJson(status, body)();
  });
  expect(await sendToDevice(transport, "d-1", hello)).toMatchObject({ outcome: "started" });
  expect(posts()).toBe(2);
});

test.each<[DeviceSelector, () => Response]>([
  ["d-1", respondWithProblem("environment_not_found")],
  [{ name: "box" }, respondWithJson(200, { connections: [], hasNextPage: false })],
])("a device %j that is gone after a refusal without a code is reported as not found", async (selector, gone) => {
  const { server, transport } = setUp();
  const found = server.put({ deviceId: "d-1", connectionName: "box" });
  const present = respondWithJson(200, selector === "d-1" ? found : { connections: [found], hasNextPage: false });
  server.interrupt(present, respondWithJson(404, { message: "no" }), gone);
  expect(await catchError(sendToDevice(transport, selector, hello))).toMatchObject({ code: "environment_not_found" });
});

test("if the second lookup fails, the error is the refusal without a code, and its cause is the failure", async () => {
  const { server, transport, row: present } = setUp();
  server.interrupt(present, respondWithJson(404, { message: "no" }), () => new TypeError("fetch failed"));
  expect(await catchError(sendToDevice(transport, "d-1", hello))).toMatchObject({
    ...{ code: "http_error", status: 404, message: "no", outcome: "refused" },
    cause: { code: "connection_failed" },
  });
  expect(server.requests).toHaveLength(3);
});

test("a device that went offline after its connection was refused is reported as offline", async () => {
  const { server, transport, posts, row: present } = setUp();
  server.interrupt(present, () => {
    server.disconnect("d-1");
    return respondWithProblem("connection_not_found")();
  });
  const error = await catchError(sendToDevice(transport, "d-1", hello));
  expect(error).toMatchObject({ code: "device_offline", outcome: "refused", environments: [{ deviceId: "d-1" }] });
  expect(posts()).toBe(1);
});

test("an abort during the second lookup ends the call as aborted, and nothing was sent", async () => {
  const { server, transport, row: present } = setUp();
  const controller = new AbortController();
  server.interrupt(present, respondWithProblem("connection_replaced"), () => {
    controller.abort();
    return new TypeError("fetch failed");
  });
  const error = await catchError(sendToDevice(transport, "d-1", hello, { signal: controller.signal }));
  expect(error).toMatchObject({ code: "aborted", outcome: "refused" });
});

test("the outcome is unknown if a part of the body was delivered, and the error has the parts", async () => {
  const { server, transport, row: present } = setUp();
  const parts = { count: 2, delivered: 1, errorCode: "input_rejected" };
  const type = "urn:letta-environments:problem:input_rejected";
  const problem = { type, title: "Input rejected", errorCode: "input_rejected", detail: "1 of 2 parts", parts };
  server.interrupt(present, respondWithJson(409, problem));
  const body = { agentId: "agent-1", messages: [...hello.messages, ...approval.messages] };
  const error = await catchError(sendToDevice(transport, "d-1", body, { waitUntilOnlineMs: 60_000 }));
  expect(error).toMatchObject({ code: "input_rejected", outcome: "unknown", retryable: false, problem: { parts } });
  expect(server.requests).toHaveLength(2);
});

test.each<SendToDeviceOptions>([{}, { waitUntilOnlineMs: 60_000 }])(
  "a message that may be running is not sent to a new connection after the first one is gone: %j",
  async (options) => {
    const { server, posts, row: present } = setUp();
    const transport = createTransport({ ...base, maxRetries: 1, fetch: server.fetch });
    await listEnvironments(transport);
    server.interrupt(
      present,
      () => new TypeError("fetch failed"),
      () => {
        server.connect("d-1");
        return respondWithProblem("connection_not_found")();
      },
    );
    const call = catchError(sendToDevice(transport, "d-1", hello, options));
    await clock.advance(10_000);
    expect(posts()).toBe(2);
    expect(await call).toMatchObject({ code: "connection_not_found", outcome: "unknown" });
  },
);

test("a device that does not exist is refused immediately, by id and by name, and every request carries the call's headers", async () => {
  const { server, transport } = setUp();
  const options: SendToDeviceOptions = { waitUntilOnlineMs: 60_000, headers: { "x-project": "a" } };
  const byId = await catchError(sendToDevice(transport, "d-9", hello, options));
  expect(byId).toMatchObject({ code: "environment_not_found", status: 404, outcome: "refused", retryable: false });
  const byName = await catchError(sendToDevice(transport, { name: "nobody" }, hello, options));
  expect(byName).toMatchObject({ code: "environment_not_found", outcome: "refused", retryable: false });
  expect(server.requests).toHaveLength(2);
  for (const { init } of server.requests) expect(init.headers).toMatchObject({ "x-project": "a" });
});

test("a selector function receives only the row, so a function with optional parameters can be used", async () => {
  const { transport } = setUp();
  const matches = (environment: { deviceId: string }, isStrict = true): boolean =>
    isStrict && environment.deviceId === "d-1";
  await expect(sendToDevice(transport, matches, hello)).resolves.toMatchObject({ outcome: "started" });
});

test("the next lookup waits for Retry-After", async () => {
  const { server, transport } = setUp();
  server.interrupt(respondWithProblem("rate_limited", { retryAfterSeconds: 9 }));
  const options: SendToDeviceOptions = { waitUntilOnlineMs: 60_000, intervalMs: 1_000 };
  const call = sendToDevice(transport, "d-1", hello, options);
  await clock.advance(8_999);
  expect(server.requests).toHaveLength(1);
  await clock.advance(1);
  await expect(call).resolves.toMatchObject({ outcome: "started" });
});

test.each<[SendToDeviceOptions, string]>([
  [{ intervalMs: 0 }, "intervalMs"],
  [{ waitUntilOnlineMs: -1 }, "waitUntilOnlineMs"],
  [{ waitUntilOnlineMs: "5" as unknown as number }, "waitUntilOnlineMs"],
])("the options %j are refused before any request", async (options, member) => {
  const { server, transport } = setUp();
  const error = await catchError(sendToDevice(transport, "d-1", hello, options));
  expect(error).toMatchObject({ code: "invalid_argument", issues: [{ member }] });
  expect(server.requests).toEqual([]);
});

test("if a device has several rows, the one with the latest heartbeat counts, online or offline", async () => {
  const nowMs = clock.now();
  const rows = [row("1", "c-1", nowMs - 9_000), row("2", "c-2", nowMs)];
  const script = scriptFetch(respondWithJson(200, { connections: rows, hasNextPage: false }), sent);
  await sendToDevice(createTransport({ ...base, fetch: script.fetch }), { name: "box" }, hello);
  expect(script.seen[1]?.url).toContain("c-2");
  const unheard: Partial<ReturnType<typeof row>> = row("3", "c-3", nowMs);
  delete unheard.lastHeartbeat;
  const odd = [row("1", "c-1", nowMs - 9_000), unheard, row("2", "c-2", nowMs)];
  const oddly = scriptFetch(respondWithJson(200, { connections: odd, hasNextPage: false }), sent);
  await sendToDevice(createTransport({ ...base, fetch: oddly.fetch }), { name: "box" }, hello);
  expect(oddly.seen[1]?.url).toContain("c-2");
  const gone = scriptFetch(
    respondWithJson(200, { connections: [row("1", null, 1), row("2", null, 2)], hasNextPage: false }),
  );
  const error = await catchError(sendToDevice(createTransport({ ...base, fetch: gone.fetch }), { name: "box" }, hello));
  expect(error).toMatchObject({ code: "device_offline", retryable: true, environments: [{ id: "2" }, { id: "1" }] });
});

test("presence of a device found by name is decided by the server's clock", async () => {
  const { server, transport } = setUp();
  const page = { connections: [server.put({ deviceId: "d-1", connectionName: "box" })], hasNextPage: false };
  const date = new Date(clock.now()).toUTCString();
  await clock.advance(600_000);
  server.interrupt(respondWithJson(200, page, { date }));
  await expect(sendToDevice(transport, { name: "box" }, hello)).resolves.toMatchObject({ outcome: "started" });
});

test.each([
  ["with the words of the hosted API: the same message goes to the new connection", "Remote environment is offline", 2],
  ["may be about an in-flight message: nothing is sent again", "a request with this id is in progress", 1],
])("a foreign 409 %s", async (_case, message, expected) => {
  const { server, transport, posts, row: present } = setUp();
  server.interrupt(present, () => {
    server.connect("d-1");
    return respondWithJson(409, { message })();
  });
  const result = await sendToDevice(transport, "d-1", hello).catch((error: unknown) => error);
  expect(result).toMatchObject({ outcome: expected === 2 ? "started" : "unknown" });
  expect(posts()).toBe(expected);
});

test("a row with an unusable connectionId is an invalid response, and nothing is sent", async () => {
  const { server, transport, posts } = setUp();
  server.put({ deviceId: "d-1", connectionId: "../admin" });
  for (const call of [sendToDevice(transport, "d-1", hello), stop(transport, "d-1", { agentId: "a" })])
    expect(await catchError(call)).toMatchObject({
      code: "invalid_response",
      message: "invalid response: connectionId",
      outcome: "refused",
    });
  expect(posts()).toBe(0);
});
