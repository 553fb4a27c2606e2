/** The data directory of a simulated gateway. It survives crashes of the gateway and is removed with the simulation. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A separate directory. */
export interface DataDirectory {
  readonly path: string;
  remove(): void;
}

/** Creates a directory, in memory where the system has such a file system: simulations need durability against crashes only. */
export function createDataDirectory(): DataDirectory {
  const memory = "/dev/shm";
  const path = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "letta-simulation-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
