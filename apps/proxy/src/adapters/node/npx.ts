/**
 * The `npx` through which this process was started. A signal that is sent to npx alone ends npx and its shell, and not the program below
 * them, so a gateway under a supervisor would keep running.
 */
import { readFileSync } from "node:fs";
import process from "node:process";

/** How often npx is looked for, in milliseconds. */
const pollMs = 1_000;

/**
 * Calls back when the npx that started this process has ended; never if none did. It reads the proc file system, so it works on Linux only.
 * It does not keep the process alive.
 */
export function onNpxEnd(onEnd: () => void): void {
  const npx = findNpx();
  if (npx === null) return;
  const timer = setInterval(() => {
    if (isAlive(npx)) return;
    clearInterval(timer);
    onEnd();
  }, pollMs);
  timer.unref();
}

/** Returns the process id of the closest npx above this process; `null` if there is none. */
function findNpx(): number | null {
  for (let id = process.ppid; id > 1;) {
    const ancestor = describe(id);
    if (ancestor === null) return null;
    // npm sets the title of its process; before that it is a script of Node.js.
    if (/^npm exec\b|\bnpx(?:-cli\.js)?\0/.test(ancestor.command)) return id;
    id = ancestor.parentId;
  }
  return null;
}

function describe(id: number): { readonly parentId: number; readonly command: string } | null {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "utf8");
    // The second field is the name of the program in parentheses, and may contain spaces and parentheses itself.
    const parentId = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { parentId, command: readFileSync(`/proc/${id}/cmdline`, "utf8") };
  } catch {
    // There is no such file system, or the runtime does not allow to read it.
    return null;
  }
}

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch {
    return false;
  }
}
