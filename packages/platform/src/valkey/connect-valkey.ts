import { hash } from "node:crypto";
import { Command } from "iovalkey";
import { parseValkeyUrl } from "../parse-valkey-url.ts";
import { ValkeyError, type ValkeyConnection, type ValkeyReply } from "../valkey.ts";
import { createFirstConnection } from "./first-connection.ts";
import { openClient } from "./open-client.ts";
import { cleanFailure, isServerError, valkeyErrorOf } from "./valkey-failure.ts";

/** How a connection behaves. */
export interface ValkeyOptions {
  /** Longest wait for a reply, unless a command says otherwise. */
  readonly timeoutMs: number;
  /** Told when there is no connection, once for each reason in an outage. It holds no password. */
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Connects to a Valkey or Redis server with iovalkey and keeps connecting for ever, within half a second of the server's return.
 *
 * @throws TypeError when the URL is not `valkey:`, `valkeys:`, `redis:` or `rediss:`; the text does not repeat it.
 */
export function connectValkey(url: string, { timeoutMs, onFailure }: ValkeyOptions): ValkeyConnection {
  const parsed = parseValkeyUrl(url);
  if (parsed === null) throw new TypeError("the URL must be a valkey:, valkeys:, redis: or rediss: URL");
  const address = parsed;
  const client = openClient(address, timeoutMs);
  const first = createFirstConnection(address);
  const digests = new Map<string, string>();
  let isClosed = false;
  let refusesDigests = false;
  let reported: string | null = null;

  function report(failure: unknown): void {
    const cause = cleanFailure(failure, address);
    if (isClosed) return;
    first.failed(cause);
    if (reported === cause.message) return;
    reported = cause.message;
    onFailure(cause);
  }

  client.on("error", report);
  client.on("ready", () => {
    reported = null;
    first.stands();
  });
  client.on("close", () => {
    // A server that stops in good order closes without an error.
    if (reported === null) report(new Error("the connection was closed"));
  });

  async function send(words: readonly (string | number)[], waitMs: number): Promise<ValkeyReply> {
    const startedAt = performance.now();
    if (!isClosed) await first.wait(waitMs);
    if (isClosed || client.status !== "ready") {
      throw new ValkeyError("unreachable", `Valkey at ${address.label} cannot be reached: there is no connection`);
    }
    const [name = "", ...values] = words.map(String);
    // In capitals, so that the client changes neither arguments nor reply by what it knows of the command.
    const command = new Command(name.toUpperCase(), values, { replyEncoding: "utf8" });
    command.setTimeout(Math.max(1, waitMs - (performance.now() - startedAt)));
    try {
      return toReply(await client.sendCommand(command));
    } catch (failure) {
      throw valkeyErrorOf(failure, address);
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
      if (!refusesDigests) {
        try {
          return await send(["EVALSHA", digestOf(script), ...rest], waitMs);
        } catch (failure) {
          const refusal = refusalOfDigest(failure);
          if (refusal === null) throw failure;
          refusesDigests = refusal === "command";
        }
      }
      return send(["EVAL", script, ...rest], waitMs);
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      first.closed();
      const isConnected = ["connecting", "connect", "ready"].includes(client.status);
      const ended = new Promise<void>((resolve) => void client.once("end", resolve));
      client.disconnect();
      if (isConnected) await ended;
    },
  };
}

/** What of EVALSHA was refused: the script, or the command as such; `null` when it was another failure. Nothing ran then. */
function refusalOfDigest(failure: unknown): "script" | "command" | null {
  if (!(failure instanceof ValkeyError) || failure.code !== "refused" || !(failure.cause instanceof Error)) return null;
  const { message } = failure.cause;
  if (message.startsWith("NOSCRIPT")) return "script";
  return /^(?:NOPERM|ERR unknown command)[^]*'evalsha'/i.test(message) ? "command" : null;
}

function toReply(value: unknown): ValkeyReply {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  if (Array.isArray(value)) return value.map(toReply);
  // A transaction answers with errors among its replies.
  if (isServerError(value)) throw value;
  return null;
}
