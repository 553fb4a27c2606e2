import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { ApprovalLog, StoredApproval } from "../approval-log.ts";
import { approvalWriteDelayMs } from "../limits.ts";
import { createMemoryApprovalLog } from "./memory-log.ts";
import { keyOf } from "./register.ts";
import { createApprovalWriter } from "./writer.ts";

const pending: StoredApproval = {
  tenant: "team",
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
  messageId: "m-1",
  requestedAt: 1_000,
  expiry: null,
  decision: null,
};
const key = keyOf(pending);
const decided = (behavior: "allow" | "deny"): StoredApproval => ({
  ...pending,
  decision: { behavior, reason: null, decidedBy: "key-1", decidedAt: 2_000 },
});

function createWorld(before: (call: number) => Promise<void>) {
  const clock = createVirtualClock();
  const log = createMemoryApprovalLog();
  const failures: unknown[] = [];
  let calls = 0;
  const saveApprovals: ApprovalLog["saveApprovals"] = async (saved, removed) => {
    await before(++calls);
    await log.saveApprovals(saved, removed);
  };
  const writer = createApprovalWriter({ clock, log: { saveApprovals }, emit: (event) => void failures.push(event) });
  return { clock, log, writer, failures, calls: () => calls };
}

function failingAt(...failing: readonly number[]): (call: number) => Promise<void> {
  return (call) => (failing.includes(call) ? Promise.reject(new Error("the store is away")) : Promise.resolve());
}

test("a decision that could not be stored replaces an earlier one as soon as the store is back, and counts until then", async () => {
  const { clock, log, writer, failures } = createWorld(failingAt(2, 3));
  await writer.saveNow(decided("allow"));
  await writer.saveNow(pending);
  await writer.saveNow(decided("deny"));
  expect(failures).toHaveLength(2);
  expect(await log.findDecidedApproval(key)).toMatchObject({ decision: { behavior: "allow" } });
  expect(writer.unsaved(key)).toMatchObject({ decision: { behavior: "deny" } });
  await clock.advance(approvalWriteDelayMs);
  expect(await log.findDecidedApproval(key)).toMatchObject({ decision: { behavior: "deny" } });
  expect(writer.unsaved(key)).toBeUndefined();
});

test("a write that takes longer never replaces a later one of the same request", async () => {
  const slow: (() => void)[] = [];
  const { log, writer } = createWorld((call) =>
    call === 1 ? new Promise((resolve) => slow.push(resolve)) : Promise.resolve(),
  );
  const first = writer.saveNow(pending);
  const second = writer.saveNow(decided("deny"));
  slow[0]?.();
  await Promise.all([first, second]);
  expect(await log.findDecidedApproval(key)).toMatchObject({ decision: { behavior: "deny" } });
});

test("a failed write is not repeated after a later one of the same request, nor after the end", async () => {
  const { clock, writer, calls } = createWorld(failingAt(1, 3, 4));
  await writer.saveNow(decided("allow"));
  await writer.saveNow(decided("deny"));
  await clock.advance(10 * approvalWriteDelayMs);
  expect(calls()).toBe(2);
  await writer.saveNow(pending);
  await writer.close();
  await clock.advance(10 * approvalWriteDelayMs);
  expect(calls()).toBe(4);
});
