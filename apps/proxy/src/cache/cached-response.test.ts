import { sha256Hex } from "@letta-environments/platform/node";
import { expect, test } from "vitest";
import { createEntityTagOf } from "./cached-response.ts";

const entityTagOf = createEntityTagOf(sha256Hex);
const tagOf = (body: unknown): string => entityTagOf(new TextEncoder().encode(JSON.stringify(body)));

const row = {
  id: "e",
  lastHeartbeat: 1_800_000_000_000,
  lastSeenAt: 1_800_000_000_001,
  connectedAt: 1_800_000_000_002,
};

test("heartbeats within the same half minute keep the entity tag", () => {
  const later = { ...row, lastHeartbeat: row.lastHeartbeat + 29_999, lastSeenAt: row.lastSeenAt + 29_998 };
  expect(tagOf({ connections: [later] })).toBe(tagOf({ connections: [row] }));
  expect(tagOf({ connections: [{ ...row, lastHeartbeat: row.lastHeartbeat + 30_000 }] })).not.toBe(
    tagOf({ connections: [row] }),
  );
});

test.each([
  ["another time", { ...row, connectedAt: row.connectedAt + 1 }],
  ["a heartbeat that is missing", { ...row, lastHeartbeat: null }],
  ["a heartbeat in another notation", { ...row, lastHeartbeat: 1e300 }],
  ["a name outside ASCII", { ...row, id: "\u00e9" }],
])("%s changes the entity tag", (_change, changed) => {
  expect(tagOf(changed)).not.toBe(tagOf(row));
});

test("a text that looks like a heartbeat is not rounded", () => {
  const textOf = (time: number): unknown => ({ id: `{"lastHeartbeat":${time}}` });
  expect(tagOf(textOf(1))).not.toBe(tagOf(textOf(2)));
});

test("a text and its bytes have the same entity tag", () => {
  expect(entityTagOf(JSON.stringify(row))).toBe(tagOf(row));
});
