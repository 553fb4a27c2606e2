import type { Approval } from "@letta-environments/client";
import { expect, test } from "vitest";
import { formatApprovalLines, formatApprovalTable } from "./approval.ts";

const approval = {
  ...{ id: "call-1", tool: "Bash", input: { command: "ls" }, inputTruncated: false, deviceId: "d1", agentId: "a1" },
  ...{ conversationId: "default", requestedAt: 0, clientMessageId: null, suggestions: [] },
} as unknown as Approval;
const cut = { ...approval, id: "call-2\u001b", inputTruncated: true };
const endless = { ...cut, id: "call-3", input: null };

test("a table says below which inputs are longer than shown, or not shown at all", () => {
  const table = formatApprovalTable([approval, cut, endless], 1_000, 80, (text) => text);
  expect(table).not.toContain("call-1:");
  expect(table).toContain("call-2\\u001b: The input is longer than shown; the device runs all of it.\n");
  expect(table).toContain("call-3: The input is too long to be shown.\n");
});

test("in a pipe, the last column marks inputs that are longer than shown", () => {
  const lines = formatApprovalLines([approval, cut, endless]).split("\n");
  expect(lines.map((line) => line.split("\t").at(-1))).toEqual(["", "truncated", "truncated", ""]);
  expect(lines[0]?.split("\t")).toHaveLength(9);
});
