/**
 * Calls the objects of tenants (`TenantObject`) from an isolate, for sends, their audit log and rate limits. Combines the calls of one
 * send: its reservation with the record of its start, and its result with the record of its end and the leases that it releases.
 */
import { type Clock, sleep } from "@letta-environments/platform";
import type { AuditEntry } from "../../audit/entry.ts";
import type { AuditLog } from "../../audit/log.ts";
import { AuditUnavailableError } from "../../audit/store.ts";
import { type IdempotencyStore, IdempotencyUnavailableError, throwUnavailable } from "../../idempotency/store.ts";
import { createBoundedMap } from "../../lib/bounded-map.ts";
import { callObject, objectTimeoutMs } from "./object-call.ts";
import type {
  HeldLease,
  RateLimitObjectStub,
  SendEnd,
  SendEndOutcome,
  StoredEnd,
  TenantObjectStub,
} from "./tenant-object.ts";

/** Default of `holdMs`. */
const defaultHoldMs = 50;
/** Maximum number of running sends that an isolate remembers. */
const maxRunningSends = 10_000;

export interface TenantCallsOptions {
  /** Returns a stub of the object with this name. It is called for each request to the object. */
  readonly objectOf: (name: string) => TenantObjectStub;
  readonly clock: Pick<Clock, "setTimer">;
  /** Keeps work alive after the response: leases are released then. */
  readonly background: (work: Promise<unknown>) => void;
  /** How long a call waits for the object, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number;
  /** How long a result waits for the record of its send's end, in milliseconds. Default: 50. */
  readonly holdMs?: number;
}

/** The stores in the objects of tenants. */
export type TenantCalls = ReturnType<typeof createTenantCalls>;

export function createTenantCalls(options: TenantCallsOptions) {
  const { objectOf, clock, background, timeoutMs = objectTimeoutMs, holdMs = defaultHoldMs } = options;
  const tenantsOfSends = createBoundedMap<string>(maxRunningSends);
  const ends = createSendEnds(call, clock, holdMs);
  /** The start that a reservation is about to record: `recordStart` calls `appendInTransaction` below synchronously, which stores its entry here. */
  let startEntry: AuditEntry | undefined;

  function call<Result>(tenant: string, run: Run<Result>, again?: Run<Result>): Promise<Result> {
    const bind = (to: Run<Result>) => () => to(objectOf(`tenant ${tenant}`));
    return callObject(clock, timeoutMs, bind(run), again && bind(again));
  }

  function tenantOf(entry: AuditEntry): string | null {
    if (entry.type === "send_finished") return tenantsOfSends.get(entry.sendId) ?? null;
    if (entry.type === "send_started" || entry.type === "send_refused") return entry.tenant;
    return entry.type === "refusals_omitted" ? entry.tenant : null;
  }

  const sends: IdempotencyStore = {
    async reserve(reservation, recordStart) {
      const { sendId, scope } = reservation;
      recordStart?.();
      const entry = startEntry;
      startEntry = undefined;
      if (entry !== undefined) tenantsOfSends.set(sendId, scope.tenant);
      let isReserved = false;
      try {
        const outcome = await call(scope.tenant, (stub) => stub.reserve(reservation, entry));
        isReserved = outcome.kind === "reserved";
        return outcome;
      } catch (cause) {
        return throwUnavailable(cause);
      } finally {
        // Only a send that has begun has an end.
        if (!isReserved) tenantsOfSends.delete(sendId);
      }
    },
    find: (scope, ids) => call(scope.tenant, (stub) => stub.find(scope, ids)).catch(throwUnavailable),
    settle: (reservation, result) => ends.store({ reservation, result }),
    release: (reservation) => ends.store({ reservation, result: null }),
    findConnection: (tenant, connectionId) =>
      call(tenant, (stub) => stub.findConnection(tenant, connectionId)).catch(throwUnavailable),
  };

  return {
    sends,
    /** Returns the audit log of sends. Entries without a tenant go to `other`. */
    auditLog: (other: AuditLog): Required<AuditLog> => ({
      append(entry) {
        const tenant = tenantOf(entry);
        if (tenant === null) return other.append(entry);
        if (entry.type === "send_started") tenantsOfSends.set(entry.sendId, tenant);
        if (entry.type === "send_finished") tenantsOfSends.delete(entry.sendId);
        return ends.record(tenant, entry);
      },
      appendInTransaction(entry) {
        startEntry = entry;
      },
    }),
    /** The rate limits of a tenant. A release waits for the end of its send, or is a separate call. */
    limitsOf: (tenant: string): RateLimitObjectStub => ({
      take: (...take) => objectOf(`tenant ${tenant}`).take(...take),
      async release(leaseId, checks) {
        background(ends.release(tenant, { leaseId, checks }));
      },
    }),
  };
}

