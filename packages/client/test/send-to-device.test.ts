import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createClient, type Fetch, type SendToDeviceOptions } from "../src/index.ts";
import { createFakeServer, exampleEnvironment, respondWithJson, respondWithProblem } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { installRandom, installClock } from "./install-clock.ts";

const hello = { agentId: "agent-1", messages: [{ role: "user" as const, content: "hello" }] };

function setUp() {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.5);
  const server = createFakeServer({ now: clock.now });
  const options = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: server.fetch };
  return { clock, server, environments: createClient(options).environments };
}

test("a name that is not a string is refused before any request", async () => {
  const server = createFakeServer();
  const { environments } = createClient({ baseUrl: "https://fake.example", apiKey: "key", fetch: server.fetch });
  const name = 5 as unknown as string;
  const error = await catchError(
    environments.sendToDevice({ name }, { agentId: "a", messages: [{ role: "user", content: "x" }] }),
  );
  expect([error.code, server.requests.length]).toEqual(["invalid_argument", 0]);
});

test.each([{ deviceId: null }, { deviceId: 5, name: "box" }, {}, null, []])(
  "the selector %j is refused before any request",
  async (device) => {
    const server = createFakeServer();
    const { environments } = createClient({ baseUrl: "https://fake.example", apiKey: "key", fetch: server.fetch });
    const error = await catchError(environments.sendToDevice(device as unknown as string, hello));
    expect([error.code, server.requests.length]).toEqual(["invalid_argument", 0]);
  },
);

test.each<[string, unknown]>([
  ["a promise", Promise.resolve(false)],
  ["a text", "d-1"],
  ["a number", 1],
])(
  "a selector function that returns %s selects no device, because it would match all of them",
  async (_case, result) => {
    const { server, environments } = setUp();
    server.connect("d-1");
    for (const call of [
      environments.sendToDevice((() => result) as () => boolean, hello),
      environments.stop((() => result) as () => boolean, { agentId: "agent-1" }),
    ])
      expect(await catchError(call)).toMatchObject({
        code: "invalid_argument",
        message: "device(environment) must be true or false",
      });
    expect(posts(server)).toBe(0);
  },
);

test("a selector function that returns undefined does not match", async () => {
  const { server, environments } = setUp();
  server.connect("d-1");
  const error = await catchError(environments.sendToDevice((() => undefined) as unknown as () => boolean, hello));
  expect(error.code).toBe("environment_not_found");
});

test("a selector with a deviceId selects this device, whatever name it has as well", async () => {
  const { server, environments } = setUp();
  for (const deviceId of ["d-1", "d-2"]) server.connect(deviceId);
  server.put({ deviceId: "d-1", connectionName: "box" });
  const device = { deviceId: "d-2", name: "box" };
  expect((await environments.sendToDevice(device, hello)).environment.deviceId).toBe("d-2");
});

const posts = (server: ReturnType<typeof createFakeServer>): number =>
  server.requests.filter(({ init }) => init.method === "POST").length;

