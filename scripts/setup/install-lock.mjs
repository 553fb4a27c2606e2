import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 200;
/** How long a lock may lack a process id, because its owner has not written it yet. */
const graceMs = 5_000;

/** True when the process that holds the lock has ended, for example after a kill. @param {string} folder */
function isAbandoned(folder) {
  try {
    const owner = Number(readFileSync(join(folder, "pid"), "utf8"));
    process.kill(owner, 0);
    return false;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ESRCH") return true;
    if (code === "EPERM") return false;
    const age = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    return age > graceMs;
  }
}

/** @param {string} folder */
function tryLock(folder) {
  try {
    mkdirSync(folder);
  } catch {
    return false;
  }
  writeFileSync(join(folder, "pid"), String(process.pid));
  return true;
}

/**
 * Runs the work while no other process installs in this repository. `pnpm start` and `pnpm device` may run at the same time in two
 * terminals of a fresh clone.
 *
 * @param {string} folder the lock; a folder, because creating one is atomic
 * @param {() => Promise<void>} work
 */
export async function withInstallLock(folder, work) {
  while (!tryLock(folder)) {
    if (isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
    else await sleep(pollMs);
  }
  try {
    await work();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
