import type { Environment } from "@letta-environments/client";
import { expect, test } from "vitest";
import { compareEnvironments, lookAt } from "./compare-environments.ts";

const row: Environment = {
  id: "e1",
  connectedAt: 1,
  connectionId: "c1",
  connectionName: "laptop",
  deviceId: "d1",
  firstSeenAt: 1,
  lastHeartbeat: 1,
  lastSeenAt: 1,
  organizationId: "o1",
  podId: null,
};

const typesOf = (before: readonly Environment[], now: readonly Environment[], nowMs = 2) =>
  compareEnvironments(lookAt(before, 2), lookAt(now, nowMs)).map(({ type, online }) => `${type} ${online}`);

test("a device appears, changes, goes offline, comes online, and is gone: one event a look", () => {
  const offline = { ...row, connectionId: null, lastHeartbeat: null };
  expect(typesOf([], [row])).toEqual(["appeared true"]);
  expect(typesOf([row], [{ ...row, connectionName: "desk" }])).toEqual(["changed true"]);
  expect(typesOf([row], [offline])).toEqual(["offline false"]);
  expect(typesOf([offline], [{ ...row, connectionName: "desk" }])).toEqual(["online true"]);
  expect(typesOf([row], [])).toEqual(["gone false"]);
});

test("a sign of life is no event; its absence for two minutes is", () => {
  expect(typesOf([row], [{ ...row, lastHeartbeat: 2, lastSeenAt: 2 }])).toEqual([]);
  expect(typesOf([row], [row], 120_001)).toEqual(["offline false"]);
});
