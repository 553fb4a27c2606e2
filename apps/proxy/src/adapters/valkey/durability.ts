/**
 * Checks that a Valkey or Redis server keeps what it confirms. A server that evicts keys or has them in memory only forgets sends,
 * and a forgotten send could be delivered twice.
 */
import type { ValkeyConnection } from "@letta-environments/platform";
import { readInfo } from "./server-info.ts";

/** A server setting allows confirmed writes to be lost. The message says how to change it. */
export class ValkeyNotDurableError extends Error {
  override readonly name = "ValkeyNotDurableError";
  /** The name of the setting in the server's configuration. */
  readonly setting: "maxmemory-policy" | "appendonly";

  constructor(setting: ValkeyNotDurableError["setting"], message: string) {
    super(message);
    this.setting = setting;
  }
}

/**
 * Resolves when the server neither evicts keys nor keeps them in memory only.
 *
 * @throws ValkeyNotDurableError when it does. ValkeyError when the server does not say.
 */
export async function assertDurableValkey(connection: ValkeyConnection): Promise<void> {
  const policy = await readInfo(connection, "memory", "maxmemory_policy");
  if (policy !== "noeviction") {
    throw new ValkeyNotDurableError(
      "maxmemory-policy",
      `the Valkey server has maxmemory-policy ${policy ?? "(unknown)"}, so it may forget sends: set 'maxmemory-policy noeviction'`,
    );
  }
  if ((await readInfo(connection, "persistence", "aof_enabled")) !== "1") {
    throw new ValkeyNotDurableError(
      "appendonly",
      "the Valkey server has no append-only file, so it forgets sends when it stops: set 'appendonly yes'",
    );
  }
}
