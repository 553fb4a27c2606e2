/**
 * Functions that run at the end of a turn of the event loop, such as writes to sockets: many writes in a row cost less than the same number
 * between other work; see docs/decisions/0010-runtimes.md.
 */

/** How many functions may wait for the end of a turn. With more, the first one would wait too long. */
const maxWaiting = 64;

let waiting: (() => void)[] = [];

/** Runs a function at the end of this turn of the event loop, in order. It must not throw. */
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
