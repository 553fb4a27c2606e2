/** {@link ValkeyConnection} over iovalkey, for every runtime that has `node:net`. */
import { hash } from "node:crypto";
import { Command } from "iovalkey";
import { parseValkeyUrl, type ValkeyAddress, ValkeyError, type ValkeyConnection, type ValkeyReply } from "../valkey.ts";
import { isServerError, openClient, redactError, timeoutError, toValkeyError } from "./client.ts";

/** Options of a connection. */
export interface ValkeyOptions {
  /** Longest wait for a reply, in milliseconds, unless a command sets its own. */
  readonly timeoutMs: number;
  /** Called when there is no connection, once for each distinct reason in an outage. The cause contains no password. */
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Connects to a Valkey or Redis server and reconnects forever, within half a second of the server's return.
 *
 * @throws TypeError when the URL is not a `valkey:`, `valkeys:`, `redis:` or `rediss:` URL. The message does not contain it.
 */
export function connectValkey(url: string, { timeoutMs, onFailure }: ValkeyOptions): ValkeyConnection {
  const parsed = parseValkeyUrl(url);
  if (parsed === null) throw new TypeError("the URL must be a valkey:, valkeys:, redis: or rediss: URL");
  const address = parsed;
  const client = openClient(address, timeoutMs);
  const first = createFirstConnection(address);
  const digests = new Map<string, string>();
  let isClosed = false;
  let isDigestRefused = false;
  let reported: string | null = null;

  function report(failure: unknown): void {
    const cause = redactError(failure, address);
    if (isClosed) return;
    first.failed(cause);
    if (reported === cause.message) return;
    reported = cause.message;
    onFailure(cause);
  }

  client.on("error", report);
  client.on("ready", () => {
    reported = null;
    first.established();
  });
  client.on("close", () => {
    // A server that shuts down in an orderly way closes the connection without an error.
    if (reported === null) report(new Error("the connection was closed"));
  });

  async function send(words: readonly (string | number)[], waitMs: number): Promise<ValkeyReply> {
    const startedAt = performance.now();
    if (!isClosed) await first.wait(waitMs);
    if (isClosed || client.status !== "ready") {
      throw new ValkeyError("unreachable", `Valkey at ${address.label} cannot be reached: there is no connection`);
    }
    const [name = "", ...values] = words.map(String);
    // In upper case the client does not recognise the command, so it transforms neither arguments nor reply.
    const command = new Command(name.toUpperCase(), values, { replyEncoding: "utf8" });
    command.setTimeout(Math.max(1, waitMs - (performance.now() - startedAt)));
    try {
      return toReply(await client.sendCommand(command));
    } catch (failure) {
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

/** Returns what an EVALSHA error refused, the script or the command itself; `null` for another error. Nothing ran then. */
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

/** Lets commands wait until the connection has been established once. */
interface FirstConnection {
  /** Resolves once the connection has been established. Rejects after `waitMs`, and at once when the server refuses the login. */
  wait(waitMs: number): Promise<void>;
  established(): void;
  failed(cause: Error): void;
  closed(): void;
}

function createFirstConnection(address: ValkeyAddress): FirstConnection {
  const waiting = new Set<(error: ValkeyError | null) => void>();
  let isOver = false;
  let lastFailure: Error | null = null;

  function settle(error: ValkeyError | null): void {
    for (const finish of waiting) finish(error);
  }

  return {
    wait(waitMs) {
      if (isOver) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const finish = (error: ValkeyError | null): void => {
          clearTimeout(timer);
          waiting.delete(finish);
          if (error === null) resolve();
          else reject(error);
        };
        const timer = setTimeout(() => finish(timeoutError(address, lastFailure)), waitMs);
        waiting.add(finish);
      });
    },
    established() {
      isOver = true;
      settle(null);
    },
    failed(cause) {
      lastFailure = cause;
      if (isServerError(cause)) settle(timeoutError(address, cause));
    },
    closed() {
      isOver = true;
      settle(new ValkeyError("unreachable", "the connection to Valkey was closed"));
    },
  };
}