/** Creates the audit log of changes of keys, in an object that `audit` returns for each entry. */
export function createDurableAuditLog(audit: () => Pick<AuditLog, "append">, clock: Pick<Clock, "setTimer">): AuditLog {
  return {
    append: (entry) =>
      callObject(clock, objectTimeoutMs, () => audit().append(entry)).catch((cause: unknown) => {
        throw new AuditUnavailableError(cause);
      }),
  };
}

type Run<Result> = (stub: TenantObjectStub) => Promise<Result>;
type Call = <Result>(tenant: string, run: Run<Result>, again?: Run<Result>) => Promise<Result>;

interface HeldResult {
  readonly stored: StoredEnd;
  readonly cancelTimer: () => void;
  readonly settled: (failure: unknown) => void;
}

/** Combines everything that ends with a send into one call. */
function createSendEnds(call: Call, clock: Pick<Clock, "setTimer">, holdMs: number) {
  const heldResults = new Map<string, HeldResult>();
  const waitingLeases = new Map<string, HeldLease[]>();

  function conclude(tenant: string, parts: Omit<SendEnd, "leases">): Promise<SendEndOutcome> {
    const end: SendEnd = { ...parts, leases: waitingLeases.get(tenant) ?? [] };
    waitingLeases.delete(tenant);
    // The state of the send shows the object whether the record was stored. The caller itself repeats a result without a record.
    const canRepeat = parts.stored !== undefined && parts.entry !== undefined;
    const again: Run<SendEndOutcome> = (stub) => stub.conclude({ ...end, isRepeat: true });
    return call(tenant, (stub) => stub.conclude(end), canRepeat ? again : undefined);
  }

  return {
    /** Stores the end of a send with its next record or, after a moment, alone. */
    store(stored: StoredEnd): Promise<void> {
      const { sendId, scope } = stored.reservation;
      return new Promise((resolve, reject) => {
        const settled = (failure: unknown): void =>
          failure === null ? resolve() : reject(new IdempotencyUnavailableError(failure));
        const cancelTimer = clock.setTimer(holdMs, () => {
          heldResults.delete(sendId);
          conclude(scope.tenant, { stored }).then(({ storeFailure }) => settled(storeFailure), settled);
        });
        heldResults.set(sendId, { stored, cancelTimer, settled });
      });
    },
    /** Records an entry, together with everything that waits for it. */
    async record(tenant: string, entry: AuditEntry): Promise<void> {
      const held = entry.type === "send_finished" ? heldResults.get(entry.sendId) : undefined;
      if (held !== undefined) heldResults.delete(held.stored.reservation.sendId);
      held?.cancelTimer();
      try {
        const { storeFailure, auditFailure } = await conclude(tenant, { entry, stored: held?.stored });
        held?.settled(storeFailure);
        if (auditFailure !== null) throw new Error(auditFailure);
      } catch (cause) {
        held?.settled(cause);
        throw new AuditUnavailableError(cause);
      }
    },
    /** Releases a lease with the next end of a send or, once nothing else is ready, alone. One that cannot be released expires. */
    async release(tenant: string, lease: HeldLease): Promise<void> {
      waitingLeases.set(tenant, [...(waitingLeases.get(tenant) ?? []), lease]);
      await sleep(clock, 0);
      if (waitingLeases.has(tenant)) await conclude(tenant, {}).catch(() => undefined);
    },
  };
}
