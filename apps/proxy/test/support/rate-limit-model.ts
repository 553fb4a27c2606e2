import type { RateLimitCheck } from "../../src/rate-limit/policy.ts";

/** The model's decision on one request. */
export interface ModelDecision {
  readonly admitted: boolean;
  readonly allowed: readonly boolean[];
  readonly remaining: readonly number[];
}

interface Bucket {
  creditUs: bigint;
  /** When the credit was last changed. */
  atUs: bigint;
}

/**
 * The reference model: buckets with a level that rises with time, in exact whole numbers. Stores keep an arrival time and no level,
 * so the two formulations are unlikely to share a defect. Times are in microseconds of the store's clock.
 */
export function createRateLimitModel(): {
  take(checks: readonly RateLimitCheck[], nowUs: number, probe: boolean, leaseId: string): ModelDecision;
  release(leaseId: string, checks: readonly RateLimitCheck[]): void;
} {
  const buckets = new Map<string, Bucket>();
  const leases = new Map<string, Map<string, number>>();
  const idOf = ({ policy, key }: RateLimitCheck): string => JSON.stringify([policy.name, key]);

  function sizeOf({ policy }: RateLimitCheck): { readonly unitUs: bigint; readonly fullUs: bigint } {
    const windowUs = BigInt(policy.windowMs) * 1_000n;
    const limit = BigInt(policy.limit);
    const unitUs = (windowUs + limit - 1n) / limit;
    return { unitUs, fullUs: unitUs * BigInt(policy.burst) };
  }

  /** The level now, and whether it was raised to zero, as after the clock was set back. */
  function levelOf(check: RateLimitCheck, nowUs: bigint): { readonly levelUs: bigint; readonly wasBelow: boolean } {
    const { fullUs } = sizeOf(check);
    const bucket = buckets.get(idOf(check));
    const risen = bucket === undefined ? fullUs : bucket.creditUs + nowUs - bucket.atUs;
    const levelUs = risen < 0n ? 0n : risen > fullUs ? fullUs : risen;
    return { levelUs, wasBelow: risen < 0n };
  }

  function othersOf(check: RateLimitCheck, nowUs: number, leaseId: string): number {
    const held = leases.get(idOf(check)) ?? new Map<string, number>();
    return [...held].filter(([id, expiresUs]) => id !== leaseId && expiresUs > nowUs).length;
  }

  return {
    take(checks, now, probe, leaseId) {
      const nowUs = BigInt(now);
      const allowed = checks.map((check) => {
        if (check.policy.unit === "concurrent-requests") return othersOf(check, now, leaseId) < check.policy.limit;
        const { unitUs } = sizeOf(check);
        return levelOf(check, nowUs).levelUs >= unitUs * BigInt(check.cost);
      });
      const admitted = checks.every(({ policy }, index) => policy.mode === "shadow" || allowed[index] === true);
      const remaining = checks.map((check, index) => {
        const charged = admitted && !probe && allowed[index] === true;
        if (check.policy.unit === "concurrent-requests") {
          const others = othersOf(check, now, leaseId);
          const held = leases.get(idOf(check)) ?? new Map<string, number>();
          const latest = now + check.policy.windowMs * 1_000;
          for (const [id, expiresUs] of probe ? [] : held) {
            if (expiresUs > now) held.set(id, Math.min(expiresUs, latest));
            else held.delete(id);
          }
          if (charged) leases.set(idOf(check), held.set(leaseId, latest));
          return Math.max(0, check.policy.limit - others - (charged ? 1 : 0));
        }
        const { unitUs } = sizeOf(check);
        const { levelUs, wasBelow } = levelOf(check, nowUs);
        const spentUs = charged ? unitUs * BigInt(check.cost) : 0n;
        if (spentUs > 0n || wasBelow) buckets.set(idOf(check), { creditUs: levelUs - spentUs, atUs: nowUs });
        return Number((levelUs - spentUs) / unitUs);
      });
      return { admitted, allowed, remaining };
    },
    release(leaseId, checks) {
      for (const check of checks) leases.get(idOf(check))?.delete(leaseId);
    },
  };
}
