/**
 * The Durable Object in which isolates coalesce their cache misses. It only passes calls on: the roles are decided in `coalescing-coordinator.ts`.
 */
import { DurableObject } from "cloudflare:workers";
import { type CoordinatedAction, type CoordinatedRole, createCoalescingCoordinator } from "./coalescing-coordinator.ts";
import { systemClock } from "@letta-environments/platform/cloudflare";
import type { FetchOutcome } from "@letta-environments/http-cache";
import type { ObjectStub } from "./object-call.ts";

/** The remote methods of {@link FlightObject}. */
export type FlightObjectStub = ObjectStub<FlightObject>;

/**
 * The Durable Object that coordinates concurrent cache misses of many isolates. It stores nothing: if it is evicted, each request
 * that waits for it sends its own fetch. The class and its binding `FLIGHTS` keep their names, which identify deployed objects.
 */
export class FlightObject extends DurableObject {
  readonly #coordinator = createCoalescingCoordinator(systemClock);

  enter(key: string, requestId: string): CoordinatedRole {
    return this.#coordinator.enter(key, requestId);
  }

  actionOf(requestId: string): Promise<CoordinatedAction> {
    return this.#coordinator.actionOf(requestId);
  }

  settle(requestId: string, outcome: FetchOutcome): void {
    this.#coordinator.settle(requestId, outcome);
  }

  leave(requestId: string): void {
    this.#coordinator.leave(requestId);
  }
}
