/** Time, as far as the program asks for it itself. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Calls `run` after `delayMs` milliseconds; gives what cancels that. */
  setTimer(delayMs: number, run: () => void): () => void;
}
