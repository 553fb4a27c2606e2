/**
 * Whether commands can be sent, and which of them wait until they can: those before the first connection, and those shortly after a
 * loss. Nothing of a command that waits has been sent. While the server stays away, commands are rejected at once.
 */
import { type ValkeyAddress, ValkeyError } from "../valkey.ts";
import { isServerError, timeoutError, toValkeyError } from "./client.ts";

/**
 * How long after a loss commands wait in any case, in milliseconds; after that, until an attempt to connect fails. A process that was
 * suspended when the connection was lost, so that no attempt has failed yet, waits for one when it continues.
 */
const patienceMs = 500;

/** The state of a connection, and the commands that wait for it. */
export interface Availability {
  /** Whether there is a connection to a server that was checked. */
  readonly isUp: boolean;
  /** Resolves once commands can be sent. Rejects after `waitMs`, and as soon as nothing can be expected any longer. */
  wait(waitMs: number): Promise<void>;
  established(): void;
  lost(): void;
  /** Notes why there is no connection. An attempt to connect that fails without a new reason passes `null`. */
  failed(cause: Error | null): void;
  closed(): void;
}

/** Creates an {@link Availability} that waits for the first connection, however often an attempt fails. */
export function createAvailability(address: ValkeyAddress): Availability {
  const waiting = new Set<(error: ValkeyError | null) => void>();
  let state: "connecting" | "up" | "down" | "closed" = "connecting";
  let patientUntil = Infinity;
  let lastFailure: Error | null = null;

  function settle(error: ValkeyError | null): void {
    for (const finish of waiting) finish(error);
  }

  function refusal(): ValkeyError {
    if (state === "closed") return new ValkeyError("unreachable", "the connection to Valkey was closed");
    return lastFailure === null
      ? new ValkeyError("unreachable", `Valkey at ${address.label} cannot be reached: there is no connection`)
      : toValkeyError(lastFailure, address);
  }

  return {
    get isUp() {
      return state === "up";
    },
    wait(waitMs) {
      if (state === "up") return Promise.resolve();
      if (state !== "connecting") return Promise.reject(refusal());
      return new Promise((resolve, reject) => {
        const finish = (error: ValkeyError | null): void => {
          clearTimeout(timer);
          waiting.delete(finish);
          if (error === null) resolve();
          else reject(error);
        };
        const timer = setTimeout(() => finish(timeoutError(address, lastFailure)), waitMs);
        waiting.add(finish);
      });
    },
    established() {
      if (state === "closed") return;
      state = "up";
      lastFailure = null;
      settle(null);
    },
    lost() {
      if (state !== "up") return;
      state = "connecting";
      patientUntil = performance.now() + patienceMs;
    },
    failed(cause) {
      lastFailure = cause ?? lastFailure;
      if (state !== "connecting") return;
      const isOver = performance.now() >= patientUntil;
      if (isOver) state = "down";
      // More attempts would not help where the server refuses the login.
      if (isOver || isServerError(lastFailure)) settle(refusal());
    },
    closed() {
      state = "closed";
      settle(refusal());
    },
  };
}
