/** The simplest correct idempotency store. Nothing is ever removed from it. */
import {
  type KnownConnection,
  type KnownEntry,
  type Reservation,
  type ReserveOutcome,
  retentionMs,
  type SendResult,
  type SendScope,
} from "../../src/idempotency/store.ts";

interface Attempt {
  readonly sendId: string;
  readonly leaseMs: number;
  result: SendResult | null;
}

interface Timed {
  atMs: number;
}

/** The methods of a store, with the time. */
export interface IdempotencyModel {
  reserve(reservation: Reservation, nowMs: number): ReserveOutcome;
  find(scope: SendScope, ids: readonly string[], nowMs: number): readonly KnownEntry[];
  settle(reservation: Reservation, result: SendResult, nowMs: number): void;
  release(reservation: Reservation): void;
  findConnection(tenant: string, connectionId: string, nowMs: number): KnownConnection | null;
}

/** Creates a model without a bound. */
export function createIdempotencyModel(): IdempotencyModel {
  const ids = new Map<string, Timed & { readonly attempt: Attempt; readonly fingerprint: string }>();
  const connections = new Map<string, Timed & { readonly connection: KnownConnection }>();
  const keyOf = (scope: SendScope, id: string): string =>
    JSON.stringify([scope.tenant, scope.environmentId, scope.agentId, scope.conversationId, id]);

  /** Returns whether something is remembered. A time from the future becomes now when it is read. */
  function isRemembered(item: Timed, nowMs: number): boolean {
    item.atMs = Math.min(item.atMs, nowMs);
    return nowMs < item.atMs + retentionMs;
  }

  function find(scope: SendScope, wanted: readonly string[], nowMs: number): readonly KnownEntry[] {
    return wanted.flatMap((id): readonly KnownEntry[] => {
      const known = ids.get(keyOf(scope, id));
      if (known === undefined || !isRemembered(known, nowMs)) return [];
      const { attempt, fingerprint } = known;
      const { result, sendId } = attempt;
      if (result !== null) return [{ id, fingerprint, sendId, state: { kind: "finished", result } }];
      const kind = nowMs < known.atMs + attempt.leaseMs ? "in_progress" : "unknown";
      return [{ id, fingerprint, sendId, state: { kind } }];
    });
  }

  function entriesOf({ scope, entries, sendId }: Reservation): readonly string[] {
    const keys = entries.map(({ id }) => keyOf(scope, id));
    return keys.filter((key) => ids.get(key)?.attempt.sendId === sendId);
  }

  return {
    find,
    reserve({ scope, entries, sendId, leaseMs, connectionId, connection }, nowMs) {
      const wanted = entries.map(({ id }) => id);
      const known = find(scope, wanted, nowMs);
      connections.set(JSON.stringify([scope.tenant, connectionId]), { atMs: nowMs, connection });
      if (known.length > 0) return { kind: "known", entries: known };
      const attempt = { sendId, leaseMs, result: null };
      for (const { id, fingerprint } of entries) ids.set(keyOf(scope, id), { atMs: nowMs, attempt, fingerprint });
      return { kind: "reserved" };
    },
    settle(reservation, result, nowMs) {
      for (const key of entriesOf(reservation)) {
        const known = ids.get(key);
        if (known !== undefined && nowMs < known.atMs + retentionMs) known.attempt.result ??= result;
      }
    },
    release(reservation) {
      for (const key of entriesOf(reservation)) if (ids.get(key)?.attempt.result === null) ids.delete(key);
    },
    findConnection(tenant, connectionId, nowMs) {
      const known = connections.get(JSON.stringify([tenant, connectionId]));
      return known !== undefined && isRemembered(known, nowMs) ? known.connection : null;
    },
  };
}
