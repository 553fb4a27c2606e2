import { expect, test } from "vitest";
import { testPolicy } from "../../test/support/test-check.ts";
import { createChecks } from "./checks.ts";
import { partitionKey } from "./partition-key.ts";
import type { RateLimitRule } from "./policy.ts";

const subject = { key: "k1", tenant: "acme", address: "192.0.2.1", route: "send", device: null };
const plain: RateLimitRule = {
  policy: testPolicy(),
  dimensions: ["key"],
  costs: new Map(),
  exempt: [],
};

test("a request falls under every rule, at the cost of its route, in the partition of the rule's dimensions", () => {
  const perTenant: RateLimitRule = { ...plain, dimensions: ["tenant", "route"], costs: new Map([["send", 5]]) };
  expect(createChecks([plain, perTenant])(subject)).toEqual([
    { policy: plain.policy, key: partitionKey(["key"], subject), cost: 1, shard: null },
    { policy: plain.policy, key: partitionKey(["tenant", "route"], subject), cost: 5, shard: null },
  ]);
  expect(createChecks([perTenant])({ ...subject, route: "list" })).toMatchObject([{ cost: 1 }]);
});

test("what is exempt does not fall under a rule, and nobody else is exempt", () => {
  const rule: RateLimitRule = { ...plain, exempt: [{ dimension: "tenant", values: new Set(["acme", "-"]) }] };
  expect(createChecks([rule, plain])(subject)).toHaveLength(1);
  expect(createChecks([rule])({ ...subject, tenant: null })).toHaveLength(1);
  expect(createChecks([rule])({ ...subject, tenant: "globex" })).toHaveLength(1);
});

test("a key with a policy of its own is held to that one, or to none", () => {
  const policy = testPolicy({ limit: 1 });
  const checks = createChecks([plain]);
  expect(checks(subject, new Map([[policy.name, policy]]))).toMatchObject([{ policy }]);
  expect(checks(subject, new Map([[policy.name, null]]))).toEqual([]);
  expect(checks(subject, new Map([["another", null]]))).toMatchObject([{ policy: plain.policy }]);
});
