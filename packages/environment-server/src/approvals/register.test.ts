import { expect, test } from "vitest";
import type { StoredApproval } from "../approval-log.ts";
import { maxApprovals, maxApprovalsPerDevice, maxApprovalsPerKey } from "../limits.ts";
import { compareCursors, createApprovalRegister } from "./register.ts";

function approvalOf(environmentId: string, toolCallId: string, requestedAt: number = 0): StoredApproval {
  return {
    tenant: "acme",
    scope: { environmentId, agentId: "agent-1", conversationId: "default" },
    request: {
      requestId: `perm-${toolCallId}`,
      toolCallId,
      tool: "Bash",
      input: null,
      isInputCut: false,
      reason: null,
      suggestions: [],
    },
    messageId: null,
    requestedAt,
    expiry: null,
    decision: null,
  };
}

test("the requests of a device, of a key and of all devices are bounded, and none pushes out another", () => {
  const register = createApprovalRegister();
  const add = (environmentId: string, call: number, owner: string): boolean =>
    register.add(approvalOf(environmentId, `call-${call}`), owner, "") !== null;
  let added = 0;
  const fill = (environmentId: string, owner: string): void => {
    for (let call = 0; call <= maxApprovalsPerDevice; call += 1) if (add(environmentId, call, owner)) added += 1;
  };
  fill("env-1", "key-1");
  expect([added, register.isFull("env-1", "key-1")]).toEqual([maxApprovalsPerDevice, true]);
  for (let row = 2; row <= 20; row += 1) fill(`env-${row}`, "key-1");
  expect(added).toBe(maxApprovalsPerKey);
  for (let row = 100; row < 200; row += 1) fill(`env-${row}`, `key-${row}`);
  expect(added).toBe(maxApprovals);
  expect(register.ofRow("env-1")).toHaveLength(maxApprovalsPerDevice);
  const [oldest] = register.ofRow("env-1");
  if (oldest !== undefined) register.remove(oldest);
  expect(add("env-1", 999, "key-1")).toBe(true);
  expect(add("env-1", 1_000, "key-1")).toBe(false);
});

test("removing a request twice counts it once", () => {
  const register = createApprovalRegister();
  const first = register.add(approvalOf("env-1", "call-1"), "key-1", "a");
  register.add(approvalOf("env-1", "call-2"), "key-1", "b");
  if (first !== null) for (const again of [first, first]) register.remove(again);
  expect(register.ofRow("env-1")).toHaveLength(1);
  expect(register.find({ scope: approvalOf("env-1", "").scope, toolCallId: "call-1" })).toBeUndefined();
});

test("pending requests are those without a decision, in the order of their cursors", () => {
  const register = createApprovalRegister();
  register.add(approvalOf("env-2", "call-3", 20), "key-1", "a");
  register.add(approvalOf("env-1", "call-2", 10), "key-1", "z");
  register.add(approvalOf("env-1", "call-1", 10), "key-1", "b");
  const sent = register.add(approvalOf("env-1", "call-4", 0), "key-1", "c");
  if (sent !== null)
    sent.sent = {
      deliveryId: "msg-1",
      decision: { behavior: "allow", reason: null, decidedBy: "key-2", decidedAt: 1 },
    };
  const ids = register.pendingOf("acme").map(({ approval }) => approval.request.toolCallId);
  expect(ids).toEqual(["call-1", "call-2", "call-3"]);
  expect(register.pendingOf("other")).toEqual([]);
  expect(register.findSent("env-1", "msg-1")).toBe(sent);
  expect(compareCursors({ requestedAt: 1, digest: "a" }, { requestedAt: 1, digest: "a" })).toBe(0);
});
