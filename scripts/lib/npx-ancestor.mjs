import { readFileSync } from "node:fs";
import process from "node:process";

const pollMs = 500;

/** Parent and command line of a process, from Linux' proc file system. @param {number} processId */
function describe(processId) {
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    const parentId = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { parentId, command: readFileSync(`/proc/${processId}/cmdline`, "utf8") };
  } catch {
    return undefined;
  }
}

/** The npx that this script was started through, or undefined. */
function findNpx() {
  let processId = process.ppid;
  for (let ancestor = describe(processId); ancestor !== undefined && processId > 1; ancestor = describe(processId)) {
    if (/^npm exec\b|\bnpx(?:-cli\.js)?\0/.test(ancestor.command)) return processId;
    processId = ancestor.parentId;
  }
  return undefined;
}

/** @param {number} processId */
function isAlive(processId) {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * Calls back once the npx above this script has ended. A signal that is sent to npx alone ends npx and its shell but not the
 * pnpm below them, and the server would go on unseen. Watches on Linux only, and never keeps the process running.
 *
 * @param {() => void} onEnd
 */
export function onNpxEnd(onEnd) {
  const npx = findNpx();
  if (npx === undefined) return;
  const timer = setInterval(() => {
    if (isAlive(npx)) return;
    clearInterval(timer);
    onEnd();
  }, pollMs);
  timer.unref();
}