describe("selectors of devices", () => {
  test.each([
    ["its id", "d-1"],
    ["its id as a selector", { deviceId: "d-1" }],
    ["its name", { name: "box" }],
    ["a rule", (environment: { deviceId: string }) => environment.deviceId.endsWith("1")],
  ])("a device is selected by %s, and the send goes to its live connection", async (_case, device) => {
    const { server, environments } = setUp();
    server.put({ deviceId: "d-0" });
    server.put({ deviceId: "d-1", connectionName: "box" });
    const connectionId = server.connect("d-1");
    const result = await environments.sendToDevice(device, hello);
    expect(result).toMatchObject({ outcome: "started", environment: { deviceId: "d-1", connectionId } });
    expect(server.taken).toMatchObject([{ deviceId: "d-1", connectionId }]);
  });

  test("a device is selected by a name on a later page", async () => {
    const { server, environments } = setUp();
    for (let index = 100; index < 250; index += 1)
      server.put({ deviceId: `d-${index}`, connectionName: `box-${index}` });
    server.connect("d-249");
    await environments.sendToDevice({ name: "box-249" }, hello);
    expect(server.requests).toHaveLength(3);
  });

  test("a name that several devices have selects the only one that is online", async () => {
    const { server, environments } = setUp();
    for (const deviceId of ["d-1", "d-2"]) server.put({ deviceId, connectionName: "box" });
    server.connect("d-2");
    await expect(environments.sendToDevice({ name: "box" }, hello)).resolves.toMatchObject({
      environment: { deviceId: "d-2" },
    });
  });

  test("a name that several online devices have is a typed error with their rows, and nothing is sent", async () => {
    const { server, environments } = setUp();
    for (const deviceId of ["d-1", "d-2"]) {
      server.put({ deviceId, connectionName: "box" });
      server.connect(deviceId);
    }
    const error = await catchError(environments.sendToDevice({ name: "box" }, hello));
    expect(error).toMatchObject({ code: "ambiguous_device", outcome: "refused", retryable: false });
    expect(error.environments?.map(({ deviceId }) => deviceId).sort()).toEqual(["d-1", "d-2"]);
    expect(posts(server)).toBe(0);
  });

  test.each([
    ["an unknown id", "d-9"],
    ["an unknown name", { name: "nobody" }],
  ])("a send to %s is a typed error, and nothing is sent", async (_case, device) => {
    const { server, environments } = setUp();
    const error = await catchError(environments.sendToDevice(device, hello));
    expect(error).toMatchObject({
      code: "environment_not_found",
      outcome: "refused",
      clientMessageIds: [expect.any(String)],
    });
    expect(posts(server)).toBe(0);
  });

  test("a value that is not an id, or a body that breaks a rule, is a typed error before any request", async () => {
    const { server, environments } = setUp();
    for (const device of ["", "..", "a/b", null, { deviceId: "x y" }])
      expect(await catchError(environments.sendToDevice(device as string, hello))).toMatchObject({
        code: "invalid_argument",
      });
    expect(await catchError(environments.sendToDevice("d-1", { messages: [] }))).toMatchObject({
      code: "invalid_argument",
    });
    expect(server.requests).toEqual([]);
  });
});

