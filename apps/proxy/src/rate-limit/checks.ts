/**
 * Turns a request into its checks. Each rule that applies to the request gives one check: the policy (or the key's override of
 * it), the partition key of the counter, and the cost of the route.
 *
 * Partition keys are injective: two requests get the same key only if they have the same value in every dimension of the rule,
 * whatever characters callers put into the values.
 */
import type { DimensionValues, PolicyOverrides, RateLimitCheck, RateLimitDimension, RateLimitRule } from "./policy.ts";

/** Returns a function that lists the rate-limit checks for a request, in rule order. */
export function createChecks(
  rules: readonly RateLimitRule[],
): (values: DimensionValues, overrides?: PolicyOverrides) => readonly RateLimitCheck[] {
  const prepared = rules.map((rule) => {
    const { dimensions } = rule;
    const keyOf = createPartitionKeys(dimensions);
    // A key with its own limit gets a separate counter. Sharing one counter between two limits would apply the lower one to both.
    const overriddenKeyOf = dimensions.includes("key") ? keyOf : createPartitionKeys([...dimensions, "key"]);
    return { rule, keyOf, overriddenKeyOf };
  });
  return (values, overrides) => {
    const checks: RateLimitCheck[] = [];
    for (const { rule, keyOf, overriddenKeyOf } of prepared) {
      if (rule.exempt.length > 0 && isExempt(rule, values)) continue;
      const override = overrides?.get(rule.policy.name);
      if (override === null) continue;
      const cost = costOf(rule, values.route);
      const shard = rule.shardBy === undefined || rule.shardBy === null ? null : values[rule.shardBy];
      if (override === undefined) checks.push({ policy: rule.policy, key: keyOf(values), cost, shard });
      else checks.push({ policy: override, key: overriddenKeyOf(values), cost, shard });
    }
    return checks;
  };
}

function isExempt({ exempt }: RateLimitRule, values: DimensionValues): boolean {
  return exempt.some(({ dimension, values: exemptValues }) => {
    const value = values[dimension];
    return value !== null && exemptValues.has(value);
  });
}

function costOf({ costs }: RateLimitRule, route: string | null): number {
  // Most maps are empty, and looking up a key in an empty map is not free.
  return route === null || costs.size === 0 ? 1 : (costs.get(route) ?? 1);
}

const letters: Readonly<Record<RateLimitDimension, string>> = {
  key: "k",
  tenant: "t",
  address: "a",
  route: "r",
  device: "d",
};

/**
 * Returns the partition key of a request. Each part names its dimension and, unless it is the last part, its length. With a
 * single dimension the value itself is the key, so that no string has to be built.
 */
export function partitionKey(dimensions: readonly RateLimitDimension[], values: DimensionValues): string {
  const [first] = dimensions;
  if (first !== undefined && dimensions.length === 1) return singleKey(values[first]);
  const parts = dimensions.map((dimension, index) => {
    const [letter, value] = [letters[dimension], values[dimension]];
    if (value === null) return `${letter}-`;
    return index === dimensions.length - 1 ? `${letter}=${value}` : `${letter}${value.length}=${value}`;
  });
  return `=${parts.join("")}`;
}

/** Escapes a value that starts like a missing value (`-`) or like a key of several parts (`=`). */
function singleKey(value: string | null): string {
  if (value === null) return "-";
  return value.startsWith("-") || value.startsWith("=") ? `=${value}` : value;
}

/** Keys in nested maps, one level for each dimension. */
type KeyTree = Map<string | null, KeyTree | string>;

/** When this many keys are remembered, all of them are dropped. */
const maxRemembered = 10_000;

/**
 * Returns {@link partitionKey} for these dimensions with a memory of earlier results: building and hashing a string of several
 * parts costs more than the limits themselves.
 */
export function createPartitionKeys(dimensions: readonly RateLimitDimension[]): (values: DimensionValues) => string {
  const leading = dimensions.slice(0, -1);
  const last = dimensions.at(-1);
  if (last === undefined || leading.length === 0) return (values) => partitionKey(dimensions, values);
  let root: KeyTree = new Map();
  let remembered = 0;
  return (values) => {
    let keys = root;
    for (const dimension of leading) {
      const value = values[dimension];
      let next = keys.get(value);
      if (next === undefined || typeof next === "string") {
        next = new Map();
        keys.set(value, next);
      }
      keys = next;
    }
    const value = values[last];
    const known = keys.get(value);
    if (typeof known === "string") return known;
    const key = partitionKey(dimensions, values);
    remembered += 1;
    if (remembered > maxRemembered) {
      root = new Map();
      remembered = 0;
    } else {
      keys.set(value, key);
    }
    return key;
  };
}
