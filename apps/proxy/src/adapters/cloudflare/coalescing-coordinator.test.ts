import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createCoalescingCoordinator, leadMs } from "./coalescing-coordinator.ts";

test("the first request for a key leads; the others follow and look in the store after it has stored its response", async () => {
  const coordinator = createCoalescingCoordinator(createVirtualClock());
  expect(["a", "b", "c"].map((id) => coordinator.enter("key", id))).toEqual(["leader", "follower", "follower"]);
  expect(coordinator.enter("other", "d")).toBe("leader");
  const actions = Promise.all([coordinator.actionOf("b"), coordinator.actionOf("c")]);
  coordinator.settle("a", "stored");
  expect(await actions).toEqual(["look-up", "look-up"]);
  expect(coordinator.enter("key", "e")).toBe("leader");
});

test("when the leader fails, a follower leads, and only the leader can settle", async () => {
  const coordinator = createCoalescingCoordinator(createVirtualClock());
  for (const id of ["a", "b", "c"]) coordinator.enter("key", id);
  const [second, third] = [coordinator.actionOf("b"), coordinator.actionOf("c")];
  coordinator.settle("c", "stored");
  coordinator.settle("a", "failed");
  expect(await second).toBe("lead");
  coordinator.settle("b", "stored");
  expect(await third).toBe("look-up");
});

test("a leader that times out is replaced, and its late result has no effect", async () => {
  const clock = createVirtualClock();
  const coordinator = createCoalescingCoordinator(clock);
  for (const id of ["a", "b", "c"]) coordinator.enter("key", id);
  const [second, third] = [coordinator.actionOf("b"), coordinator.actionOf("c")];
  await clock.advance(leadMs);
  expect(await second).toBe("lead");
  coordinator.settle("a", "stored");
  await clock.advance(leadMs);
  expect(await third).toBe("lead");
});

test("a follower that left never leads, and an unknown request fetches on its own", async () => {
  const coordinator = createCoalescingCoordinator(createVirtualClock());
  for (const id of ["a", "b", "c"]) coordinator.enter("key", id);
  const third = coordinator.actionOf("c");
  coordinator.leave("b");
  coordinator.settle("a", "abandoned");
  expect(await third).toBe("lead");
  expect(await coordinator.actionOf("unknown")).toBe("fetch-alone");
});

test("when a follower leaves just as it becomes the leader, the next follower leads", async () => {
  const coordinator = createCoalescingCoordinator(createVirtualClock());
  for (const id of ["a", "b", "c"]) coordinator.enter("key", id);
  const [second, third] = [coordinator.actionOf("b"), coordinator.actionOf("c")];
  coordinator.settle("a", "abandoned");
  expect(await second).toBe("lead");
  coordinator.leave("b");
  expect(await third).toBe("lead");
});

test("a follower that never collects its action delays the others by at most one leader timeout", async () => {
  const clock = createVirtualClock();
  const coordinator = createCoalescingCoordinator(clock);
  for (const id of ["a", "gone", "c"]) coordinator.enter("key", id);
  const third = coordinator.actionOf("c");
  coordinator.settle("a", "abandoned");
  await clock.advance(leadMs);
  expect(await third).toBe("lead");
});
