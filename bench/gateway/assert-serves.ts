import type { LoadName } from "./loads.ts";
import { isUncached, requestOf } from "./loads.ts";
import { oneRequest } from "./run-load.ts";
import type { RunningSystem, System } from "./system.ts";

/**
 * Makes sure that a server does what its rows claim: it serves each load, asks the origin for each miss and send and not for a hit, and refuses
 * an unknown key.
 *
 * @param countRequests how many requests the origin has received
 */
export async function assertServes(
  { name, kind, loads }: System,
  running: RunningSystem,
  countRequests: () => Promise<number>,
): Promise<void> {
  for (const load of loads) {
    await respond(running, load, 200, name);
    const before = await countRequests();
    await respond(running, load, 200, name);
    const asked = (await countRequests()) - before;
    // A send may also read the list, in which the gateway finds the connection.
    if (asked > 0 !== (kind !== "bare" && isUncached(load)))
      throw new Error(`${name}: a repeated ${load} reached the origin ${asked} times.`);
    if (running.key !== null) await respond({ ...running, key: "unknown" }, load, 401, name);
  }
}

async function respond(running: RunningSystem, load: LoadName, expected: number, name: string): Promise<void> {
  const [path, init] = oneRequest(requestOf(load, running.key ?? "none"));
  const response = await fetch(`http://127.0.0.1:${running.portOf(load)}${path}`, init);
  const body = await response.text();
  if (response.status !== expected) throw new Error(`${name}: ${load} got ${response.status}: ${body}`);
}
