import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { useFlushMs } from "../../keys/key-uses.ts";
import type { KeyUse } from "../../ports.ts";
import { createDurableKeyUses } from "./durable-key-uses.ts";

test("the first use is written at once, the next ones together after 30 s, and those that failed with them", async () => {
  const clock = createVirtualClock();
  const batches: (readonly KeyUse[])[] = [];
  const failures: unknown[] = [];
  const work: Promise<unknown>[] = [];
  let isDown = false;
  const note = createDurableKeyUses({
    clock,
    keyStore: {
      async recordUse(batch) {
        if (isDown) throw new Error("down");
        batches.push(batch);
      },
    },
    background: (promise) => void work.push(promise),
    onFailure: (cause) => void failures.push(cause),
  });
  const startedAt = clock.now();
  note("a");
  await Promise.all(work);
  expect(batches).toEqual([[{ id: "a", usedAt: startedAt }]]);

  await clock.advance(1_000);
  note("b");
  await clock.advance(useFlushMs - 1_001);
  note("b");
  expect(work).toHaveLength(1);
  isDown = true;
  await clock.advance(1);
  note("c");
  await Promise.all(work);
  expect([batches.length, failures.length]).toEqual([1, 1]);

  isDown = false;
  await clock.advance(useFlushMs);
  note("d");
  await Promise.all(work);
  expect(batches[1]?.map(({ id }) => id).toSorted()).toEqual(["b", "c", "d"]);
});
