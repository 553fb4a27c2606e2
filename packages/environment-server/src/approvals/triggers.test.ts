import { sha256Hex } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createMemoryApprovalLog } from "../logs/memory.ts";
import { createApprovalTracker } from "./tracker.ts";

test("the messages of a conversation are looked up once for a list, however many requests it has", async () => {
  const clock = createVirtualClock();
  let lookups = 0;
  const tracker = createApprovalTracker({
    clock,
    sha256: sha256Hex,
    log: createMemoryApprovalLog(),
    emit: () => undefined,
    wallNow: clock.now,
    onChange: () => undefined,
    deny: async () => "settled",
    onWithdrawnAfterDecision: () => undefined,
    triggerOf: () => ({ messageId: null, policies: [] }),
    policiesOf() {
      lookups += 1;
      return [];
    },
  });
  const device = { tenant: "acme", environmentId: "env-1", deviceId: "device-1", connectionId: "conn-1" };
  const parts = { policy: null, asksInFrames: () => true, countRequest: () => undefined };
  tracker.connect({ device, owner: "key-1", ...parts }, true);
  const pending = Array.from({ length: 100 }, (_, index) => ({
    ...{ requestId: `perm-${index}`, toolCallId: `call-${index}`, tool: "Bash" },
    ...{ input: null, isInputCut: false, reason: null, suggestions: [] },
  }));
  const runtime = { agentId: "agent-1", conversationId: "default" };
  tracker.receive("env-1", { kind: "update_device_status", runtime, change: {}, directoryRevision: null, pending });
  expect(tracker.pendingOf("env-1")).toHaveLength(100);
  expect(lookups).toBe(1);
  await tracker.close();
});
