/** Reads what a Valkey or Redis server says about itself (`INFO`), and refuses a node of a cluster. */
import { CommandError } from "@letta-environments/command-line";
import { type ValkeyConnection, ValkeyError } from "@letta-environments/platform";

/** Reads one line of `INFO`; `null` if the server does not report it. */
export async function readInfo(connection: ValkeyConnection, section: string, name: string): Promise<string | null> {
  const reply = await connection.command(["INFO", section]);
  const line = String(reply)
    .split(/\r?\n/)
    .find((one) => one.startsWith(`${name}:`));
  return line === undefined ? null : line.slice(name.length + 1).trim();
}

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

async function readCluster(connection: ValkeyConnection): Promise<string | null> {
  try {
    return await readInfo(connection, "cluster", "cluster_enabled");
  } catch (cause) {
    // A user without access to `INFO` can still use the keys.
    if (cause instanceof ValkeyError && cause.code === "refused") return null;
    throw cause;
  }
}
