import { randomBytes } from "node:crypto";
import { ValkeyError, type ValkeyConnection } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, type LaunchedValkey, launchValkey } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createMemoryApprovalLog,
  createMemoryChangeLog,
  createMemoryMessageLog,
  type EnvironmentStore,
  type SeparateLogs,
  withSeparateLogs,
} from "../src/index.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createValkeyApprovalLog, createValkeyChangeLog, createValkeyMessageLog } from "../src/valkey/index.ts";
import { listen, settleEvents } from "./support/event-streams.ts";
import { createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const newEpoch = (): string => randomBytes(8).toString("hex");

function createStore(logs: SeparateLogs): EnvironmentStore {
  return withSeparateLogs(createSqliteEnvironmentStore(openSqlite(":memory:")), logs);
}

/** Waits for real time to pass until a value is as expected: a real server responds at any time. */
const eventually = (read: () => Promise<unknown>, expected: unknown): Promise<void> =>
  expect.poll(read, { timeout: 5_000, interval: 5 }).toEqual(expected);

const stateOf = async ({ call }: Harness, connectionId: string, id: string): Promise<unknown> =>
  (await call("GET", `/v1/environments/${connectionId}/messages/${id}`)).body["state"];

const approvalsOf = async ({ call }: Harness): Promise<unknown> => {
  const { body } = await call("GET", "/v1/environments/approvals", { principal: withApprove });
  return (body["approvals"] as { id: string }[]).map(({ id }) => id);
};

async function sendTo(harness: Harness, device: Awaited<ReturnType<Harness["connect"]>>, id: string): Promise<void> {
  const sent = harness.send(device.connectionId, { messages: [userMessage(id)] });
  await settleEvents(harness);
  device.socket.acknowledge({ accepted: true, disposition: "started" });
  expect((await sent).status).toBe(200);
}

function describeServer(name: string, createLogs: () => SeparateLogs): void {
  describe(`a server with rows in SQLite and logs ${name}`, () => {
    test("statuses, requests for permission and events survive a restart", async () => {
      const store = createStore(createLogs());
      const before = createHarness({ store });
      const reader = await listen(before, { principal: withApprove });
      await eventually(async () => (await store.listRecordings()).length, 1);
      const device = await before.connect("device-a");
      await sendTo(before, device, "m-1");
      device.socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
      device.socket.ask("call-1");
      await eventually(async () => reader.events.map(({ type }) => type).includes("approval"), true);
      await before.server.close();
      const count = reader.events.length;

      const after = createHarness({ store, clock: before.clock });
      await eventually(() => stateOf(after, device.connectionId, "m-1"), "finished");
      await eventually(() => approvalsOf(after), ["call-1"]);
      const resumed = await listen(after, { principal: withApprove, lastEventId: reader.events[0]?.id ?? "" });
      await eventually(async () => resumed.events.length, count - 1);
      expect(resumed.events.map(({ id }) => id)).toEqual(reader.events.slice(1).map(({ id }) => id));
      await after.server.close();
    });

    test("a device that is removed takes its statuses and requests with it", async () => {
      const store = createStore(createLogs());
      const harness = createHarness({ store });
      const device = await harness.connect("device-a");
      await sendTo(harness, device, "m-1");
      device.socket.ask("call-1");
      await harness.clock.advance(2_000);
      await eventually(async () => (await store.findPendingApprovals(10)).length, 1);
      const [row] = await store.findEnvironments("acme", "device-a");
      await harness.server.devices.remove("acme", "device-a", () => true);
      await harness.clock.advance(2_000);
      await harness.server.close();
      expect(await store.readMessages(row?.id ?? "", "m-1", 10)).toEqual([]);
      expect(await store.findPendingApprovals(10)).toEqual([]);
    });
  });
}

describeServer("in memory", () => ({
  messages: createMemoryMessageLog(),
  approvals: createMemoryApprovalLog(),
  changes: createMemoryChangeLog("0123456789abcdef"),
}));

describe.runIf(canLaunchValkey())("with a Valkey server", () => {
  let server: LaunchedValkey;
  let connection: ValkeyConnection;
  let prefixes = 0;
  beforeAll(async () => {
    server = await launchValkey();
    connection = connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined });
  });
  afterAll(async () => {
    await connection.close();
    await server.stop();
  });

  describeServer("in Valkey", () => {
    const prefix = `test-${(prefixes += 1)}`;
    return {
      messages: createValkeyMessageLog(connection, { prefix }),
      approvals: createValkeyApprovalLog(connection, { prefix }),
      changes: createValkeyChangeLog(connection, { prefix, newEpoch }),
    };
  });
});

test("while a log in Valkey does not respond, messages are delivered, and a status is 503 storage_unavailable", async () => {
  const messages = createMemoryMessageLog();
  const fail = (): Promise<never> => Promise.reject(new ValkeyError("unreachable", "no connection"));
  const store = createStore({
    messages: { ...messages, saveMessages: fail, readMessages: fail, findOpenMessages: fail },
  });
  const harness = createHarness({ store });
  const device = await harness.connect("device-a");
  await sendTo(harness, device, "m-1");
  const { status, body } = await harness.call("GET", `/v1/environments/${device.connectionId}/messages/m-1`);
  expect({ status, errorCode: body["errorCode"] }).toEqual({ status: 503, errorCode: "storage_unavailable" });
});

test("if a log cannot delete a removed device, the server retries, and the removal stands", async () => {
  const messages = createMemoryMessageLog();
  const told: (readonly string[])[] = [];
  let fails = true;
  const store = createStore({
    messages: {
      ...messages,
      async removeRows(environmentIds) {
        if (fails) throw new ValkeyError("timeout", "no reply");
        told.push(environmentIds);
        await messages.removeRows(environmentIds);
      },
    },
  });
  const harness = createHarness({ store });
  await harness.connect("device-a");
  const [row] = await store.findEnvironments("acme", "device-a");
  expect(await harness.server.devices.remove("acme", "device-a", () => true)).toHaveLength(1);
  expect(await store.findEnvironments("acme", "device-a")).toEqual([]);
  await expect(store.prune(0, 10)).rejects.toThrow("no reply");
  fails = false;
  await store.prune(0, 10);
  await store.prune(0, 10);
  expect(told).toEqual([[row?.id]]);
});

test("rows stay in the first store if events go to another store that also supports rows", async () => {
  const rows = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const events = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const store = withSeparateLogs(rows, { changes: events });
  const harness = createHarness({ store });
  await harness.connect("device-a");
  expect([await rows.findEnvironments("acme", "device-a"), await events.findEnvironments("acme", "device-a")]).toEqual([
    [expect.objectContaining({ deviceId: "device-a" })],
    [],
  ]);
  expect(await harness.server.devices.remove("acme", "device-a", () => true)).toHaveLength(1);
  expect(await rows.findEnvironments("acme", "device-a")).toEqual([]);
});
