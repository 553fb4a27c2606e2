/**
 * Remembers sends in memory, for one process. It is lost when the process ends, so it protects from repeats only while the process
 * runs. Nothing is removed before its time: a full store refuses new sends. Sends and connections expire in the order in which they
 * were added, because all are kept equally long.
 */
import type { Clock } from "@letta-environments/platform";
import {
  type IdempotencyStore,
  IdempotencyUnavailableError,
  keyOfConnection,
  keyOfId,
  type KnownConnection,
  type KnownEntry,
  retentionMs,
  type SendEntry,
  type SendResult,
} from "../../idempotency/store.ts";
import { createShares } from "../../lib/shares.ts";

export interface MemoryIdempotencyLimits {
  /** Maximum number of ids in use. */
  readonly maxIds?: number;
  /** Length of all stored results, in UTF-16 code units. */
  readonly maxResultLength?: number;
}

interface StoredSend {
  readonly sendId: string;
  readonly tenant: string;
  readonly keys: readonly string[];
  readonly leaseEndsMs: number;
  readonly expiresMs: number;
  result: SendResult | null;
}

interface StoredId {
  readonly entry: SendEntry;
  readonly send: StoredSend;
}

/** Stands for the result in the mark of a released send. */
const released: SendResult = { status: 0, headers: {}, body: "" };

export function createMemoryIdempotencyStore(
  clock: Pick<Clock, "monotonic">,
  { maxIds = 100_000, maxResultLength = 64 * 1_024 * 1_024 }: MemoryIdempotencyLimits = {},
): IdempotencyStore {
  const sends = new Map<string, StoredSend>();
  const ids = new Map<string, StoredId>();
  const connections = new Map<string, { readonly connection: KnownConnection; readonly expiresMs: number }>();
  const shares = createShares(maxIds);
  let resultLength = 0;

  function remove({ sendId, tenant, keys, result }: StoredSend): void {
    sends.delete(sendId);
    for (const key of keys) ids.delete(key);
    shares.add(tenant, -keys.length);
    resultLength -= result?.body.length ?? 0;
  }

  function removeExpired(nowMs: number): void {
    for (const send of sends.values()) {
      if (send.expiresMs > nowMs) break;
      remove(send);
    }
    for (const [key, { expiresMs }] of connections) {
      if (expiresMs > nowMs) break;
      connections.delete(key);
    }
  }

  const known = (keys: readonly string[], nowMs: number): KnownEntry[] =>
    keys.flatMap((key) => toKnownEntry(ids.get(key), nowMs));

  return {
    async reserve(reservation) {
      const { sendId, scope, entries, connectionId, connection, leaseMs } = reservation;
      const nowMs = clock.monotonic();
      removeExpired(nowMs);
      if (sends.get(sendId)?.result === released) throw new IdempotencyUnavailableError("the send was released");
      const keys = entries.map(({ id }) => keyOfId(scope, id));
      const used = known(keys, nowMs);
      const connectionKey = keyOfConnection(scope.tenant, connectionId);
      const hasRoom = connections.size < maxIds || connections.has(connectionKey);
      const expiresMs = nowMs + retentionMs;
      if (hasRoom) {
        // The oldest comes first.
        connections.delete(connectionKey);
        connections.set(connectionKey, { connection, expiresMs });
      }
      if (used.length > 0) return { kind: "known", entries: used };
      const { tenant } = scope;
      if (!hasRoom || !shares.hasRoomFor(tenant, keys.length) || resultLength >= maxResultLength)
        return { kind: "full" };
      const send: StoredSend = { sendId, tenant, keys, leaseEndsMs: nowMs + leaseMs, expiresMs, result: null };
      sends.set(sendId, send);
      shares.add(tenant, keys.length);
      for (const entry of entries) ids.set(keyOfId(scope, entry.id), { entry, send });
      return { kind: "reserved" };
    },
    async find(scope, messageIds) {
      const nowMs = clock.monotonic();
      removeExpired(nowMs);
      const keys = messageIds.map((id) => keyOfId(scope, id));
      return known(keys, nowMs);
    },
    async settle({ sendId }, result) {
      const send = sends.get(sendId);
      if (send === undefined || send.result !== null) return;
      send.result = result;
      resultLength += result.body.length;
    },
    async release({ sendId, scope: { tenant } }) {
      const send = sends.get(sendId);
      if (send === undefined) sends.set(sendId, releasedSend(sendId, tenant, clock.monotonic()));
      else if (send.result === null) remove(send);
    },
    async findConnection(tenant, connectionId) {
      removeExpired(clock.monotonic());
      return connections.get(keyOfConnection(tenant, connectionId))?.connection ?? null;
    },
  };
}

/** The mark with which a reservation that arrives after its release is refused. */
function releasedSend(sendId: string, tenant: string, nowMs: number): StoredSend {
  return { sendId, tenant, keys: [], leaseEndsMs: nowMs, expiresMs: nowMs + retentionMs, result: released };
}

function toKnownEntry(stored: StoredId | undefined, nowMs: number): readonly KnownEntry[] {
  if (stored === undefined) return [];
  const { entry, send } = stored;
  return [{ ...entry, sendId: send.sendId, state: stateOf(send, nowMs) }];
}

function stateOf({ result, leaseEndsMs }: StoredSend, nowMs: number): KnownEntry["state"] {
  if (result !== null) return { kind: "finished", result };
  return { kind: leaseEndsMs > nowMs ? "in_progress" : "unknown" };
}
