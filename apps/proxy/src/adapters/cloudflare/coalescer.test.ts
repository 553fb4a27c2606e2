import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDurableCoalescer } from "./coalescer.ts";
import type { FlightObjectStub } from "./flight-object.ts";

const never = () => new Promise<never>(() => undefined);

function setUp(stub: Partial<FlightObjectStub>) {
  const clock = createVirtualClock();
  const left: string[] = [];
  const hanging: FlightObjectStub = {
    ...{ enter: never, actionOf: never, settle: never },
    leave: async (requestId) => void left.push(requestId),
    ...stub,
  };
  const work: Promise<unknown>[] = [];
  const coalescer = createDurableCoalescer({
    coordinatorOf: () => hanging,
    clock,
    randomId: (prefix) => `${prefix}-1`,
    background: (promise) => void work.push(promise),
  });
  return { clock, coalescer, left };
}

test("a request fetches on its own after a second while the object does not respond, and leads no other request", async () => {
  const { clock, coalescer, left } = setUp({});
  let role: unknown = null;
  void Promise.resolve(coalescer.enter("key")).then((entered) => (role = entered));
  await clock.advance(999);
  expect(role).toBeNull();
  await clock.advance(1);
  expect([role, left]).toEqual([{ role: "solo" }, ["read-1"]]);
  expect(clock.timerCount).toBe(0);
});

test("a request that waits for an object that no longer responds fetches on its own after 15 seconds, and leads no other request", async () => {
  const { clock, coalescer, left } = setUp({ enter: () => Promise.resolve("follower") });
  const follower = await coalescer.enter("key");
  let action: unknown = null;
  if (follower.role === "follower") void follower.action.then((next) => (action = next));
  await clock.advance(14_999);
  expect(action).toBeNull();
  await clock.advance(1);
  expect([action, left]).toEqual(["fetch-alone", ["read-1"]]);
});
