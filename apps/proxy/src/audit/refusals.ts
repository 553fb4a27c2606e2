/**
 * Bounds the records of refusals. A key with any scope can be refused with every request, also beyond its rate limits, and records stay on
 * the disk that every tenant needs. So in each minute, the first refusals of a key and of a tenant are recorded one by one. Any more are
 * counted, and `refusals_omitted` reports their number when the minute ends or the log closes.
 */
import type { Clock } from "@letta-environments/platform";
import type { AuditEntry, OmittedRefusalsEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/** The refusals of a window that are recorded one by one. A tenant can have any number of keys and tokens. */
export const maxRecordedRefusals = { perKey: 60, perTenant: 600 } as const;
/** The length of a window, in milliseconds. */
const windowMs = 60_000;
/** The most keys that one window counts separately. Refusals of other keys share one count. */
const maxCountedKeys = 10_000;

/** The key that was refused, and its tenant. */
interface RefusedKey {
  readonly tenant: string;
  readonly keyId: string;
}

/** Refusals without separate records. */
export type OmittedRefusals = Pick<OmittedRefusalsEntry, "tenant" | "keyId" | "omitted">;

/** The refusals of one window. */
export interface RefusalCounts {
  /** Counts a refusal. Returns whether it gets its own record. */
  add(refused: RefusedKey): boolean;
  /** Returns how many refusals have no record: for each tenant, at most ten keys one by one, and one number for all others. */
  omitted(): readonly OmittedRefusals[];
}

interface Count {
  recorded: number;
  omitted: number;
}

/** Creates {@link RefusalCounts}. */
export function createRefusalCounts(): RefusalCounts {
  const tenants = new Map<string, Count & { readonly keys: Map<string, Count> }>();
  let countedKeys = 0;
  let others = 0;

  return {
    add({ tenant, keyId }) {
      const ofTenant = tenants.get(tenant) ?? { recorded: 0, omitted: 0, keys: new Map<string, Count>() };
      const ofKey = ofTenant.keys.get(keyId) ?? { recorded: 0, omitted: 0 };
      if (ofKey.recorded >= maxRecordedRefusals.perKey) {
        ofKey.omitted += 1;
        return false;
      }
      if (ofTenant.recorded >= maxRecordedRefusals.perTenant) {
        ofTenant.omitted += 1;
        return false;
      }
      // Only keys with a record get their own count, so a tenant has a bounded number of them.
      if (ofKey.recorded === 0) {
        if (countedKeys >= maxCountedKeys) {
          others += 1;
          return false;
        }
        countedKeys += 1;
        tenants.set(tenant, ofTenant);
        ofTenant.keys.set(keyId, ofKey);
      }
      ofKey.recorded += 1;
      ofTenant.recorded += 1;
      return true;
    },
    omitted() {
      const ofTenants = [...tenants].flatMap(([tenant, { omitted, keys }]): OmittedRefusals[] => [
        ...[...keys].map(([keyId, ofKey]) => ({ tenant, keyId, omitted: ofKey.omitted })),
        { tenant, keyId: null, omitted },
      ]);
      return [...ofTenants, { tenant: null, keyId: null, omitted: others }].filter(({ omitted }) => omitted > 0);
    },
  };
}

/** A log with bounded records of refusals. */
export type RefusalBound<Log extends AuditLog> = Log & {
  /** Records what was left out since the window began. Call it before the log closes. It never rejects. */
  endRefusals(): Promise<void>;
};

/** Options of {@link boundRefusals}. */
export interface RefusalBoundOptions {
  readonly clock: Clock;
  /** Receives the failure to record what was left out. */
  readonly onFailure: (cause: unknown) => void;
}

/** Wraps a log so that its records of refusals are bounded. Other entries pass unchanged. */
export function boundRefusals<Log extends AuditLog>(
  log: Log,
  { clock, onFailure }: RefusalBoundOptions,
): RefusalBound<Log> {
  let current: RefusalWindow | null = null;

  function beginWindow(): RefusalWindow {
    const begun: RefusalWindow = {
      counts: createRefusalCounts(),
      since: clock.now(),
      startedAt: clock.monotonic(),
      cancelTimer: clock.setTimer(windowMs, () => void end(begun)),
    };
    return begun;
  }

  async function end(ended: RefusalWindow): Promise<void> {
    if (current !== ended) return;
    current = null;
    for (const omitted of ended.counts.omitted()) {
      try {
        await log.append({ type: "refusals_omitted", ...omitted, since: ended.since });
      } catch (cause) {
        onFailure(cause);
      }
    }
  }

  return {
    ...log,
    async endRefusals() {
      current?.cancelTimer();
      if (current !== null) await end(current);
    },
    async append(entry) {
      const refused = refusedOf(entry);
      if (refused === null) return log.append(entry);
      // On Workers a timer may end with its request.
      if (current !== null && clock.monotonic() - current.startedAt >= windowMs) await end(current);
      current ??= beginWindow();
      if (current.counts.add(refused)) await log.append(entry);
    },
  };
}

interface RefusalWindow {
  readonly counts: RefusalCounts;
  /** Epoch milliseconds. */
  readonly since: number;
  /** Monotonic. */
  readonly startedAt: number;
  readonly cancelTimer: () => void;
}

/** The key and tenant of a refusal; `null` for other entries. */
function refusedOf(entry: AuditEntry): RefusedKey | null {
  if (entry.type === "send_refused" || entry.type === "control_refused") return entry;
  return entry.type === "viewer_command" && entry.code !== null ? entry : null;
}
