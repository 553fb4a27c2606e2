import type { Coalescer, Follower, FollowerAction, Leader } from "@letta-environments/http-cache";
import type { RandomId } from "@letta-environments/platform";
import type { FlightObjectStub } from "./flight-object.ts";

/** The dependencies of the coalescer. */
export interface DurableCoalescerOptions {
  /** The object that coordinates the requests of a key. */
  readonly coordinatorOf: (key: string) => FlightObjectStub;
  readonly randomId: RandomId;
  /** Keeps work alive after the response was sent. */
  readonly background: (work: Promise<unknown>) => void;
}

/**
 * Coalesces the requests of many isolates through a Durable Object. No promise crosses requests: each request waits for its own call to the object. A
 * leader is kept alive until it settles, even if its client goes away. When the object is unavailable, every request fetches by itself.
 */
export function createDurableCoalescer({ coordinatorOf, randomId, background }: DurableCoalescerOptions): Coalescer {
  function lead(key: string, requestId: string): Leader {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    background(ended);
    let isSettled = false;
    return {
      role: "leader",
      settle(outcome) {
        if (isSettled) return;
        isSettled = true;
        background(ignoreUnavailable(coordinatorOf(key).settle(requestId, outcome)));
        end();
      },
    };
  }

  async function waitForAction(key: string, requestId: string): Promise<FollowerAction> {
    try {
      const action = await coordinatorOf(key).actionOf(requestId);
      return action === "lead" ? lead(key, requestId) : action;
    } catch {
      return "fetch-alone";
    }
  }

  function follow(key: string, requestId: string): Follower {
    return {
      role: "follower",
      action: waitForAction(key, requestId),
      leave() {
        background(ignoreUnavailable(coordinatorOf(key).leave(requestId)));
      },
    };
  }

  return {
    async enter(key) {
      const requestId = randomId("read");
      try {
        const role = await coordinatorOf(key).enter(key, requestId);
        if (role === "leader") return lead(key, requestId);
        return role === "follower" ? follow(key, requestId) : { role: "solo" };
      } catch {
        return { role: "solo" };
      }
    },
  };
}

async function ignoreUnavailable(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch {
    // An unavailable object has lost its state, so no request waits for this message.
  }
}
