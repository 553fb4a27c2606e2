import type { ApprovalPolicy } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { approvalPolicyOf } from "./settings.ts";

const policy = (deniedTools: readonly string[], deadlineMs: number | null): ApprovalPolicy => ({
  deniedTools,
  deadlineMs,
});
const policies = {
  everybody: policy(["Bash"], 60_000),
  tenants: new Map([["acme", policy(["Bash", "Web*"], null)]]),
  keys: new Map([["key-1", policy([], 1_000)]]),
};

test("a principal has the combined policies for everybody, its tenant and its key, with the earliest deadline", () => {
  expect(approvalPolicyOf(policies, { tenant: "acme", keyId: "key-1" })).toEqual(policy(["Bash", "Web*"], 1_000));
  expect(approvalPolicyOf(policies, { tenant: "acme", keyId: "key-2" })).toEqual(policy(["Bash", "Web*"], 60_000));
  expect(approvalPolicyOf(policies, { tenant: "other", keyId: "key-2" })).toBe(policies.everybody);
});

test("without a policy, requests wait", () => {
  expect(approvalPolicyOf({ ...policies, everybody: null }, { tenant: "other", keyId: "key-2" })).toBeNull();
  const ofKey = { tenant: "other", keyId: "key-2", approvalPolicy: policy(["Own"], 500) };
  expect(approvalPolicyOf({ ...policies, everybody: null }, ofKey)).toEqual(policy(["Own"], 500));
});
