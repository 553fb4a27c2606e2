import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, type LaunchedValkey, launchValkey } from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type ChangeLimits,
  type ChangeLog,
  ChangesLostError,
  type MessageState,
  type NewChange,
  type StoredMessage,
} from "../src/index.ts";
import { createValkeyApprovalLog, createValkeyChangeLog, createValkeyMessageLog } from "../src/valkey/index.ts";
import { describeApprovalLogContract } from "./approval-log-contract.ts";
import { describeChangeLogContract } from "./change-log-contract.ts";
import { describeMessageLogContract, message } from "./message-log-contract.ts";
import { separateLog } from "./support/log-under-test.ts";

const newEpoch = (): string => randomBytes(8).toString("hex");
const everything = { tenant: "acme", after: 0, includesOutput: true, deviceIds: null };
const change: NewChange = {
  kind: "message",
  tenant: "acme",
  environmentId: "env-1",
  deviceId: "device-a",
  connectionName: "box",
  tags: [],
  agentId: "agent-1",
  data: "1",
};
const numbered = (data: string): NewChange => ({ ...change, data });

describe.runIf(canLaunchValkey())("with a Valkey server", () => {
  let server: LaunchedValkey;
  let shared: ValkeyConnection;
  let prefixes = 0;
  const ends: (() => Promise<unknown>)[] = [];
  const newPrefix = (): string => `test-${(prefixes += 1)}`;

  beforeAll(async () => {
    server = await launchValkey();
    shared = connect(server, 5_000);
  });
  afterAll(async () => {
    await shared.close();
    await server.stop();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  function connect({ url }: LaunchedValkey, timeoutMs: number): ValkeyConnection {
    return connectValkey(url, { timeoutMs, onFailure: () => undefined });
  }

  describeMessageLogContract("in Valkey", (limits) =>
    separateLog(createValkeyMessageLog(shared, { prefix: newPrefix(), ...(limits !== undefined && { limits }) })),
  );
  describeApprovalLogContract("in Valkey", (limits) =>
    separateLog(createValkeyApprovalLog(shared, { prefix: newPrefix(), ...(limits !== undefined && { limits }) })),
  );
  describeChangeLogContract("in Valkey", (limits) =>
    createValkeyChangeLog(shared, { prefix: newPrefix(), newEpoch, limits }),
  );

  test("messages that an earlier version stored are listed, removed in the same order as others, and expire", async () => {
    const prefix = newPrefix();
    const limits = { durationMs: 1_000, maxPerRow: 10, maxMessages: 4, maxReplies: 1e6 };
    const log = createValkeyMessageLog(shared, { prefix, limits });
    const saved = ["unknown", "finished", "unknown", "finished", "finished"].map((state, index): StoredMessage => {
      const status = { ...message.status, state: state as MessageState };
      return { ...message, messageId: `m-${index}`, sentAt: 1_000 + index, status };
    });
    const left = async (): Promise<string[]> => {
      const filter = { environmentId: "env-1", after: null, withReplies: true, limit: 100 };
      return (await log.listMessages(filter)).map(({ messageId }) => messageId).toReversed();
    };
    await log.saveMessages(saved);
    const key = `{${prefix}:messages}`;
    const places = saved.flatMap(({ messageId, sentAt }) => [
      String(sentAt),
      JSON.stringify(["env-1", messageId, "agent-1", "default"]),
    ]);
    await shared.command(["DEL", `${key}:tenants`, `${key}:totals`, `${key}:rows:env-1`]);
    await shared.command(["ZADD", `${key}:sent`, "XX", ...places]);
    const elsewhere = { ...message, scope: { ...message.scope, environmentId: "env-2" }, sentAt: 9_000 };
    await log.saveMessages([elsewhere]);
    expect(await left()).toEqual(["m-0", "m-1", "m-2", "m-3", "m-4"]);
    while (await log.pruneMessages(1_500, 2));
    expect(await left()).toEqual(["m-0", "m-2", "m-4"]);
    while (await log.pruneMessages(2_002, 2));
    expect(await left()).toEqual(["m-4"]);
    await log.saveMessages(saved.slice(0, 4).map((one) => ({ ...one, deliveryId: "msg-2", sentAt: 3_000 })));
    while (await log.pruneMessages(1_500, 2));
    expect(await left()).toEqual(["m-0", "m-2", "m-3"]);
    // It does not count the messages that it removes.
    await shared.command(["ZADD", `${key}:totals`, "99", "gone"]);
    await shared.command(["ZADD", `${key}:rows:gone`, "99", "env-9"]);
    await log.saveMessages(saved.slice(0, 1).map((one) => ({ ...one, messageId: "m-5", sentAt: 4_000 })));
    await log.saveMessages(saved.slice(0, 1).map((one) => ({ ...one, messageId: "m-6", sentAt: 5_000 })));
    while (await log.pruneMessages(1_500, 2));
    expect(await left()).toEqual(["m-2", "m-5", "m-6"]);
    expect(await log.readMessages("env-2", message.messageId, 1)).toEqual([elsewhere]);
  });

  /** A log of changes with its own server. */
  async function launchChanges(directory?: string) {
    const options = directory === undefined ? {} : { directory };
    let launched = await launchValkey(options);
    const connection = connect(launched, 300);
    ends.push(() => launched.stop());
    ends.push(() => connection.close());
    return {
      open: (limits?: ChangeLimits): ChangeLog =>
        createValkeyChangeLog(connection, { newEpoch, ...(limits !== undefined && { limits }) }),
      pause: () => launched.pause(),
      resume: () => launched.resume(),
      async restart() {
        await launched.stop();
        launched = await launchValkey({ ...options, port: launched.port });
        await expect.poll(() => connection.command(["PING"]).catch(() => null)).toBe("PONG");
      },
    };
  }

  const textsOf = async (log: ChangeLog): Promise<string[]> =>
    (await log.readChanges(everything)).changes.map(({ data }) => data);

  test("a server with an append-only file keeps changes over a restart, and the same log continues", async () => {
    const directory = await mkdtemp(join(tmpdir(), "changes-"));
    ends.push(() => rm(directory, { recursive: true }));
    const { open, restart } = await launchChanges(directory);
    const log = open();
    await log.appendChanges([numbered("1")], 10);
    const { epoch } = await log.readChangeLog();
    await restart();
    expect(await log.appendChanges([numbered("2")], 20)).toMatchObject({ first: 2 });
    expect(await textsOf(log)).toEqual(["1", "2"]);
    expect((await log.readChangeLog()).epoch).toBe(epoch);
  });

  test("a server that lost its changes does not continue their positions: the log says so until it is restarted", async () => {
    const { open, restart } = await launchChanges();
    const log = open();
    await log.appendChanges([numbered("1"), numbered("2")], 10);
    const before = await log.readChangeLog();
    await restart();
    await expect(log.appendChanges([numbered("3")], 20)).rejects.toBeInstanceOf(ChangesLostError);
    await expect(log.appendChanges([numbered("3")], 20)).rejects.toBeInstanceOf(ChangesLostError);
    await log.restartChangeLog(newEpoch());
    expect(await log.appendChanges([numbered("3")], 30)).toMatchObject({ first: 1 });
    expect((await log.readChangeLog()).epoch).not.toBe(before.epoch);
  });

  test("a server that has only read before its changes were lost does not continue their positions either", async () => {
    const { open, restart } = await launchChanges();
    await open().appendChanges([numbered("1"), numbered("2")], 10);
    const log = open();
    await log.readChangeLog();
    await restart();
    await expect(log.appendChanges([numbered("3")], 20)).rejects.toBeInstanceOf(ChangesLostError);
    await log.restartChangeLog(newEpoch());
    expect(await log.appendChanges([numbered("3")], 30)).toMatchObject({ first: 1 });
  });

  test("changes of an append without a reply are not read until they are appended again, and then only once", async () => {
    const { open, pause, resume } = await launchChanges();
    const log = open();
    await log.appendChanges([numbered("1")], 10);
    pause();
    const series = newEpoch();
    const attempt = log.appendChanges([numbered("2"), { ...change, kind: "output" }], 20, series);
    await expect(attempt).rejects.toMatchObject({ code: "timeout" });
    resume();
    // A log that has appended nothing is not the writer, and reads everything that is stored.
    const observer = open();
    await expect.poll(() => textsOf(observer).then((texts) => texts.length)).toBe(3);
    expect(await log.readChanges(everything)).toMatchObject({ changes: [{ data: "1" }], through: 1, hasMore: false });
    expect(await log.readChangeLog()).toMatchObject({ lastPosition: 1 });
    const { first } = await log.appendChanges([numbered("2"), numbered("3")], 30, series);
    expect(await textsOf(log)).toEqual(["1", "2", "3"]);
    expect(await log.readChangeLog()).toMatchObject({ lastPosition: first + 1, epoch: series });
    expect((await log.readChangeLog()).former).toHaveLength(1);
  });

  test("a server that appends takes over the log, one that only reads does not, and appends of the previous server are refused", async () => {
    const prefix = newPrefix();
    const [earlier, later] = [1, 2].map(() => createValkeyChangeLog(shared, { prefix, newEpoch }));
    await earlier?.appendChanges([numbered("0")], 10, newEpoch());
    expect(await later?.readChangeLog()).toMatchObject({ lastPosition: 1 });
    await earlier?.appendChanges([numbered("1")], 10);
    expect(await later?.appendChanges([numbered("2")], 20, newEpoch())).toMatchObject({ first: 3 });
    await expect(earlier?.appendChanges([numbered("3")], 30)).rejects.toThrow("another server writes");
    await expect(earlier?.restartChangeLog(newEpoch())).rejects.toThrow("another server writes");
    for (const log of [earlier, later]) expect(log && (await textsOf(log))).toEqual(["0", "1", "2"]);
  });
});
