/**
 * Checks that a Valkey or Redis server keeps what it confirms. A server that evicts keys, or keeps them only in memory, forgets
 * sends, and a forgotten send could be delivered twice.
 */
import { CommandError } from "@letta-environments/command-line";
import type { ValkeyConnection } from "@letta-environments/platform";
import { readInfo } from "./server-info.ts";

/**
 * Resolves when the server neither evicts keys nor keeps them only in memory.
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
