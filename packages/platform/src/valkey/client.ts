/** The iovalkey client: its options, and its errors translated so that they leak neither passwords nor commands. */
import { Redis } from "iovalkey";
import { type ValkeyAddress, ValkeyError } from "../valkey.ts";

/** Longest pause between two attempts to connect, in milliseconds. */
const maxRetryDelayMs = 500;

/**
 * Creates a client that reconnects forever and never queues or repeats a command: a broken connection rejects its pending commands. It is `ready` as
 * soon as it is connected, before the server is checked. A connection that receives nothing for twice the timeout while a reply is due counts as
 * broken, because a peer that has vanished does not close it.
 *
 * @param options.nextAttempt returns the number of attempts to connect since the last usable connection, from 1.
 */
export function openClient(
  address: ValkeyAddress,
  { timeoutMs, nextAttempt }: { readonly timeoutMs: number; readonly nextAttempt: () => number },
): Redis {
  const { host, port, username, password, database, usesTls } = address;
  return new Redis({
    host,
    port,
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    db: database,
    ...(usesTls && { tls: {} }),
    // 0 means both address families; the runtime tries them in turn. The client's own fallback stops at the first one.
    family: 0,
    familyFallback: { enabled: false },
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    socketTimeout: 2 * timeoutMs,
    disconnectTimeout: 200,
    keepAlive: 10_000,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // The client's own check waits for a server that is loading its data, accepts replicas, and writes to standard error.
    enableReadyCheck: false,
    // The client restarts its own count with each connection, even to a server that is rejected.
    retryStrategy: () => Math.min(50 * nextAttempt(), maxRetryDelayMs),
  });
}

/** The reason for a connection that has ended without one. */
export const closedText = "the connection was closed";

/** Returns true for an error reply of the server. */
export function isServerError(cause: unknown): cause is Error {
  return cause instanceof Error && cause.name === "ReplyError";
}

/**
 * Returns a copy of a client error that is safe to log. The client's own errors contain the command, AUTH included, and
 * servers repeat the arguments of unknown commands. The copy contains neither.
 */
export function redactError(cause: unknown, { password }: Pick<ValkeyAddress, "password">): Error {
  const text = messageOf(cause)
    .replace(/,? with args beginning with[^]*$/, "")
    // The client's text about a command whose connection was closed names an option that users do not have.
    .replace(/^Reached the max retries per request[^]*$/, closedText);
  const clean = new Error(password === null ? text : text.replaceAll(password, "***"));
  if (isServerError(cause)) clean.name = "ReplyError";
  return clean;
}

/** Converts the error of a rejected command to a {@link ValkeyError}. */
export function toValkeyError(failure: unknown, address: ValkeyAddress): ValkeyError {
  if (failure instanceof ValkeyError) return failure;
  const cause = redactError(failure, address);
  if (isServerError(failure)) return new ValkeyError("refused", `Valkey at ${address.label} refused`, { cause });
  return cause.message === "Command timed out"
    ? timeoutError(address)
    : new ValkeyError("unreachable", `Valkey at ${address.label} cannot be reached`, { cause });
}

/** Creates the error of a command that waited too long. `failure` is the reason, if known. */
export function timeoutError(address: ValkeyAddress, failure: Error | null = null): ValkeyError {
  if (failure !== null) return toValkeyError(failure, address);
  return new ValkeyError("timeout", `Valkey at ${address.label} did not reply in time`);
}

function messageOf(cause: unknown): string {
  // When every address of a name fails, the AggregateError itself has no message.
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(messageOf).join("; ");
  return cause instanceof Error ? cause.message : String(cause);
}
