import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { keyOf, type StoredApproval } from "../approval-log.ts";
import { maxUnsavedApprovals } from "../limits.ts";
import { createApprovalWriter } from "./writer.ts";

const approvalOf = (tenant: string, toolCallId: string): StoredApproval => ({
  tenant,
  scope: { environmentId: `env-${tenant}`, agentId: "agent-1", conversationId: "default" },
  request: {
    requestId: toolCallId,
    toolCallId,
    tool: "Bash",
    input: null,
    isInputCut: false,
    reason: null,
    suggestions: [],
  },
  messageId: null,
  requestedAt: 0,
  expiry: null,
  decision: null,
});

test("a tenant with many unsaved changes of requests causes no loss of those of another tenant", async () => {
  const clock = createVirtualClock();
  const saved: StoredApproval[] = [];
  const writer = createApprovalWriter({
    clock,
    emit: () => undefined,
    log: { saveApprovals: async (approvals) => void saved.push(...approvals) },
  });
  const [first, oldest] = [approvalOf("acme", "call-1"), approvalOf("hostile", "call-0")];
  writer.save(first);
  writer.save(oldest);
  for (let count = 1; count < maxUnsavedApprovals; count++) writer.save(approvalOf("hostile", `call-${count}`));
  expect(writer.unsavedApproval(keyOf(first))).toBe(first);
  expect(writer.unsavedApproval(keyOf(oldest))).toBeUndefined();
  await clock.advance(1_000);
  expect([saved.length, saved.includes(first)]).toEqual([maxUnsavedApprovals, true]);
});
