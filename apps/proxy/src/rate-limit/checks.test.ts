import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { testPolicy } from "../../test/support/test-check.ts";
import { createChecks, createPartitionKeys, partitionKey } from "./checks.ts";
import type { RateLimitDimension, RateLimitRule } from "./policy.ts";

describe("the checks of a request", () => {
  const values = { key: "k1", tenant: "acme", address: "192.0.2.1", route: "send", device: null };
  const plain: RateLimitRule = {
    policy: testPolicy(),
    dimensions: ["key"],
    costs: new Map(),
    exempt: [],
  };

  test("a request gets a check for every rule, with the cost of the route and the partition key of the rule's dimensions", () => {
    const perTenant: RateLimitRule = { ...plain, dimensions: ["tenant", "route"], costs: new Map([["send", 5]]) };
    expect(createChecks([plain, perTenant])(values)).toEqual([
      { policy: plain.policy, key: partitionKey(["key"], values), cost: 1, shard: null },
      { policy: plain.policy, key: partitionKey(["tenant", "route"], values), cost: 5, shard: null },
    ]);
    expect(createChecks([perTenant])({ ...values, route: "list" })).toMatchObject([{ cost: 1 }]);
  });

  test("an exempt request gets no check for that rule, and other requests do", () => {
    const rule: RateLimitRule = { ...plain, exempt: [{ dimension: "tenant", values: new Set(["acme", "-"]) }] };
    expect(createChecks([rule, plain])(values)).toHaveLength(1);
    expect(createChecks([rule])({ ...values, tenant: null })).toHaveLength(1);
    expect(createChecks([rule])({ ...values, tenant: "globex" })).toHaveLength(1);
  });

  test("an override of the key replaces the policy, or removes its check if it is null", () => {
    const policy = testPolicy({ limit: 1 });
    const checks = createChecks([plain]);
    expect(checks(values, new Map([[policy.name, policy]]))).toMatchObject([{ policy }]);
    expect(checks(values, new Map([[policy.name, null]]))).toEqual([]);
    expect(checks(values, new Map([["another", null]]))).toMatchObject([{ policy: plain.policy }]);
  });
});

describe("partition keys", () => {
  const value = fc.option(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("-", "=", "k", "t", "1") })), {
    nil: null,
  });
  const subject = fc.record({ key: value, tenant: value, address: value, route: value, device: value });
  const dimensions = fc.uniqueArray(fc.constantFrom<RateLimitDimension>("key", "tenant", "address", "route", "device"));

  test("two requests have the same partition key only if they agree in every dimension", () => {
    fc.assert(
      fc.property(dimensions, subject, subject, (chosen, left, right) => {
        const agree = chosen.every((dimension) => left[dimension] === right[dimension]);
        expect(partitionKey(chosen, left) === partitionKey(chosen, right)).toBe(agree);
      }),
    );
  });

  test("a value that looks like another combination of values gets its own partition key", () => {
    const none = { key: null, tenant: null, address: null, route: null, device: null };
    const keys = [
      partitionKey(["key", "tenant"], { ...none, key: "a", tenant: "b" }),
      partitionKey(["key"], { ...none, key: partitionKey(["key", "tenant"], { ...none, key: "a", tenant: "b" }) }),
      partitionKey(["key", "tenant"], { ...none, key: "at=b" }),
      partitionKey(["key"], { ...none, key: "-" }),
      partitionKey(["key"], none),
      partitionKey(["key", "tenant"], { ...none, key: "", tenant: "a" }),
      partitionKey(["key", "tenant"], { ...none, tenant: "a" }),
      partitionKey([], none),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("cached partition keys are equal to newly built ones, however many there are", () => {
    fc.assert(
      fc.property(dimensions, fc.array(subject, { maxLength: 50 }), (chosen, subjects) => {
        const keyOf = createPartitionKeys(chosen);
        for (const each of [...subjects, ...subjects]) expect(keyOf(each)).toBe(partitionKey(chosen, each));
      }),
    );
    const keyOf = createPartitionKeys(["tenant", "device"]);
    for (let index = 0; index < 25_000; index++) {
      const each = { key: null, tenant: "t", address: null, route: null, device: `${index % 12_000}` };
      expect(keyOf(each)).toBe(partitionKey(["tenant", "device"], each));
    }
  });
});
