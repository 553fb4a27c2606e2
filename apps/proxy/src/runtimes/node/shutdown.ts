/** Stops the process gracefully when it receives a signal. The order in which `stop` ends things is in `start.ts`. */
import process from "node:process";
import type { LogEvent } from "../../adapters/log-event.ts";
import { onNpxEnd } from "../../adapters/node/npx.ts";

/** The longest time for requests in flight after the first signal, in milliseconds. */
const graceMs = 10_000;

/**
 * Calls `stop` on SIGTERM or SIGINT, when the terminal is closed, or when the npx that started the process has ended, and then exits. A second
 * signal exits immediately.
 */
export function stopOnSignal(options: {
  readonly log: (event: LogEvent) => void;
  readonly stop: (graceMs: number, signal: NodeJS.Signals) => Promise<void>;
  /** Writes the rest of the log. */
  readonly end: () => Promise<void>;
}): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    options.log({ type: "stopping", signal });
    const end = async (code: number, event: LogEvent): Promise<void> => {
      options.log(event);
      await options.end();
      process.exit(code);
    };
    void options.stop(graceMs, signal).then(
      () => end(0, { type: "stopped" }),
      (cause: unknown) => end(1, { type: "internal_error", requestId: "-", cause }),
    );
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  if (isInTerminal()) process.on("SIGHUP", onSignal);
  onNpxEnd(() => {
    if (!isStopping) onSignal("SIGTERM");
  });
}

/** Whether the process was started in a terminal, which sends SIGHUP when it is closed. */
export function isInTerminal(): boolean {
  return process.stdin.isTTY === true;
}
