import { type Principal, scopes } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { anyone } from "../../test/support/harness.ts";
import type { ChangeKind, StoredChange } from "../change-log.ts";
import { audienceKey, type ChangeView, receives } from "./audience.ts";

const device = { environmentId: "env-1", deviceId: "device-1", connectionName: "box", tags: [], agentId: null };
const change: StoredChange = { ...device, tenant: "acme", kind: "environment", data: "{}", position: 1, storedAt: 0 };
const kinds = Object.keys({ environment: 1, message: 1, approval: 1, output: 1 } satisfies Record<
  ChangeKind,
  1
>) as ChangeKind[];

test("a reader of another tenant receives nothing, even about a device with the same names", () => {
  const isReceivedIn = (tenant: string): boolean =>
    receives({ principal: { ...anyone, tenant }, includesOutput: false, deviceId: null }, change);
  expect(["acme", "other"].map(isReceivedIn)).toEqual([true, false]);
});

test("a kind of change that only a newer version knows is for nobody", () => {
  const newer = { ...change, kind: "newer" as ChangeKind };
  expect(receives({ principal: anyone, includesOutput: true, deviceId: null }, newer)).toBe(false);
});

test("readers with one key receive the same kinds of changes, for every combination of scopes", () => {
  const received = new Map<string, Set<string>>();
  for (const view of views()) {
    const seen = kinds.filter((kind) => receives(view, { ...change, kind })).join();
    const key = audienceKey(view);
    received.set(key, (received.get(key) ?? new Set()).add(seen));
  }
  expect([...received.values()].filter(({ size }) => size > 1)).toEqual([]);
  expect([...received.values()].map((seen) => [...seen].join())).toContain(kinds.join());
});

/** Views with every combination of scopes, with and without a maximum mode and output. */
function* views(): Generator<ChangeView> {
  for (let bits = 0; bits < 2 ** scopes.length; bits += 1) {
    const chosen = new Set(scopes.filter((_scope, index) => (bits >> index) % 2 === 1));
    for (const maxMode of [null, "standard"] as const) {
      const principal: Principal = { ...anyone, scopes: chosen, maxMode };
      for (const includesOutput of [false, true]) yield { principal, includesOutput, deviceId: null };
    }
  }
}
