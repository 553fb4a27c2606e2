/** The line on a terminal while a command waits. Files and pipes never receive it. */
import { printable, truncate } from "@letta-environments/command-line";
import type { Host } from "./host.ts";

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameMs = 100;
/** Anything faster needs no progress line. */
const patienceMs = 300;

/** The control sequence that clears the progress line. */
export const clearLine = "\r\u001b[K";

/** On a terminal, shows on standard error what the program waits for. Returns a function that removes the line, and resolves once it is gone. */
export function startProgress(host: Host, describe: (elapsedMs: number) => string): () => Promise<void> {
  const { stderr, clock } = host;
  if (!stderr.isTerminal) return () => Promise.resolve();
  const isDumb = host.variable("TERM") === "dumb";
  const startedMs = clock.monotonic();
  let cancel = clock.setTimer(patienceMs, () => draw(0));
  let isShown = false;

  function draw(frame: number): void {
    const text = truncate(printable(describe(clock.monotonic() - startedMs)), (stderr.columns() ?? 80) - 3);
    isShown = !isDumb;
    if (isDumb) {
      void stderr.write(`${text}\n`);
      return;
    }
    void stderr.write(`\r${frames[frame % frames.length]} ${text}\u001b[K`);
    cancel = clock.setTimer(frameMs, () => draw(frame + 1));
  }

  return async () => {
    cancel();
    if (isShown) await stderr.write(clearLine);
  };
}
