/** Time as the client sees it; a test passes its own. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Runs something once after `delayMs` milliseconds; the result cancels it. */
  setTimer(delayMs: number, run: () => void): () => void;
}
