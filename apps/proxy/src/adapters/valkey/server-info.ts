/**
 * Reads what a Valkey or Redis server says about itself (`INFO`), and refuses one that the gateway cannot rely on: a node of a cluster and, for sends, a
 * server that does not keep what it confirms.
 */
import { CommandError } from "@letta-environments/command-line";
import { type ValkeyConnection, ValkeyError } from "@letta-environments/platform";

/**
 * Resolves unless the server is a node of a cluster. Keys, limits and sends are in several slots, and the connection follows no
 * redirects, so some of them would fail, and only when they are used.
 *
 * @throws CommandError if it is one; the message follows the name of the server. ValkeyError if the server does not respond.
 */
export async function assertSingleServer(connection: ValkeyConnection): Promise<void> {
  if ((await readCluster(connection)) !== "1") return;
  throw new CommandError(
    "is a node of a cluster, which has only some of the keys: use a server with 'cluster-enabled no'",
  );
}

/**
 * Resolves when the server neither evicts keys nor keeps them only in memory. Otherwise it would forget sends, and a forgotten send could be delivered
 * twice.
 *
 * @throws CommandError if it does; the message says how to change the setting. ValkeyError if the server does not report the setting.
 */
export async function assertDurableValkey(connection: ValkeyConnection): Promise<void> {
  const policy = await readInfo(connection, "memory", "maxmemory_policy");
  if (policy !== "noeviction") {
    throw new CommandError(
      `the Valkey server has maxmemory-policy ${policy ?? "(unknown)"}, so it may forget sends: set 'maxmemory-policy noeviction'`,
    );
  }
  if ((await readInfo(connection, "persistence", "aof_enabled")) !== "1") {
    throw new CommandError(
      "the Valkey server has no append-only file, so it forgets sends when it stops: set 'appendonly yes'",
    );
  }
}

async function readCluster(connection: ValkeyConnection): Promise<string | null> {
  try {
    return await readInfo(connection, "cluster", "cluster_enabled");
  } catch (cause) {
    // A user without access to `INFO` can still use the keys.
    if (cause instanceof ValkeyError && cause.code === "refused") return null;
    throw cause;
  }
}

/** Reads one line of `INFO`; `null` if the server does not report it. */
async function readInfo(connection: ValkeyConnection, section: string, name: string): Promise<string | null> {
  const reply = await connection.command(["INFO", section]);
  const line = String(reply)
    .split(/\r?\n/)
    .find((one) => one.startsWith(`${name}:`));
  return line === undefined ? null : line.slice(name.length + 1).trim();
}
