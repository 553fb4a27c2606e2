import { expect, test } from "vitest";
import { anyone } from "../../test/support/harness.ts";
import type { StoredChange } from "../change-log.ts";
import { receives } from "./audience.ts";

test("a reader of another tenant receives nothing, even about a device with the same names", () => {
  const device = { environmentId: "env-1", deviceId: "device-1", connectionName: "box", tags: [], agentId: null };
  const change: StoredChange = { ...device, tenant: "acme", kind: "environment", data: "{}", position: 1, storedAt: 0 };
  const isReceivedIn = (tenant: string): boolean =>
    receives({ principal: { ...anyone, tenant }, includesOutput: false, deviceId: null }, change);
  expect(["acme", "other"].map(isReceivedIn)).toEqual([true, false]);
});
