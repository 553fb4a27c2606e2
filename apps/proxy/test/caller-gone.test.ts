/** Callers who disconnect: a request that was sent runs to its end, and the audit log has its result. The first tests use the embedded server. */
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test, vi } from "vitest";
import { controlKey, createDeviceWorld, type ObservedProxy, observeProxy } from "./support/device-world.ts";
import { environmentRow } from "./support/environment-row.ts";
import { createTestProxy } from "./support/test-proxy.ts";

test("a message that was sent runs to its end when its caller disconnects, and the audit log has its result", async () => {
  const { send, acknowledge, entries, issueKey, clock } = await createDeviceWorld();
  const { key } = await issueKey({ scopes: ["send"] });
  const caller = new AbortController();
  const response = send(key, "1", { signal: caller.signal });
  await clock.advance(600);
  caller.abort();
  await clock.advance(5_400);
  expect(entries.map(({ type }) => type)).toEqual(["send_started"]);
  acknowledge();
  expect((await response).status).toBe(200);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 200, code: null });
});

test("a message whose caller disconnects has its result in the audit log even if the device never acknowledges it", async () => {
  const { send, entries, issueKey, clock } = await createDeviceWorld();
  const { key } = await issueKey({ scopes: ["send"] });
  const caller = new AbortController();
  const response = send(key, "1", { signal: caller.signal });
  await clock.advance(0);
  caller.abort();
  await clock.advance(30_000);
  await response;
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 504, code: "delivery_unknown" });
});

test("a caller that waits for the end of a turn and disconnects ends the wait, and the message is delivered", async () => {
  const { send, acknowledge, entries, issueKey, clock } = await createDeviceWorld();
  const { key } = await issueKey({ scopes: ["send", "read"] });
  const caller = new AbortController();
  const response = send(key, "1", { signal: caller.signal, headers: { prefer: "wait=30" } });
  await clock.advance(0);
  acknowledge();
  await clock.advance(5_000);
  expect(entries.map(({ type }) => type)).toEqual(["send_started"]);
  caller.abort();
  await clock.advance(0);
  expect((await response).status).toBe(200);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 200, code: null });
});

test("a message whose caller disconnects before it is sent is not sent, and the audit log does not wait", async () => {
  const { send, entries, frames, issueKey, clock } = await createDeviceWorld(undefined, { reportsModes: false });
  const { key } = await issueKey({ scopes: ["send"], setMode: "standard" });
  const earlier = send(key, "1");
  const caller = new AbortController();
  const response = send(key, "2", { signal: caller.signal });
  await clock.advance(1_000);
  caller.abort();
  expect((await response).status).toBe(499);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 499 });
  await clock.advance(30_000);
  await earlier;
  expect(frames.map(({ type }) => type)).not.toContain("input");
});

test("a command that was sent has its result in the audit log even if its caller disconnects", async () => {
  const { control, entries, issueKey, connectionId, clock } = await createDeviceWorld(undefined, {
    reportsModes: false,
  });
  const { key } = await issueKey(controlKey);
  const caller = new AbortController();
  const mode = { agentId: "agent-1", mode: "standard" };
  const response = control(key, `${connectionId}/mode`, mode, { signal: caller.signal });
  await clock.advance(0);
  caller.abort();
  await clock.advance(10_000);
  await response;
  expect(entries.at(-1)).toMatchObject({ type: "control_finished", status: 504, code: "control_unknown" });
});

describe.each([
  ["stop", { agentId: "agent-1" }],
  ["mode", { agentId: "agent-1", mode: "standard" }],
])("commands with a remote upstream: %s", (operation, body) => {
  const connections = [environmentRow("1", { deviceId: "device-1", connectionId: "conn-1" })];

  /** A gateway whose upstream responds to the command, and whose audit log stores its start, when the test says so. */
  function setUp() {
    const [responding, storing] = [Promise.withResolvers<PlainResponse>(), Promise.withResolvers<undefined>()];
    const signals: AbortSignal[] = [];
    const world: ObservedProxy = observeProxy((ports) =>
      createTestProxy(
        async ({ method }, signal) => {
          if (method === "GET") return jsonResponse(200, { connections, hasNextPage: false });
          signals.push(signal);
          return responding.promise;
        },
        { ports: { ...ports, audit: { append: (entry) => storing.promise.then(() => ports.audit.append(entry)) } } },
      ),
    );
    const caller = new AbortController();
    const command = async (): Promise<PlainResponse> => {
      const { key } = await world.issueKey(controlKey);
      return world.control(key, `conn-1/${operation}`, body, { signal: caller.signal });
    };
    return { ...world, responding, storing, signals, caller, command };
  }

  test("a command that was sent continues when its caller disconnects, and the audit log has its result", async () => {
    const { command, responding, storing, signals, caller, entries } = setUp();
    storing.resolve(undefined);
    const response = command();
    await vi.waitFor(() => expect(signals).toHaveLength(1));
    caller.abort();
    responding.resolve(jsonResponse(200, body));
    expect((await response).status).toBe(200);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    expect(entries.at(-1)).toMatchObject({ type: "control_finished", status: 200, code: null });
  });

  test.each<[string, number, (world: ReturnType<typeof setUp>) => unknown]>([
    ["caller disconnects", 499, ({ caller }) => caller.abort()],
    ["time is over", 504, ({ clock }) => clock.advance(30_000)],
  ])("a command whose %s before its start is stored is not sent", async (_what, status, end) => {
    const world = setUp();
    world.responding.resolve(jsonResponse(200, body));
    const response = world.command();
    await vi.waitFor(() => expect(world.upstreamRequests).toHaveLength(1));
    await world.clock.advance(0);
    await end(world);
    world.storing.resolve(undefined);
    expect((await response).status).toBe(status);
    expect(world.signals).toEqual([]);
    expect(world.entries.at(-1)).toMatchObject({ type: "control_finished", status });
  });
});
