import fc from "fast-check";
import { expect, test } from "vitest";
import { IntMap } from "./int-map.ts";

test("an IntMap behaves like a Map, whatever is set and deleted", () => {
  const key = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
  const operation = fc.record({ key, value: fc.nat(2 ** 31 - 2), isDeletion: fc.boolean() });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const [map, expected] = [new IntMap(), new Map<number, number>()];
      for (const { key, value, isDeletion } of operations) {
        if (isDeletion) {
          map.delete(key);
          expected.delete(key);
        } else {
          map.set(key, value);
          expected.set(key, value);
        }
        expect(map.size).toBe(expected.size);
      }
      for (const { key } of operations) expect(map.get(key)).toBe(expected.get(key));
    }),
  );
});

test("an IntMap keeps colliding keys while it grows and other keys are deleted", () => {
  const map = new IntMap();
  // Multiples of the inverse of the map's factor: 128 keys share each place, so all are in one cluster.
  const keys = Array.from({ length: 5_000 }, (_, index) => Math.imul(index, 0xe8b2f51));
  for (const [index, key] of keys.entries()) map.set(key, index);
  for (const [index, key] of keys.entries()) if (index % 3 !== 0) map.delete(key);
  expect(map.size).toBe(Math.ceil(keys.length / 3));
  for (const [index, key] of keys.entries()) expect(map.get(key)).toBe(index % 3 === 0 ? index : undefined);
});
