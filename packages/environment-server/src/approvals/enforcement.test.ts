import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { StoredApproval } from "../approval-log.ts";
import { createPolicyEnforcement } from "./enforcement.ts";
import type { PendingApproval } from "./pending.ts";

function entry(at: number): PendingApproval {
  const approval: StoredApproval = {
    tenant: "acme",
    scope: { environmentId: "env-1", agentId: "agent-1", conversationId: "default" },
    request: {
      requestId: "perm-call-1",
      toolCallId: "call-1",
      tool: "Bash",
      input: null,
      isInputCut: false,
      reason: null,
      suggestions: [],
    },
    messageId: null,
    requestedAt: at - 1_000,
    expiry: { at, policy: "deadline" },
    decision: null,
  };
  return {
    approval,
    owner: "key-1",
    cursor: { requestedAt: at - 1_000, digest: "0" },
    sent: null,
    isReported: true,
    hasRequestFrame: false,
    sequence: 0,
  };
}

test("a request is denied once, however often its device repeats it while the denial is in flight", async () => {
  const clock = createVirtualClock();
  let count = 0;
  const { promise, resolve } = Promise.withResolvers<"accepted">();
  const enforcement = createPolicyEnforcement({
    clock,
    wallNow: clock.now,
    isConnected: () => true,
    onDropped: () => undefined,
    deny: () => ((count += 1), promise),
  });
  const request = entry(clock.now());
  enforcement.schedule(request);
  for (let asked = 0; asked < 3; asked++) enforcement.apply(request);
  expect(count).toBe(1);
  enforcement.close();
  resolve("accepted");
});

test("a request is denied at its deadline even if its timer fires slightly early", async () => {
  const clock = createVirtualClock();
  const denied: string[] = [];
  const enforcement = createPolicyEnforcement({
    clock: { ...clock, setTimer: (delayMs, run) => clock.setTimer(delayMs < 2 ? delayMs : delayMs - 1, run) },
    wallNow: clock.now,
    isConnected: () => true,
    onDropped: () => undefined,
    async deny({ request }) {
      denied.push(request.toolCallId);
      return "accepted";
    },
  });
  const request = entry(clock.now() + 1_000);
  enforcement.schedule(request);
  await clock.advance(999);
  expect(denied).toEqual([]);
  await clock.advance(1);
  expect(denied).toEqual(["call-1"]);
  enforcement.close();
});
