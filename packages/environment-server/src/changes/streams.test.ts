import { expect, test } from "vitest";
import { maxStreams, maxStreamsPerKey } from "../limits.ts";
import { createStreamSlots } from "./streams.ts";

/** Takes slots with as many keys as needed, until none are left. Returns the functions that release them. */
function takeAll(take: ReturnType<typeof createStreamSlots>, tenant: string): (() => void)[] {
  const taken: (() => void)[] = [];
  for (let key = 0; ; key++) {
    const before = taken.length;
    for (let count = 0; count <= maxStreamsPerKey; count++) {
      const giveBack = take({ tenant, keyId: `${tenant} ${key}` });
      if (giveBack !== null) taken.push(giveBack);
    }
    if (taken.length === before) return taken;
  }
}

test("a tenant with any number of keys leaves a quarter of the event streams to others", () => {
  const take = createStreamSlots();
  expect(takeAll(take, "first")).toHaveLength(maxStreams * 0.75);
  expect(takeAll(take, "second")).toHaveLength(maxStreams * 0.25);
  expect(takeAll(take, "third")).toEqual([]);
});

test("a key has its own limit, and a stream that ends frees its place", () => {
  const take = createStreamSlots();
  const key = { tenant: "t", keyId: "k" };
  const slots = Array.from({ length: maxStreamsPerKey }, () => take(key));
  expect(take(key)).toBeNull();
  slots[0]?.();
  expect(take(key)).not.toBeNull();
  expect(take(key)).toBeNull();
  expect(take({ tenant: "other", keyId: "k" })).not.toBeNull();
});

test("places that are given back can be taken by another tenant", () => {
  const take = createStreamSlots();
  for (const giveBack of takeAll(take, "first")) giveBack();
  expect(takeAll(take, "second")).toHaveLength(maxStreams * 0.75);
});
