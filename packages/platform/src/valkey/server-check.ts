/** Checks that a server has loaded its data and accepts writes. A server that has become a replica keeps its connections and refuses every write. */
import { Command, type Redis } from "iovalkey";
import { isServerError } from "./client.ts";

/** How often the role of a server is checked, in milliseconds. A refused write reveals it sooner. */
const roleCheckMs = 5_000;

/** The server is a replica: it refuses writes, and its replies may be outdated. */
export function replicaError(): Error {
  return new Error("the server is a replica, which takes no writes; use the address of the primary");
}

/** Returns true for the refusal of a write by a replica, including inside a script. Before version 7, a script's error has a prefix. */
export function isReplicaRefusal(cause: unknown): boolean {
  return isServerError(cause) && /(?:^|[ -])READONLY You can't write/.test(cause.message);
}

/** Resolves with the reason why a new connection cannot be used, else with `null`. Rejects when the server does not respond. */
export async function findServerProblem(client: Redis): Promise<Error | null> {
  const info = await readInfo(client, []);
  if (/^loading:1/m.test(info)) return new Error("the server is loading its data");
  return isReplica(info) ? replicaError() : null;
}

/** Checks from time to time whether the server has become a replica. */
export interface RoleWatch {
  /** The server has just been checked. */
  restart(): void;
  /** Called with each command, so that an unused server is not queried. */
  checkIfDue(): void;
}

/** Creates a {@link RoleWatch} of the server that the client is connected to. */
export function createRoleWatch(client: Redis, onReplica: () => void): RoleWatch {
  let checkedAt = 0;

  async function check(): Promise<void> {
    try {
      if (isReplica(await readInfo(client, ["replication"]))) onReplica();
    } catch {
      // The connection broke or the server hangs, which is handled elsewhere.
    }
  }

  return {
    restart: () => void (checkedAt = performance.now()),
    checkIfDue() {
      const now = performance.now();
      if (now - checkedAt < roleCheckMs) return;
      checkedAt = now;
      void check();
    },
  };
}

function isReplica(info: string): boolean {
  return /^role:slave/m.test(info);
}

/** Reads `INFO`. A user who may not read it notices a replica by its refusals. */
async function readInfo(client: Redis, sections: readonly string[]): Promise<string> {
  try {
    return String(await client.sendCommand(new Command("INFO", [...sections], { replyEncoding: "utf8" })));
  } catch (cause) {
    if (isServerError(cause) && cause.message.startsWith("NOPERM")) return "";
    throw cause;
  }
}
