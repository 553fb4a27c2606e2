import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createFlightDesk, leadMs } from "./create-flight-desk.ts";

test("of many that enter one leads, the others follow and look when it has stored its answer", async () => {
  const desk = createFlightDesk(createVirtualClock());
  expect(["a", "b", "c"].map((id) => desk.enter("key", id))).toEqual(["leader", "follower", "follower"]);
  expect(desk.enter("other", "d")).toBe("leader");
  const turns = Promise.all([desk.turn("b"), desk.turn("c")]);
  desk.settle("a", "stored");
  expect(await turns).toEqual(["look-up", "look-up"]);
  expect(desk.enter("key", "e")).toBe("leader");
});

test("a leader that fails hands over, and only who leads can settle", async () => {
  const desk = createFlightDesk(createVirtualClock());
  for (const id of ["a", "b", "c"]) desk.enter("key", id);
  const [second, third] = [desk.turn("b"), desk.turn("c")];
  desk.settle("c", "stored");
  desk.settle("a", "failed");
  expect(await second).toBe("lead");
  desk.settle("b", "stored");
  expect(await third).toBe("look-up");
});

test("a leader that says nothing for its time is taken for gone, and what it says later changes nothing", async () => {
  const clock = createVirtualClock();
  const desk = createFlightDesk(clock);
  for (const id of ["a", "b", "c"]) desk.enter("key", id);
  const [second, third] = [desk.turn("b"), desk.turn("c")];
  await clock.advance(leadMs);
  expect(await second).toBe("lead");
  desk.settle("a", "stored");
  await clock.advance(leadMs);
  expect(await third).toBe("lead");
});

test("a follower that leaves is passed over, and one that nobody knows goes alone", async () => {
  const desk = createFlightDesk(createVirtualClock());
  for (const id of ["a", "b", "c"]) desk.enter("key", id);
  const third = desk.turn("c");
  desk.leave("b");
  desk.settle("a", "abandoned");
  expect(await third).toBe("lead");
  expect(await desk.turn("unknown")).toBe("go-alone");
});

test("a follower that leaves just as it is given the lead passes it on", async () => {
  const desk = createFlightDesk(createVirtualClock());
  for (const id of ["a", "b", "c"]) desk.enter("key", id);
  const [second, third] = [desk.turn("b"), desk.turn("c")];
  desk.settle("a", "abandoned");
  expect(await second).toBe("lead");
  desk.leave("b");
  expect(await third).toBe("lead");
});

test("a follower that never asks for its turn does not hold up the others for longer than a leader's time", async () => {
  const clock = createVirtualClock();
  const desk = createFlightDesk(clock);
  for (const id of ["a", "gone", "c"]) desk.enter("key", id);
  const third = desk.turn("c");
  desk.settle("a", "abandoned");
  await clock.advance(leadMs);
  expect(await third).toBe("lead");
});
