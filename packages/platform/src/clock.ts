/** Time as a port, so that every decision that depends on it runs under a virtual clock in tests. */
export interface Clock {
  /** The present time in epoch milliseconds. */
  now(): number;
  /** Runs `run` once, `delayMs` from now. The returned function cancels it; cancelling twice or too late does nothing. */
  setTimer(delayMs: number, run: () => void): () => void;
}
