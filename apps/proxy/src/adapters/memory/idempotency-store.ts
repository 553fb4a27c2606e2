/**
 * Remembers sends in memory, for one process. It is lost when the process ends, so it protects from repeats only while the process
 * runs. Nothing is removed before its time: a full store refuses new sends. Sends and connections expire in the order in which they
 * were added, because all are kept equally long.
 */
import type { Clock } from "@letta-environments/platform";
import {
  type IdempotencyStore,
  keyOfConnection,
  keyOfId,
  type KnownConnection,
  type KnownEntry,
  type Reservation,
  retentionMs,
  type SendResult,
} from "../../idempotency/store.ts";

/** Limits of the store. */
export interface MemoryIdempotencyLimits {
  /** Maximum number of ids in use. */
  readonly maxIds?: number;
  /** Length of all stored results, in UTF-16 code units. */
  readonly maxResultLength?: number;
}

interface StoredSend {
  readonly reservation: Reservation;
  readonly keys: readonly string[];
  readonly leaseEndsMs: number;
  readonly expiresMs: number;
  result: SendResult | null;
}

/** Creates an {@link IdempotencyStore} in memory. */
export function createMemoryIdempotencyStore(
  clock: Pick<Clock, "monotonic">,
  { maxIds = 100_000, maxResultLength = 64 * 1_024 * 1_024 }: MemoryIdempotencyLimits = {},
): IdempotencyStore {
  const sends = new Map<string, StoredSend>();
  const sendIdsByKey = new Map<string, string>();
  const connections = new Map<string, { readonly connection: KnownConnection; readonly expiresMs: number }>();
  let resultLength = 0;

  function remove(sendId: string, { keys, result }: StoredSend): void {
    sends.delete(sendId);
    for (const key of keys) sendIdsByKey.delete(key);
    resultLength -= result?.body.length ?? 0;
  }

  function removeExpired(nowMs: number): void {
    for (const [sendId, send] of sends) {
      if (send.expiresMs > nowMs) break;
      remove(sendId, send);
    }
    for (const [key, { expiresMs }] of connections) {
      if (expiresMs > nowMs) break;
      connections.delete(key);
    }
  }

  function known(keys: readonly string[], nowMs: number): KnownEntry[] {
    return keys.flatMap((key) => {
      const sendId = sendIdsByKey.get(key);
      const send = sendId === undefined ? undefined : sends.get(sendId);
      return send === undefined ? [] : describeEntry(send, key, nowMs);
    });
  }

  return {
    async reserve(reservation) {
      const { sendId, scope, entries, connectionId, connection, leaseMs } = reservation;
      const nowMs = clock.monotonic();
      removeExpired(nowMs);
      const keys = entries.map(({ id }) => keyOfId(scope, id));
      const used = known(keys, nowMs);
      const connectionKey = keyOfConnection(scope.tenant, connectionId);
      const hasRoom = connections.size < maxIds || connections.has(connectionKey);
      const expiresMs = nowMs + retentionMs;
      if (hasRoom) moveToEnd(connections, connectionKey, { connection, expiresMs });
      if (used.length > 0) return { kind: "known", entries: used };
      const isFull = !hasRoom || sendIdsByKey.size + keys.length > maxIds || resultLength >= maxResultLength;
      if (isFull) return { kind: "full" };
      sends.set(sendId, { reservation, keys, leaseEndsMs: nowMs + leaseMs, expiresMs, result: null });
      for (const key of keys) sendIdsByKey.set(key, sendId);
      return { kind: "reserved" };
    },
    async find(scope, ids) {
      const nowMs = clock.monotonic();
      removeExpired(nowMs);
      return known(
        ids.map((id) => keyOfId(scope, id)),
        nowMs,
      );
    },
    async settle({ sendId }, result) {
      const send = sends.get(sendId);
      if (send === undefined || send.result !== null) return;
      send.result = result;
      resultLength += result.body.length;
    },
    async release({ sendId }) {
      const send = sends.get(sendId);
      if (send?.result === null) remove(sendId, send);
    },
    async findConnection(tenant, connectionId) {
      removeExpired(clock.monotonic());
      return connections.get(keyOfConnection(tenant, connectionId))?.connection ?? null;
    },
  };
}

/** Sets a value of a map in which the oldest comes first. */
function moveToEnd<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
}

function describeEntry(send: StoredSend, key: string, nowMs: number): KnownEntry[] {
  const { reservation, result, leaseEndsMs } = send;
  const entry = reservation.entries[send.keys.indexOf(key)];
  if (entry === undefined) return [];
  const { sendId } = reservation;
  if (result !== null) return [{ ...entry, sendId, state: { kind: "finished", result } }];
  return [{ ...entry, sendId, state: { kind: leaseEndsMs > nowMs ? "in_progress" : "unknown" } }];
}
