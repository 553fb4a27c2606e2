import { createPartitionKeys, type DimensionValues } from "./partition-key.ts";
import type { PolicyOverrides, RateLimitCheck, RateLimitRule } from "./policy.ts";

/** Creates what tells for a request what it asks of the rules that it falls under, in their order. */
export function createChecks(
  rules: readonly RateLimitRule[],
): (subject: DimensionValues, own?: PolicyOverrides) => readonly RateLimitCheck[] {
  const prepared = rules.map((rule) => {
    const { dimensions } = rule;
    const keyOf = createPartitionKeys(dimensions);
    // A key with a measure of its own is counted apart: under two measures one count would be cut down to the smaller.
    const ownKeyOf = dimensions.includes("key") ? keyOf : createPartitionKeys([...dimensions, "key"]);
    return { rule, keyOf, ownKeyOf };
  });
  return (subject, own) => {
    const checks: RateLimitCheck[] = [];
    for (const { rule, keyOf, ownKeyOf } of prepared) {
      if (rule.exempt.length > 0 && isExempt(rule, subject)) continue;
      const measured = own?.get(rule.policy.name);
      if (measured === null) continue;
      const cost = valueAt(rule.costs, subject.route) ?? 1;
      const shard = rule.shardBy === undefined || rule.shardBy === null ? null : subject[rule.shardBy];
      if (measured === undefined) checks.push({ policy: rule.policy, key: keyOf(subject), cost, shard });
      else checks.push({ policy: measured, key: ownKeyOf(subject), cost, shard });
    }
    return checks;
  };
}

function isExempt({ exempt }: RateLimitRule, subject: DimensionValues): boolean {
  return exempt.some(({ dimension, values }) => {
    const value = subject[dimension];
    return value !== null && values.has(value);
  });
}

function valueAt<Value>(values: ReadonlyMap<string, Value>, key: string | null): Value | undefined {
  // Most maps are empty, and a look-up in an empty one is not free.
  return key === null || values.size === 0 ? undefined : values.get(key);
}
