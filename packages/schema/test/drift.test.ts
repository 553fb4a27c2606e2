import fc from "fast-check";
import { expect, test } from "vitest";
import * as drift from "../src/checks/drift.gen.ts";
import { isEnvironmentList } from "../src/checks/guards.gen.ts";
import type { Environment, EnvironmentList } from "../src/index.ts";
import { readFixture } from "./read-fixture.ts";

function readList(...names: string[]): EnvironmentList {
  const list: unknown = { connections: names.map(readFixture), hasNextPage: false };
  if (!isEnvironmentList(list)) throw new Error("fixtures must be readable");
  return list;
}

test("the example response of the API text has no drift", () => {
  expect(drift.findEnvironmentListDrift(readFixture("api-example") as EnvironmentList)).toEqual([]);
});

test("drift reports each unknown member and value once, by its path, for any number of rows", () => {
  const list = readList("future-row", "letta-code-row", "offline-device", "future-row");
  expect(drift.findEnvironmentListDrift(list)).toEqual([
    { kind: "unknown_member", path: "connections[].region" },
    { kind: "unknown_member", path: "connections[].labels" },
    { kind: "unknown_value", path: "connections[].currentMode", value: "plan" },
    { kind: "unknown_member", path: "connections[].metadata.gpu" },
    { kind: "unknown_member", path: "connections[].metadata.self_update.channel" },
    { kind: "unknown_member", path: "connections[].metadata.environmentMessageProtocol" },
    { kind: "unknown_member", path: "connections[].metadata.supportsPairedListenerGenerations" },
  ]);
});

test("drift finds every unknown member, for any combination of present and absent members", () => {
  const selfUpdate = { supported: true, writable: true, install_path: "/", manual_command: "c", reason: "r" };
  const metadata = {
    gitBranch: "b",
    lettaCodeVersion: "v",
    nodeVersion: "v",
    os: "o",
    self_update: selfUpdate,
    supported_commands: ["c"],
    workingDirectory: "/",
  };
  const [plain] = readList("offline-device").connections;
  const environment = { ...plain, apiKeyOwner: "u", currentMode: "default", metadata, userId: "u" };
  const strange = fc.constantFrom("a", "b", "c", "constructor", "__proto__", "toString", "0", "id ", "Os");
  /** A copy without some optional members, and with some unknown ones before or after the others. */
  const vary = (known: object, optional: readonly string[]): fc.Arbitrary<Record<string, unknown>> =>
    fc
      .tuple(fc.subarray([...optional]), fc.uniqueArray(strange, { maxLength: 2 }), fc.boolean())
      .map(([absent, names, isFirst]) => {
        const kept = Object.entries(known).filter(([name]) => !absent.includes(name));
        const added = names.map((name) => [name, 1] as const);
        return Object.fromEntries(isFirst ? [...added, ...kept] : [...kept, ...added]);
      });
  const row = fc
    .tuple(
      vary(environment, ["apiKeyOwner", "currentMode", "metadata", "userId"]),
      vary(metadata, Object.keys(metadata)),
      vary(selfUpdate, ["install_path", "manual_command", "reason"]),
    )
    .map(([outer, middle, inner]) => {
      if (middle["self_update"] !== undefined) middle["self_update"] = inner;
      return outer["metadata"] === undefined ? outer : { ...outer, metadata: middle };
    });
  const unknownIn = (value: object | undefined, known: object, path: string): string[] =>
    Object.keys(value ?? {})
      .filter((name) => !Object.hasOwn(known, name))
      .map((name) => path + name);
  fc.assert(
    fc.property(fc.array(row, { maxLength: 6 }), (rows) => {
      const list: unknown = JSON.parse(JSON.stringify({ connections: rows, hasNextPage: true }));
      if (!isEnvironmentList(list)) throw new Error("rows must be readable");
      const expected = list.connections.flatMap((found) => [
        ...unknownIn(found, environment, "connections[]."),
        ...unknownIn(found.metadata, metadata, "connections[].metadata."),
        ...unknownIn(found.metadata?.self_update, selfUpdate, "connections[].metadata.self_update."),
      ]);
      const paths = drift.findEnvironmentListDrift(list).map(({ path }) => path);
      expect(paths.sort()).toEqual([...new Set(expected)].sort());
    }),
    { numRuns: 2_000 },
  );
});

test("members that our servers report about a send are known, and those that newer ones add are not", () => {
  const outcome = { agentId: null, clientMessageId: "m", conversationId: "c", deviceId: "d", state: "running" };
  const response = { success: true, message: "m", disposition: "queued", outcome };
  expect(drift.findSendMessageResponseDrift(response)).toEqual([]);
  const newer = { ...response, disposition: "merged", outcome: { ...outcome, state: "paused", future: 1 } };
  expect(drift.findSendMessageResponseDrift(newer).map(({ path }) => path)).toEqual([
    "disposition",
    "outcome.future",
    "outcome.state",
  ]);
});

test("drift reports members with the names of Object.prototype as unknown", () => {
  const body: unknown = JSON.parse('{"message":"m","success":true,"__proto__":1,"constructor":2}');
  expect(drift.findSendMessageResponseDrift(body as { message: string; success: boolean })).toEqual([
    { kind: "unknown_member", path: "__proto__" },
    { kind: "unknown_member", path: "constructor" },
  ]);
});

test("drift reports at most 32 entries of at most 64 characters", () => {
  const row = readList("offline-device").connections[0] as Environment & Record<string, unknown>;
  for (let index = 0; index < 100; index++) row[`${"n".repeat(100)}${index}`] = 1;
  for (let index = 0; index < 100; index++) row[`x${index}`] = 1;
  row.currentMode = "m".repeat(1000);
  const found = drift.findEnvironmentDrift(row);
  expect(found).toHaveLength(32);
  expect(Math.max(...found.map(({ path }) => path.length))).toBe(64);
});