describe("devices that are offline", () => {
  test("an offline device is refused before anything is sent, with its row and the message ids", async () => {
    const { server, environments } = setUp();
    server.put({ deviceId: "d-1" });
    const error = await catchError(environments.sendToDevice("d-1", hello));
    expect(error).toMatchObject({
      code: "device_offline",
      outcome: "refused",
      environments: [{ deviceId: "d-1" }],
      clientMessageIds: [expect.any(String)],
    });
    expect(posts(server)).toBe(0);
  });

  test("a device whose last heartbeat is 120 seconds old is offline, even if the row has a connection", async () => {
    const { clock, server, environments } = setUp();
    server.connect("d-1");
    await clock.advance(119_999);
    await expect(environments.sendToDevice("d-1", hello)).resolves.toMatchObject({ success: true });
    await clock.advance(1);
    expect(await catchError(environments.sendToDevice("d-1", hello))).toMatchObject({ code: "device_offline" });
  });

  test("a device's presence is decided by the server's clock if the response has a Date, because the local clock may be wrong", async () => {
    const { clock, server, environments } = setUp();
    server.connect("d-1");
    const [row] = [server.put({ deviceId: "d-1" })];
    const date = new Date(clock.now()).toUTCString();
    await clock.advance(600_000);
    server.interrupt(respondWithJson(200, row, { date }));
    await expect(environments.sendToDevice("d-1", hello)).resolves.toMatchObject({ success: true });
  });

  test("a send can wait for an offline device, and is sent when it comes online", async () => {
    const { clock, server, environments } = setUp();
    server.put({ deviceId: "d-1" });
    const call = environments.sendToDevice("d-1", hello, { waitUntilOnlineMs: 60_000 });
    await clock.advance(10_000);
    expect(posts(server)).toBe(0);
    server.connect("d-1");
    await clock.advance(2_000);
    await expect(call).resolves.toMatchObject({ outcome: "started" });
    expect(clock.timerCount).toBe(0);
  });

  test("a wait for an offline device survives transient failures, but never exceeds waitUntilOnlineMs", async () => {
    const { clock, server, environments } = setUp();
    const options: SendToDeviceOptions = { waitUntilOnlineMs: 10_000, maxRetries: 0 };
    server.put({ deviceId: "d-1" });
    const patient = environments.sendToDevice("d-1", hello, options);
    await clock.advance(1_000);
    server.connect("d-1");
    server.interrupt(() => new Error("restarting"));
    await clock.advance(4_000);
    await expect(patient).resolves.toMatchObject({ outcome: "started" });
    server.put({ deviceId: "d-1", connectionId: null });
    const vain = catchError(environments.sendToDevice("d-1", hello, options));
    await clock.advance(1_000);
    server.interrupt(...Array.from({ length: 9 }, () => () => new Error("gone")));
    await clock.advance(10_000);
    expect(await vain).toMatchObject({ code: "connection_failed", outcome: "refused" });
    expect(clock.timerCount).toBe(0);
  });

  test("an offline device is not looked up again before Retry-After, even if the wait ends first", async () => {
    const { clock, server, environments } = setUp();
    const busy = respondWithProblem("overloaded", { headers: { "retry-after": "120" } });
    server.interrupt(busy, busy);
    const options = { waitUntilOnlineMs: 10_000, maxRetries: 0 };
    const failure = catchError(environments.sendToDevice("d-1", hello, options));
    await clock.advance(0);
    expect(await failure).toMatchObject({ code: "overloaded", retryAfterMs: 120_000, outcome: "refused" });
    expect([server.requests.length, clock.timerCount]).toEqual([1, 0]);
  });

  test("a send to a device that stays offline is refused when the wait is over", async () => {
    const { clock, server, environments } = setUp();
    server.put({ deviceId: "d-1" });
    const call = catchError(environments.sendToDevice("d-1", hello, { waitUntilOnlineMs: 5_000 }));
    await clock.advance(5_000);
    expect(await call).toMatchObject({ code: "device_offline", outcome: "refused" });
    expect(clock.timerCount).toBe(0);
  });

  test("a wait for an offline device ends when the caller aborts, and leaves no timer", async () => {
    const { clock, server, environments } = setUp();
    server.put({ deviceId: "d-1" });
    const controller = new AbortController();
    const options: SendToDeviceOptions = { waitUntilOnlineMs: 60_000, signal: controller.signal };
    const call = catchError(environments.sendToDevice("d-1", hello, options));
    await clock.advance(3_000);
    controller.abort();
    expect(await call).toMatchObject({ code: "aborted", outcome: "refused" });
    expect(clock.timerCount).toBe(0);
  });
});

describe("devices with a new connection", () => {
  test.each(["connection_not_found", "connection_replaced", "device_offline"] as const)(
    "a refusal %s looks the device up once more, and the same message goes to the new connection under the same ids",
    async (code) => {
      const { server, environments } = setUp();
      server.connect("d-1");
      server.interrupt(
        () => respondWithJson(200, server.put({ deviceId: "d-1" }))(),
        () => {
          server.connect("d-1");
          return respondWithProblem(code)();
        },
      );
      const result = await environments.sendToDevice("d-1", hello);
      const bodies = server.requests.filter(({ init }) => init.method === "POST").map(({ body }) => body);
      expect(bodies).toHaveLength(2);
      expect(new Set(bodies).size).toBe(1);
      expect(server.taken).toMatchObject([{ connectionId: "env-conn-2" }]);
      expect(result.environment.connectionId).toBe("env-conn-2");
    },
  );

  test("a second refusal is thrown: the device is looked up exactly once more", async () => {
    const { server, environments } = setUp();
    server.connect("d-1");
    const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
    const rotate = () => {
      server.connect("d-1");
      return respondWithProblem("connection_replaced")();
    };
    server.interrupt(row, rotate, row, rotate);
    expect(await catchError(environments.sendToDevice("d-1", hello))).toMatchObject({ code: "connection_replaced" });
    expect(posts(server)).toBe(2);
  });

  test.each(["agent_not_allowed", "rate_limited", "delivery_unknown"] as const)(
    "a refusal %s does not look the device up again",
    async (code) => {
      const { server, environments } = setUp();
      server.connect("d-1");
      const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
      server.interrupt(row, respondWithProblem(code, { retryable: false }));
      expect(await catchError(environments.sendToDevice("d-1", hello))).toMatchObject({ code });
      expect(server.requests).toHaveLength(2);
    },
  );

  test("a refusal of the connection that the device still has is thrown, and nothing is sent again", async () => {
    const { server, environments } = setUp();
    server.connect("d-1");
    const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
    server.interrupt(row, respondWithProblem("device_offline"));
    expect(await catchError(environments.sendToDevice("d-1", hello))).toMatchObject({
      code: "device_offline",
      status: 409,
    });
    expect(posts(server)).toBe(1);
  });
});

