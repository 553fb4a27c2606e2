import { describe, expect, test } from "vitest";
import type { StoredApproval } from "../approval-log.ts";
import { maxApprovals, maxApprovalsPerDevice, maxApprovalsPerKey } from "../limits.ts";
import { compareCursors, createPendingApprovals } from "./pending.ts";

function approvalOf(
  environmentId: string,
  toolCallId: string,
  requestedAt: number = 0,
  tenant: string = "acme",
): StoredApproval {
  return {
    tenant,
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

test("requests are bounded per device, per key and in total, and no request evicts another", () => {
  const pending = createPendingApprovals();
  const add = (environmentId: string, call: number, owner: string): boolean => {
    pending.setConnected(environmentId, true);
    return pending.add(approvalOf(environmentId, `call-${call}`), owner, "") !== null;
  };
  let added = 0;
  const fill = (environmentId: string, owner: string): void => {
    for (let call = 0; call <= maxApprovalsPerDevice; call += 1) if (add(environmentId, call, owner)) added += 1;
  };
  fill("env-1", "key-1");
  expect([added, pending.isFull("env-1", "key-1")]).toEqual([maxApprovalsPerDevice, true]);
  for (let row = 2; row <= 20; row += 1) fill(`env-${row}`, "key-1");
  expect(added).toBe(maxApprovalsPerKey);
  for (let row = 100; row < 200; row += 1) fill(`env-${row}`, `key-${row}`);
  expect(added).toBe(maxApprovals);
  expect(pending.ofEnvironment("env-1")).toHaveLength(maxApprovalsPerDevice);
  const [oldest] = pending.ofEnvironment("env-1");
  if (oldest !== undefined) pending.remove(oldest);
  expect(add("env-1", 999, "key-1")).toBe(true);
  expect(add("env-1", 1_000, "key-1")).toBe(false);
});

describe("when there are too many requests", () => {
  /** Adds requests, such as `big:env-1:call-1` of the tenant `big`. */
  function fill(max: number) {
    const evicted: string[] = [];
    const pending = createPendingApprovals({
      max,
      onEvicted: ({ approval }) => evicted.push(approval.request.toolCallId),
    });
    const add = (name: string) => {
      const [tenant = "", environmentId = ""] = name.split(":");
      return pending.add(approvalOf(environmentId, name, 0, tenant), tenant, name);
    };
    const names = (tenant: string) => pending.ofTenant(tenant).map(({ approval }) => approval.request.toolCallId);
    return { pending, add, names, evicted };
  }

  test("when there are too many requests, the tenant with the most loses one, first of a disconnected device", () => {
    const { pending, add, names, evicted } = fill(4);
    for (const row of ["env-1", "env-3"]) pending.setConnected(row, true);
    for (const name of ["big:env-1:a", "big:env-2:b", "big:env-1:c", "big:env-2:d"]) add(name);
    expect(add("small:env-3:e")).not.toBeNull();
    expect([evicted, names("big"), names("small")]).toEqual([
      ["big:env-2:b"],
      ["big:env-1:a", "big:env-1:c", "big:env-2:d"],
      ["small:env-3:e"],
    ]);
    pending.setConnected("env-2", true);
    pending.setConnected("env-1", false);
    expect(add("small:env-3:f")).not.toBeNull();
    expect(evicted.slice(1)).toEqual(["big:env-1:a"]);
    // Both now have the same number, so the tenant that asks for one more has the most.
    expect(add("small:env-3:g")).toBeNull();
    expect([evicted.length, names("small").length]).toEqual([2, 2]);
  });

  test("when there are too many requests, a connected device of the largest tenant loses its oldest one, but never one whose decision was sent", () => {
    const { pending, add, names, evicted } = fill(3);
    for (const row of ["env-1", "env-2"]) pending.setConnected(row, true);
    const [first] = ["big:env-1:a", "big:env-1:b", "big:env-1:c"].map(add);
    const decision = { behavior: "allow", reason: null, decidedBy: "key-1", decidedAt: 1 } as const;
    if (first) first.sent = { deliveryId: "msg-1", decision, isTurnOver: false, isWithdrawn: false, replacement: null };
    expect(add("small:env-2:d")).not.toBeNull();
    expect(evicted).toEqual(["big:env-1:b"]);
    expect(pending.findSent("env-1", "msg-1")).toBe(first);
    expect(names("big")).toEqual(["big:env-1:c"]);
  });

  test("a device loses the request that was made first, even after a reconnect", () => {
    const evicted: string[] = [];
    const pending = createPendingApprovals({
      max: 2,
      onEvicted: ({ approval }) => evicted.push(approval.request.toolCallId),
    });
    for (const row of ["env-1", "env-2", "env-3"]) pending.setConnected(row, true);
    pending.add(approvalOf("env-1", "first", 10, "big"), "big", "");
    pending.add(approvalOf("env-2", "second", 20, "big"), "big", "");
    for (const isConnected of [false, true]) pending.setConnected("env-1", isConnected);
    expect(pending.add(approvalOf("env-3", "other", 30, "small"), "small", "")).not.toBeNull();
    expect(evicted).toEqual(["first"]);
  });

  test("disconnected devices of a key do not use up the limit of its connected ones", () => {
    const evicted: string[] = [];
    const pending = createPendingApprovals({ onEvicted: ({ approval }) => evicted.push(approval.request.toolCallId) });
    const add = (row: number, call: number, requestedAt: number): boolean =>
      pending.add(approvalOf(`env-${row}`, `${row}-${call}`, requestedAt), "key-1", "") !== null;
    for (let row = 0; row < maxApprovalsPerKey / maxApprovalsPerDevice; row += 1)
      for (let call = 0; call < maxApprovalsPerDevice; call += 1) add(row, call, 1_000 - 100 * row + call);
    // Nor does a request of a disconnected device, such as a stored one, displace any.
    expect([add(99, 0, 2_000), evicted]).toEqual([false, []]);
    pending.setConnected("env-99", true);
    pending.setConnected("env-9", true);
    expect([add(99, 0, 2_000), add(99, 1, 2_001), evicted]).toEqual([true, true, ["8-0", "8-1"]]);
    for (let row = 0; row < 9; row += 1) pending.setConnected(`env-${row}`, true);
    expect([add(99, 2, 2_002), evicted.length]).toEqual([false, 2]);
  });

  test("disconnected devices do not use up the limit of a connected device of the same tenant", () => {
    const { pending, add, evicted } = fill(2);
    pending.setConnected("env-1", true);
    for (const name of ["acme:env-1:a", "acme:env-2:b", "acme:env-1:c"]) expect(add(name)).not.toBeNull();
    expect(evicted).toEqual(["acme:env-2:b"]);
    expect(add("acme:env-1:d")).toBeNull();
  });
});

test("removing a request twice counts it once", () => {
  const pending = createPendingApprovals();
  const first = pending.add(approvalOf("env-1", "call-1"), "key-1", "a");
  pending.add(approvalOf("env-1", "call-2"), "key-1", "b");
  if (first !== null) for (const again of [first, first]) pending.remove(again);
  expect(pending.ofEnvironment("env-1")).toHaveLength(1);
  expect(pending.find({ scope: approvalOf("env-1", "").scope, toolCallId: "call-1" })).toBeUndefined();
});

test("pending requests are those without a decision, in the order of their cursors", () => {
  const pending = createPendingApprovals();
  pending.add(approvalOf("env-2", "call-3", 20), "key-1", "a");
  pending.add(approvalOf("env-1", "call-2", 10), "key-1", "z");
  pending.add(approvalOf("env-1", "call-1", 10), "key-1", "b");
  const sent = pending.add(approvalOf("env-1", "call-4", 0), "key-1", "c");
  if (sent !== null)
    sent.sent = {
      deliveryId: "msg-1",
      decision: { behavior: "allow", reason: null, decidedBy: "key-2", decidedAt: 1 },
      isTurnOver: false,
      isWithdrawn: false,
      replacement: null,
    };
  const ids = pending.ofTenant("acme").map(({ approval }) => approval.request.toolCallId);
  expect(ids).toEqual(["call-1", "call-2", "call-3"]);
  expect(pending.ofTenant("other")).toEqual([]);
  expect(pending.findSent("env-1", "msg-1")).toBe(sent);
  expect(compareCursors({ requestedAt: 1, digest: "a" }, { requestedAt: 1, digest: "a" })).toBe(0);
});
