import { truncate } from "./format/display-width.ts";
import { printable } from "./format/printable.ts";
import type { Host } from "./host.ts";

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameMs = 100;
/** What takes less time needs no line. */
const patienceMs = 300;

/**
 * Shows on a terminal, on standard error, what is waited for; silent elsewhere. The result takes the line away again, and
 * resolves when it is gone.
 */
export function startProgress(host: Host, describe: (elapsedMs: number) => string): () => Promise<void> {
  const { stderr, clock } = host;
  if (!stderr.isTerminal) return () => Promise.resolve();
  const isDumb = host.variable("TERM") === "dumb";
  const startedMs = clock.now();
  let cancel = clock.setTimer(patienceMs, () => draw(0));
  let isShown = false;

  function draw(frame: number): void {
    const text = truncate(printable(describe(clock.now() - startedMs)), (stderr.columns() ?? 80) - 3);
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
    if (isShown) await stderr.write("\r\u001b[K");
  };
}
