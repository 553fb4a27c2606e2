import { statSync } from "node:fs";
import type { Clock } from "@letta-environments/platform";

/** How often a file is looked at, in milliseconds. */
const lookEveryMs = 1_000;

/**
 * Tells of every change of a file, also when another file was put in its place or it appears only later. A change is told when two
 * looks in a row saw the same, so that a file that is still being written is left alone.
 *
 * @returns ends the watch
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  let told = stampOf(path);
  let seen = told;
  let cancel = clock.setTimer(lookEveryMs, look);

  function look(): void {
    const stamp = stampOf(path);
    if (stamp === seen && stamp !== told) {
      told = stamp;
      onChange();
    }
    seen = stamp;
    cancel = clock.setTimer(lookEveryMs, look);
  }

  return () => cancel();
}

/**
 * Changes with the content and with who may read it; "absent" for a file that cannot be looked at. A link is followed, so that a swapped link is a
 * change.
 */
function stampOf(path: string): string {
  try {
    const { mtimeNs, ctimeNs, size, ino } = statSync(path, { bigint: true });
    return `${mtimeNs}:${ctimeNs}:${size}:${ino}`;
  } catch {
    return "absent";
  }
}
