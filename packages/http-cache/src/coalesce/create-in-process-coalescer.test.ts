import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { FollowingFlight, LeadingFlight, Turn } from "../ports.ts";
import { createInProcessCoalescer, type InProcessCoalescer } from "./create-in-process-coalescer.ts";

function lead(coalescer: InProcessCoalescer, key = "k"): LeadingFlight {
  const flight = coalescer.enter(key);
  if (flight.role !== "leader") throw new Error(`It is a ${flight.role}.`);
  return flight;
}

function follow(coalescer: InProcessCoalescer, key = "k"): FollowingFlight {
  const flight = coalescer.enter(key);
  if (flight.role !== "follower") throw new Error(`It is a ${flight.role}.`);
  return flight;
}

function leading(turn: Turn): LeadingFlight {
  if (typeof turn === "string") throw new Error(`It is told to ${turn}.`);
  return turn;
}

test("requests of one key wait for the first one, those of other keys do not", () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const roles = ["k", "k", "other", "k"].map((key) => coalescer.enter(key).role);
  expect(roles).toEqual(["leader", "follower", "leader", "follower"]);
});

test("once the answer is stored everybody looks it up, and the next request leads again", async () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const leader = lead(coalescer);
  const followers = [follow(coalescer), follow(coalescer)];
  leader.settle("stored");
  expect(await Promise.all(followers.map(({ turn }) => turn))).toEqual(["look-up", "look-up"]);
  lead(coalescer);
});

test("an answer for nobody else sends everybody on alone, and nobody waits for that key for a while", async () => {
  const clock = createVirtualClock();
  const coalescer = createInProcessCoalescer({ clock, soloForMs: 1_000 });
  const leader = lead(coalescer);
  const follower = follow(coalescer);
  leader.settle("unshared");
  expect(await follower.turn).toBe("go-alone");
  expect(coalescer.enter("k").role).toBe("solo");
  await clock.advance(1_000);
  lead(coalescer);
});

test("a failed leader hands over once; when the second fails too, the rest go alone", async () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const leader = lead(coalescer);
  const [second, third] = [follow(coalescer), follow(coalescer)];
  leader.settle("failed");
  leader.settle("stored");
  const next = leading(await second.turn);
  const late = follow(coalescer);
  next.settle("failed");
  expect(await Promise.all([third.turn, late.turn])).toEqual(["go-alone", "go-alone"]);
});

test("an abandoned flight goes to the next follower that is still there", async () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const leader = lead(coalescer);
  const [gone, here] = [follow(coalescer), follow(coalescer)];
  gone.leave();
  leader.settle("abandoned");
  leading(await here.turn).settle("stored");
  expect(coalescer.enter("k").role).toBe("leader");
});

test("keys that are remembered are bounded", () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock(), maxSoloKeys: 2 });
  for (const key of ["a", "b", "c"]) lead(coalescer, key).settle("unshared");
  expect(["b", "c"].map((key) => coalescer.enter(key).role)).toEqual(["solo", "solo"]);
  lead(coalescer, "a");
});
