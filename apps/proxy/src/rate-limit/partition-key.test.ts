import fc from "fast-check";
import { expect, test } from "vitest";
import { createPartitionKeys } from "./partition-key.ts";
import { partitionKey, type RateLimitDimension } from "./partition-key.ts";

const value = fc.option(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("-", "=", "k", "t", "1") })), {
  nil: null,
});
const subject = fc.record({ key: value, tenant: value, address: value, route: value, device: value });
const dimensions = fc.uniqueArray(fc.constantFrom<RateLimitDimension>("key", "tenant", "address", "route", "device"));

test("two requests share a partition only when they agree in every dimension", () => {
  fc.assert(
    fc.property(dimensions, subject, subject, (chosen, left, right) => {
      const agree = chosen.every((dimension) => left[dimension] === right[dimension]);
      expect(partitionKey(chosen, left) === partitionKey(chosen, right)).toBe(agree);
    }),
  );
});

test("no value reads as another combination of values", () => {
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

test("a key that is remembered is the one that would be built, however many there are", () => {
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
