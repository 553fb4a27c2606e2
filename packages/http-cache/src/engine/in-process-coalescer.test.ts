import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { Follower, FollowerAction, Leader } from "../ports.ts";
import { createInProcessCoalescer, type InProcessCoalescer } from "./in-process-coalescer.ts";

function lead(coalescer: InProcessCoalescer, key = "k"): Leader {
  const role = coalescer.enter(key);
  if (role.role !== "leader") throw new Error(`The role is ${role.role}.`);
  return role;
}

function follow(coalescer: InProcessCoalescer, key = "k"): Follower {
  const role = coalescer.enter(key);
  if (role.role !== "follower") throw new Error(`The role is ${role.role}.`);
  return role;
}

function leading(action: FollowerAction): Leader {
  if (typeof action === "string") throw new Error(`The action is ${action}.`);
  return action;
}

test("requests for one key follow the first; requests for other keys do not", () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const roles = ["k", "k", "other", "k"].map((key) => coalescer.enter(key).role);
  expect(roles).toEqual(["leader", "follower", "leader", "follower"]);
});

test("after the response is stored, followers look it up and the next request leads again", async () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const leader = lead(coalescer);
  const followers = [follow(coalescer), follow(coalescer)];
  leader.settle("stored");
  expect(await Promise.all(followers.map(({ action }) => action))).toEqual(["look-up", "look-up"]);
  lead(coalescer);
});

test("after an unshareable response, followers fetch on their own and later requests for the key do not wait for a while", async () => {
  const clock = createVirtualClock();
  const coalescer = createInProcessCoalescer({ clock, soloForMs: 1_000 });
  const leader = lead(coalescer);
  const follower = follow(coalescer);
  leader.settle("unshared");
  expect(await follower.action).toBe("fetch-alone");
  expect(coalescer.enter("k").role).toBe("solo");
  await clock.advance(1_000);
  lead(coalescer);
});

test("a failed leader hands over once; after a second failure the remaining followers fetch on their own", async () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const leader = lead(coalescer);
  const [second, third] = [follow(coalescer), follow(coalescer)];
  leader.settle("failed");
  leader.settle("stored");
  const next = leading(await second.action);
  const late = follow(coalescer);
  next.settle("failed");
  expect(await Promise.all([third.action, late.action])).toEqual(["fetch-alone", "fetch-alone"]);
});

test("after a leader is abandoned, the next follower that is still waiting leads", async () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock() });
  const leader = lead(coalescer);
  const [gone, here] = [follow(coalescer), follow(coalescer)];
  gone.leave();
  leader.settle("abandoned");
  leading(await here.action).settle("stored");
  expect(coalescer.enter("k").role).toBe("leader");
});

test("a leader that takes too long hands over to the first waiting follower, or to the next request", async () => {
  const clock = createVirtualClock();
  const coalescer = createInProcessCoalescer({ clock, leadMs: 1_000 });
  lead(coalescer);
  const [first, second] = [follow(coalescer), follow(coalescer)];
  lead(coalescer, "other");
  await clock.advance(999);
  follow(coalescer);
  await clock.advance(1);
  // A request for another key is enough.
  lead(coalescer, "third");
  leading(await first.action).settle("stored");
  expect(await second.action).toBe("look-up");
  lead(coalescer, "other");
});

test("a replaced slow leader releases the waiting followers if it stores its response, but not if it fails", async () => {
  const clock = createVirtualClock();
  const coalescer = createInProcessCoalescer({ clock, leadMs: 1_000 });
  for (const outcome of ["stored", "unshared", "failed", "abandoned"] as const) {
    const slow = lead(coalescer, outcome);
    await clock.advance(1_000);
    const next = lead(coalescer, outcome);
    const waiting = follow(coalescer, outcome);
    slow.settle(outcome);
    if (outcome === "failed" || outcome === "abandoned") next.settle("stored");
    expect(await waiting.action).toBe(outcome === "unshared" ? "fetch-alone" : "look-up");
    // It has no effect on later ones.
    if (outcome !== "unshared") {
      const later = lead(coalescer, outcome);
      next.settle("failed");
      slow.settle("stored");
      follow(coalescer, outcome);
      later.settle("stored");
    }
  }
});

test("setting the clock back does not extend the time limit of a leader", () => {
  let nowMs = 1_000_000;
  const coalescer = createInProcessCoalescer({ clock: { now: () => nowMs }, leadMs: 1_000 });
  lead(coalescer);
  nowMs -= 1_000;
  expect(coalescer.enter("k").role).toBe("leader");
});

test("the number of remembered solo keys is limited", () => {
  const coalescer = createInProcessCoalescer({ clock: createVirtualClock(), maxSoloKeys: 2 });
  for (const key of ["a", "b", "c"]) lead(coalescer, key).settle("unshared");
  expect(["b", "c"].map((key) => coalescer.enter(key).role)).toEqual(["solo", "solo"]);
  lead(coalescer, "a");
});
