/**
 * An isolate's part in the coalescing of cache misses: it asks for its role and waits. The Durable Object that assigns roles is in
 * `flight-object.ts`.
 */
import type { Coalescer, FollowerAction, Leader } from "@letta-environments/http-cache";
import type { Clock, RandomId } from "@letta-environments/platform";
import { leadMs } from "./coalescing-coordinator.ts";
import type { FlightObjectStub } from "./flight-object.ts";
import { callObject, objectTimeoutMs } from "./object-call.ts";

/** How long a request waits for its role, in milliseconds. A role only saves a fetch. */
const roleMs = 1_000;
/** How long a follower waits, in milliseconds: for a leader that hangs, and for the next one. */
const actionMs = leadMs + 5_000;

export interface DurableCoalescerOptions {
  /** The object that coordinates the requests of a key. */
  readonly coordinatorOf: (key: string) => FlightObjectStub;
  readonly clock: Pick<Clock, "setTimer">;
  readonly randomId: RandomId;
  /** Keeps work alive after the response was sent. */
  readonly background: (work: Promise<unknown>) => void;
}

/**
 * Coalesces the requests of many isolates through a Durable Object. No promise crosses requests: each request waits for its own call to the object. A
 * leader is kept alive until it settles, even if its client goes away. When the object is unavailable or does not respond, every request sends its
 * own fetch.
 */
export function createDurableCoalescer(options: DurableCoalescerOptions): Coalescer {
  const { coordinatorOf, clock, randomId, background } = options;

  /** Notifies an object in the background. Failures are ignored, because an object that is unavailable has lost its state. */
  function sendInBackground(key: string, call: (stub: FlightObjectStub) => Promise<void>): void {
    background(callObject(clock, objectTimeoutMs, () => call(coordinatorOf(key))).catch(() => undefined));
  }

  /** The object may assign the role after the request has stopped waiting. */
  function leave(key: string, requestId: string): void {
    sendInBackground(key, (stub) => stub.leave(requestId));
  }

  function lead(key: string, requestId: string): Leader {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    background(ended);
    let isSettled = false;
    return {
      role: "leader",
      settle(outcome) {
        if (isSettled) return;
        isSettled = true;
        sendInBackground(key, (stub) => stub.settle(requestId, outcome));
        end();
      },
    };
  }

  async function waitForAction(key: string, requestId: string): Promise<FollowerAction> {
    try {
      const action = await callObject(clock, actionMs, () => coordinatorOf(key).actionOf(requestId));
      return action === "lead" ? lead(key, requestId) : action;
    } catch {
      leave(key, requestId);
      return "fetch-alone";
    }
  }

  return {
    async enter(key) {
      const requestId = randomId("read");
      try {
        const role = await callObject(clock, roleMs, () => coordinatorOf(key).enter(key, requestId));
        if (role === "leader") return lead(key, requestId);
        if (role === "solo") return { role };
        return { role, action: waitForAction(key, requestId), leave: () => leave(key, requestId) };
      } catch {
        leave(key, requestId);
        return { role: "solo" };
      }
    },
  };
}
