/** {@link ValkeyConnection} over iovalkey, for every runtime that has `node:net`. */
import { hash } from "node:crypto";
import { Command } from "iovalkey";
import { parseValkeyUrl, ValkeyError, type ValkeyConnection, type ValkeyOptions, type ValkeyReply } from "../valkey.ts";
import { isServerError, toValkeyError } from "./client.ts";
import { openConnection } from "./connection.ts";

export type { ValkeyOptions } from "../valkey.ts";

/**
 * Connects to a Valkey or Redis server and reconnects forever, within half a second of the server's return. The server must be a primary:
 * a replica is rejected like a server that is down, and a primary that becomes a replica is disconnected within seconds, or when it
 * refuses a write. Each attempt resolves the name again. Clusters, whose nodes each have a part of the keys, are not supported.
 *
 * @throws TypeError when the URL is not a `valkey:`, `valkeys:`, `redis:` or `rediss:` URL. The message does not contain it.
 */
export function connectValkey(url: string, { timeoutMs, onFailure }: ValkeyOptions): ValkeyConnection {
  const parsed = parseValkeyUrl(url);
  if (parsed === null) throw new TypeError("the URL must be a valkey:, valkeys:, redis: or rediss: URL");
  const address = parsed;
  const connection = openConnection(address, { timeoutMs, onFailure });
  const digests = new Map<string, string>();
  let isDigestRefused = false;

  async function send(words: readonly (string | number)[], waitMs: number): Promise<ValkeyReply> {
    const startedAt = performance.now();
    if (!connection.isUsable()) await connection.untilUsable(waitMs);
    const [name = "", ...values] = words.map(String);
    // In upper case the client does not recognise the command, so it transforms neither arguments nor reply.
    const command = new Command(name.toUpperCase(), values, { replyEncoding: "utf8" });
    command.setTimeout(Math.max(1, waitMs - (performance.now() - startedAt)));
    try {
      return toReply(await connection.send(command));
    } catch (failure) {
      connection.handleRefusal(failure);
      throw toValkeyError(failure, address);
    }
  }

  function digestOf(script: string): string {
    const digest = digests.get(script) ?? hash("sha1", script, "hex");
    digests.set(script, digest);
    return digest;
  }

  return {
    command: (words, options) => send(words, options?.timeoutMs ?? timeoutMs),
    async evaluate(script, keys, values, options) {
      const waitMs = options?.timeoutMs ?? timeoutMs;
      const rest = [keys.length, ...keys, ...values];
      if (!isDigestRefused) {
        try {
          return await send(["EVALSHA", digestOf(script), ...rest], waitMs);
        } catch (failure) {
          const refusal = classifyDigestRefusal(failure);
          if (refusal === null) throw failure;
          isDigestRefused = refusal === "command";
        }
      }
      return send(["EVAL", script, ...rest], waitMs);
    },
    close: () => connection.close(),
  };
}

/** Returns whether an EVALSHA error refused the script or the command itself; nothing ran in either case. `null` for another error. */
function classifyDigestRefusal(failure: unknown): "script" | "command" | null {
  if (!(failure instanceof ValkeyError) || failure.code !== "refused" || !(failure.cause instanceof Error)) return null;
  const { message } = failure.cause;
  if (message.startsWith("NOSCRIPT")) return "script";
  return /^(?:NOPERM|ERR unknown command)[^]*'evalsha'/i.test(message) ? "command" : null;
}

function toReply(value: unknown): ValkeyReply {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  if (Array.isArray(value)) return value.map(toReply);
  // The replies of a transaction can contain errors.
  if (isServerError(value)) throw value;
  return null;
}