describe("devices that the list still shows online, and whose connection is refused", () => {
  test.each(["connection_not_found", "connection_replaced", "device_offline"] as const)(
    "a message refused with %s waits for the next connection with waitUntilOnlineMs",
    async (code) => {
      const { clock, server, environments } = setUp();
      server.connect("d-1");
      const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
      server.interrupt(row, respondWithProblem(code), row, row);
      const call = environments.sendToDevice("d-1", hello, { waitUntilOnlineMs: 60_000 });
      await clock.advance(2_000);
      server.connect("d-1");
      await clock.advance(2_000);
      expect((await call).environment.connectionId).toBe("env-conn-2");
      expect(posts(server)).toBe(2);
      expect(clock.timerCount).toBe(0);
    },
  );

  test("the refusal of a device that the list shows online is thrown when the wait is over, after one send", async () => {
    const { clock, server, environments } = setUp();
    server.connect("d-1");
    const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
    server.interrupt(row, respondWithProblem("device_offline"), row, row, row, row);
    const call = catchError(environments.sendToDevice("d-1", hello, { waitUntilOnlineMs: 5_000 }));
    await clock.advance(5_000);
    expect(await call).toMatchObject({ code: "device_offline", status: 409, outcome: "refused" });
    expect(posts(server)).toBe(1);
  });
});

describe("decisions on tool calls", () => {
  test("approve allows a tool call and can replace its input", async () => {
    const { server, environments } = setUp();
    server.connect("d-1");
    await environments.approve("d-1", "call-1", { agentId: "agent-1", updatedInput: { path: "/tmp" } });
    expect(server.taken[0]?.body).toEqual({
      agentId: "agent-1",
      messages: [
        {
          type: "approval",
          approvals: [{ type: "approval", approve: true, tool_call_id: "call-1", updated_input: { path: "/tmp" } }],
        },
      ],
    });
  });

  test("deny refuses several tool calls with a reason, and is not repeated after a broken connection", async () => {
    const { server, environments } = setUp();
    server.connect("d-1");
    const row = () => respondWithJson(200, server.put({ deviceId: "d-1" }))();
    server.interrupt(row, () => new TypeError("fetch failed"));
    const error = await catchError(environments.deny("d-1", ["call-1", "call-2"], { reason: "No." }));
    expect(error).toMatchObject({ code: "connection_failed", retryable: false, outcome: "unknown" });
    const [body] = server.requests
      .filter(({ init }) => init.method === "POST")
      .map((request) => JSON.parse(request.body));
    expect(body.messages[0].approvals).toEqual([
      { type: "approval", approve: false, tool_call_id: "call-1", reason: "No." },
      { type: "approval", approve: false, tool_call_id: "call-2", reason: "No." },
    ]);
    expect(posts(server)).toBe(1);
  });

  test("an empty list of tool calls is refused before any request", async () => {
    const { server, environments } = setUp();
    expect(await catchError(environments.approve("d-1", []))).toMatchObject({ code: "invalid_argument" });
    expect(server.requests).toEqual([]);
  });
});

test("waiting for a device ends in time, even if lookups are slow", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  const startedAtMs = clock.now();
  const seconds: number[] = [];
  const offline = exampleEnvironment({ deviceId: "d-1", connectionId: null });
  const fetch: Fetch = () => {
    seconds.push((clock.now() - startedAtMs) / 1_000);
    return new Promise((resolve) => void clock.setTimer(20_000, () => resolve(respondWithJson(200, offline)())));
  };
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  const options = { waitUntilOnlineMs: 30_000, intervalMs: 25_000 };
  const failure = catchError(environments.sendToDevice("d-1", hello, options));
  await clock.advance(60_000);
  expect(await failure).toMatchObject({ code: "device_offline" });
  // The last lookup starts when the time is over.
  expect(seconds).toEqual([0, 30]);
});
