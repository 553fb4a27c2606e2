import { expect, test } from "vitest";
import * as drift from "../src/drift.gen.ts";
import { isEnvironmentList } from "../src/guards.gen.ts";
import type { Environment, EnvironmentList } from "../src/index.ts";
import { readFixture } from "./read-fixture.ts";

function readList(...names: string[]): EnvironmentList {
  const list: unknown = { connections: names.map(readFixture), hasNextPage: false };
  if (!isEnvironmentList(list)) throw new Error("fixtures must be readable");
  return list;
}

test("an answer of the API text has no drift", () => {
  expect(drift.findEnvironmentListDrift(readFixture("api-example") as EnvironmentList)).toEqual([]);
});

test("unknown members and values are told once, by their place, whatever the number of rows", () => {
  const list = readList("future-row", "letta-code-row", "offline-device", "future-row");
  expect(drift.findEnvironmentListDrift(list)).toEqual([
    { kind: "unknown_member", path: "connections[].region" },
    { kind: "unknown_member", path: "connections[].labels" },
    { kind: "unknown_value", path: "connections[].currentMode", value: "plan" },
    { kind: "unknown_member", path: "connections[].metadata.gpu" },
    { kind: "unknown_member", path: "connections[].metadata.self_update.channel" },
    { kind: "unknown_member", path: "connections[].listenerInstanceId" },
    { kind: "unknown_member", path: "connections[].metadata.environmentMessageProtocol" },
    { kind: "unknown_member", path: "connections[].metadata.supportsPairedListenerGenerations" },
  ]);
});

test("names that every object has are unknown members too", () => {
  const body: unknown = JSON.parse('{"message":"m","success":true,"__proto__":1,"constructor":2}');
  expect(drift.findSendMessageResponseDrift(body as { message: string; success: boolean })).toEqual([
    { kind: "unknown_member", path: "__proto__" },
    { kind: "unknown_member", path: "constructor" },
  ]);
});

test("what a server makes up is told in 32 entries of 64 characters at most", () => {
  const row = readList("offline-device").connections[0] as Environment & Record<string, unknown>;
  for (let index = 0; index < 100; index++) row[`${"n".repeat(100)}${index}`] = 1;
  for (let index = 0; index < 100; index++) row[`x${index}`] = 1;
  row.currentMode = "m".repeat(1000);
  const found = drift.findEnvironmentDrift(row);
  expect(found).toHaveLength(32);
  expect(Math.max(...found.map(({ path }) => path.length))).toBe(64);
});
