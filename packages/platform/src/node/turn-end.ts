/** Functions that wait for the end of a turn of the event loop. More would make the first one wait too long. */
const maxWaiting = 64;

let waiting: (() => void)[] = [];

/**
 * Runs a function at the end of this turn of the event loop, in order. Use it for writes to sockets: many writes in a row cost less
 * than as many between other work; see docs/decisions/0010-runtimes.md. The function must not throw.
 */
export function atTurnEnd(run: () => void): void {
  waiting.push(run);
  if (waiting.length === 1) setImmediate(runWaiting);
  else if (waiting.length >= maxWaiting) runWaiting();
}

function runWaiting(): void {
  const batch = waiting;
  waiting = [];
  for (const run of batch) run();
}
