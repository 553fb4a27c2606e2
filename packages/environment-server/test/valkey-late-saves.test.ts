/** Writes that reach the server after they were given up and repeated, because they were still on their way when a connection was lost. */
import { ValkeyError, type ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import {
  canLaunchValkey,
  createHoldingProxy,
  type HoldingProxy,
  type LaunchedValkey,
  launchValkey,
} from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NewChange } from "../src/index.ts";
import { createValkeyApprovalLog, createValkeyChangeLog, createValkeyMessageLog } from "../src/valkey/index.ts";
import { pending } from "./approval-log-contract.ts";
import { message } from "./message-log-contract.ts";

describe.runIf(canLaunchValkey())("writes to logs that arrive late", () => {
  let server: LaunchedValkey;
  let proxy: HoldingProxy;
  let connection: ValkeyConnection;

  beforeEach(async () => {
    server = await launchValkey();
    proxy = await createHoldingProxy(server.port);
    connection = connectValkey(`valkey://127.0.0.1:${proxy.port}`, { timeoutMs: 5_000, onFailure: () => undefined });
  });
  afterEach(async () => {
    await connection.close();
    await proxy.close();
    await server.stop();
  });

  test("a status that arrives after it was saved again does not replace the later one", async () => {
    const log = createValkeyMessageLog(connection);
    const running = { ...message, status: { ...message.status, state: "running" as const } };
    await log.saveMessages([{ ...message, messageId: "m-0" }]);
    proxy.hold("running");
    await expect(log.saveMessages([running])).rejects.toBeInstanceOf(ValkeyError);
    await log.saveMessages([message]);
    await proxy.deliver();
    expect(await log.readMessages("env-1", message.messageId, 10)).toEqual([message]);
    expect(await log.findOpenMessages("env-1", 10)).toEqual([]);
  });

  test("a request that arrives after its decision does not become pending again", async () => {
    const log = createValkeyApprovalLog(connection);
    const { scope, request } = pending;
    const decision = { behavior: "deny", reason: "too risky", decidedBy: "key-1", decidedAt: 5_000 } as const;
    await log.saveApprovals([{ ...pending, request: { ...request, toolCallId: "call-0" } }], []);
    await log.saveApprovals([], [{ scope, toolCallId: "call-0" }]);
    proxy.hold("perm-call-1");
    await expect(log.saveApprovals([pending], [])).rejects.toBeInstanceOf(ValkeyError);
    await log.saveApprovals([{ ...pending, decision }], []);
    await proxy.deliver();
    expect(await log.findPendingApprovals(10)).toEqual([]);
    expect(await log.findDecidedApproval({ scope, toolCallId: request.toolCallId })).toMatchObject({ decision });
  });

  test("saves of one process that overtake each other while the server has no scripts are all stored", async () => {
    const log = createValkeyMessageLog(connection);
    const other = connectValkey(`valkey://127.0.0.1:${server.port}`, { timeoutMs: 5_000, onFailure: () => undefined });
    const messageIds = ["m-0", "m-1", "m-2", "m-3"];
    const save = (messageId: string) => log.saveMessages([{ ...message, messageId }]);
    await save("m-0");
    await connection.command(["SCRIPT", "FLUSH"]);
    const first = save("m-1");
    const firstRefusal = connection.command(["PING"]);
    // Until the list has an element, the server executes nothing more of this connection.
    const pause = connection.command(["BLPOP", "list", 0]);
    const second = save("m-2");
    await firstRefusal;
    // The first one has been sent again, with the script. The second one will be, after this one.
    const third = save("m-3");
    await other.command(["LPUSH", "list", "element"]);
    await Promise.all([first, second, third, pause, other.close()]);
    const stored = await Promise.all(messageIds.map((messageId) => log.readMessages("env-1", messageId, 1)));
    expect(stored.flat().map(({ messageId }) => messageId)).toEqual(messageIds);
  });

  test("a process saves although another one has made more saves", async () => {
    const [one, two] = [createValkeyMessageLog(connection), createValkeyMessageLog(connection)];
    for (const messageId of ["m-1", "m-2", "m-3"]) await one.saveMessages([{ ...message, messageId }]);
    await two.saveMessages([{ ...message, messageId: "m-4" }]);
    expect(await one.readMessages("env-1", "m-4", 10)).toHaveLength(1);
  });

  test("a restart of the log of changes that arrives after it was repeated removes no later change", async () => {
    const log = createValkeyChangeLog(connection, { newEpoch: () => "0123456789abcdef" });
    const change: NewChange = {
      ...{ kind: "message", tenant: "acme", environmentId: "env-1", deviceId: "device-a", connectionName: "box" },
      ...{ tags: [], agentId: "agent-1", data: "1" },
    };
    await log.appendChanges([change], 10);
    await log.restartChangeLog("first");
    proxy.hold("second");
    await expect(log.restartChangeLog("second")).rejects.toBeInstanceOf(ValkeyError);
    await log.restartChangeLog("third");
    await log.appendChanges([change], 20);
    await proxy.deliver();
    const page = await log.readChanges({ tenant: "acme", after: 0, includesOutput: true, deviceIds: null });
    expect(page).toMatchObject({ epoch: "third", changes: [{ data: "1" }] });
  });
});
