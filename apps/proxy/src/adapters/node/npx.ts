/**
 * The `npx` through which this process was started. A signal that is sent to npx alone ends npx and its shell, but not the program below
 * them, so a gateway under a supervisor would keep running.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { errorCode } from "./data-dir.ts";

/** How often to look for npx, in milliseconds. */
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

/**
 * Returns the process id of the npx that started this process, itself or through its shell; `null` if none did. An npx further up started
 * something else, which may end before this process.
 */
function findNpx(): number | null {
  const parent = describe(process.ppid);
  if (parent === null || isNpx(parent)) return parent === null ? null : process.ppid;
  const grandparent = /^(?:\S*\/)?(?:ba|da)?sh\0-c\0/.test(parent.command) ? describe(parent.parentId) : null;
  return grandparent !== null && isNpx(grandparent) ? parent.parentId : null;
}

/** npm sets the title of its process; before that it is a script of Node.js. */
function isNpx({ command }: Ancestor): boolean {
  return /^npm exec\b|\/npx(?:-cli\.js)?\0/.test(command);
}

interface Ancestor {
  readonly parentId: number;
  /** The words of the command, each followed by a zero byte. */
  readonly command: string;
}

function describe(id: number): Ancestor | null {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "utf8");
    // The second field is the name of the program in parentheses, and may contain spaces and parentheses itself.
    const parentId = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { parentId, command: readFileSync(`/proc/${id}/cmdline`, "utf8") };
  } catch {
    // There is no such file system, or the runtime does not allow reading it.
    return null;
  }
}

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (cause) {
    // The process exists, but belongs to another user.
    return errorCode(cause) === "EPERM";
  }
}
