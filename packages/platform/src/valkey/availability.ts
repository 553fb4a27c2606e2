/**
 * Tracks whether commands can be sent, and which commands wait: those before the first connection, and those shortly after a loss.
 * No part of a waiting command has been sent. While the server stays unreachable, commands are rejected immediately.
 */
import { type ValkeyAddress, ValkeyError } from "../valkey.ts";
import { isServerError, timeoutError, toValkeyError } from "./client.ts";

/**
 * How long after a loss commands always wait, in milliseconds; after that, they wait until an attempt to connect fails. If the
 * process was suspended when the connection was lost, no attempt has failed yet, so commands wait for one after it continues.
 */
const lossGraceMs = 500;

/** The state of a connection, and the commands that wait for it. */
export interface Availability {
  /** Whether there is a connection to a server that was checked. */
  readonly isUp: boolean;
  /** Resolves once commands can be sent. Rejects after `waitMs`, and as soon as waiting is pointless. */
  wait(waitMs: number): Promise<void>;
  handleConnected(): void;
  handleLoss(): void;
  /** Records why there is no connection. `null` is for an attempt to connect that failed without a new reason. */
  handleFailure(cause: Error | null): void;
  handleClose(): void;
}

/** Creates an {@link Availability} that waits for the first connection, however often an attempt fails. */
export function createAvailability(address: ValkeyAddress): Availability {
  const waiting = new Set<(error: ValkeyError | null) => void>();
  let state: "connecting" | "up" | "down" | "closed" = "connecting";
  let graceEndMs = Infinity;
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
    handleConnected() {
      if (state === "closed") return;
      state = "up";
      lastFailure = null;
      settle(null);
    },
    handleLoss() {
      if (state !== "up") return;
      state = "connecting";
      graceEndMs = performance.now() + lossGraceMs;
    },
    handleFailure(cause) {
      lastFailure = cause ?? lastFailure;
      if (state !== "connecting") return;
      const isGraceOver = performance.now() >= graceEndMs;
      if (isGraceOver) state = "down";
      // More attempts do not help if the server refuses the login.
      if (isGraceOver || isServerError(lastFailure)) settle(refusal());
    },
    handleClose() {
      state = "closed";
      settle(refusal());
    },
  };
}
