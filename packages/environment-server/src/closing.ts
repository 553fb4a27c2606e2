/** Whether the server is closing, and what has to end then. */
export interface Closing {
  readonly hasBegun: boolean;
  onBegin(run: () => void): () => void;
  begin(): void;
}

/** Creates a {@link Closing}. */
export function createClosing(): Closing {
  const listeners = new Set<() => void>();
  let hasBegun = false;
  return {
    get hasBegun() {
      return hasBegun;
    },
    onBegin(run: () => void): () => void {
      listeners.add(run);
      return () => void listeners.delete(run);
    },
    begin() {
      hasBegun = true;
      for (const run of listeners) run();
    },
  };
}
