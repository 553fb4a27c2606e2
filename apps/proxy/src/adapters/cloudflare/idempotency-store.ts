/** Remembers sends in Durable Objects (`SendObject`), one for each tenant, so that each id is in one object only. */
import type { Clock } from "@letta-environments/platform";
import {
  type IdempotencyStore,
  IdempotencyUnavailableError,
  type KnownConnection,
  type KnownEntry,
  type Reservation,
  type ReserveOutcome,
  type SendResult,
  type SendScope,
} from "../../idempotency/store.ts";

/** How long a call waits for the object, in milliseconds. It may be on another continent. */
const defaultTimeoutMs = 5_000;

/** The remote methods of `SendObject`. */
export interface SendObjectStub {
  reserve(reservation: Reservation): Promise<ReserveOutcome>;
  find(scope: SendScope, ids: readonly string[]): Promise<readonly KnownEntry[]>;
  settle(reservation: Reservation, result: SendResult): Promise<void>;
  release(reservation: Reservation): Promise<void>;
  findConnection(tenant: string, connectionId: string): Promise<KnownConnection | null>;
}

/** Options of {@link createDurableIdempotencyStore}. */
export interface DurableIdempotencyStoreOptions {
  /** Returns a stub of the object with this name. It is called for each request to the object. */
  readonly objectOf: (name: string) => SendObjectStub;
  readonly clock: Pick<Clock, "setTimer">;
  /** How long a call waits for the object, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number;
}

/** Creates a store whose ids are in Durable Objects. */
export function createDurableIdempotencyStore(options: DurableIdempotencyStoreOptions): IdempotencyStore {
  const { objectOf, clock, timeoutMs = defaultTimeoutMs } = options;

  function call<Result>(tenant: string, run: (stub: SendObjectStub) => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => reject(new IdempotencyUnavailableError(cause));
      const cancel = clock.setTimer(timeoutMs, () => fail(new Error("the object did not respond in time")));
      // A stub returns a thenable, not a `Promise`, and may throw.
      const running = (async () => run(objectOf(`tenant ${tenant}`)))();
      void running.then(resolve, fail).finally(cancel);
    });
  }

  return {
    reserve: (reservation) => call(reservation.scope.tenant, (stub) => stub.reserve(reservation)),
    find: (scope, ids) => call(scope.tenant, (stub) => stub.find(scope, ids)),
    settle: (reservation, result) => call(reservation.scope.tenant, (stub) => stub.settle(reservation, result)),
    release: (reservation) => call(reservation.scope.tenant, (stub) => stub.release(reservation)),
    findConnection: (tenant, connectionId) => call(tenant, (stub) => stub.findConnection(tenant, connectionId)),
  };
}
