import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { callObject } from "./object-call.ts";

test("a call whose object is restarted after its time is not repeated", async () => {
  const clock = createVirtualClock();
  const calls: string[] = [];
  const { promise: restarted, reject: restart } = Promise.withResolvers<never>();
  const call = callObject(
    clock,
    1_000,
    () => restarted,
    async () => void calls.push("again"),
  );
  const failed = call.catch((cause: unknown) => cause);
  await clock.advance(1_000);
  expect(String(await failed)).toContain("did not respond in time");
  restart(new Error("reset"));
  await clock.advance(0);
  expect(calls).toEqual([]);
});
