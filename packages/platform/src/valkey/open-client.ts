import { Redis } from "iovalkey";
import type { ValkeyAddress } from "../parse-valkey-url.ts";

/** Longest pause between two attempts to connect, in milliseconds. */
const maxRetryDelayMs = 500;

/**
 * A client that connects again by itself for ever and queues nothing: what is under way when a connection breaks is rejected,
 * never sent again. A connection on which nothing arrives for twice the timeout although a reply is due is given up, because a
 * peer that vanished says nothing.
 */
export function openClient(address: ValkeyAddress, timeoutMs: number): Redis {
  const { host, port, username, password, database, usesTls } = address;
  return new Redis({
    host,
    port,
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    db: database,
    ...(usesTls && { tls: {} }),
    // 0: whatever the name resolves to; the runtime tries both families. The client's own switching ends at the first one.
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
    retryStrategy: (attempt) => Math.min(50 * attempt, maxRetryDelayMs),
  });
}
