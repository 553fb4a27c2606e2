import type { RateLimitDemand } from "../../src/rate-limit/policy.ts";

/** What the model says of one request. */
export interface ModelAnswer {
  readonly admitted: boolean;
  readonly allowed: readonly boolean[];
  readonly remaining: readonly number[];
}

interface Bucket {
  creditUs: bigint;
  /** When the credit was last written. */
  atUs: bigint;
}

/**
 * Limits as buckets that fill with time, in exact whole numbers: another formulation than the stores' (which keep one time and no
 * level), so that both are wrong only where they agree to be. Times are the microseconds that a store goes by.
 */
export function createRateLimitModel(): {
  take(demands: readonly RateLimitDemand[], nowUs: number, probe: boolean, leaseId: string): ModelAnswer;
  release(leaseId: string, demands: readonly RateLimitDemand[]): void;
} {
  const buckets = new Map<string, Bucket>();
  const leases = new Map<string, Map<string, number>>();
  const idOf = ({ policy, key }: RateLimitDemand): string => JSON.stringify([policy.name, key]);

  function sizeOf({ policy }: RateLimitDemand): { readonly unitUs: bigint; readonly fullUs: bigint } {
    const windowUs = BigInt(policy.windowMs) * 1_000n;
    const limit = BigInt(policy.limit);
    const unitUs = (windowUs + limit - 1n) / limit;
    return { unitUs, fullUs: unitUs * BigInt(policy.burst) };
  }

  /** The level now, and whether it could not be below zero only because it is an empty bucket at least. */
  function levelOf(demand: RateLimitDemand, nowUs: bigint): { readonly levelUs: bigint; readonly wasBelow: boolean } {
    const { fullUs } = sizeOf(demand);
    const bucket = buckets.get(idOf(demand));
    const risen = bucket === undefined ? fullUs : bucket.creditUs + nowUs - bucket.atUs;
    const levelUs = risen < 0n ? 0n : risen > fullUs ? fullUs : risen;
    return { levelUs, wasBelow: risen < 0n };
  }

  function othersOf(demand: RateLimitDemand, nowUs: number, leaseId: string): number {
    const held = leases.get(idOf(demand)) ?? new Map<string, number>();
    return [...held].filter(([id, expiresUs]) => id !== leaseId && expiresUs > nowUs).length;
  }

  return {
    take(demands, now, probe, leaseId) {
      const nowUs = BigInt(now);
      const allowed = demands.map((demand) => {
        if (demand.policy.unit === "concurrent-requests") return othersOf(demand, now, leaseId) < demand.policy.limit;
        const { unitUs } = sizeOf(demand);
        return levelOf(demand, nowUs).levelUs >= unitUs * BigInt(demand.cost);
      });
      const admitted = demands.every(({ policy }, index) => policy.mode === "shadow" || allowed[index] === true);
      const remaining = demands.map((demand, index) => {
        const charged = admitted && !probe && allowed[index] === true;
        if (demand.policy.unit === "concurrent-requests") {
          const others = othersOf(demand, now, leaseId);
          const held = leases.get(idOf(demand)) ?? new Map<string, number>();
          const latest = now + demand.policy.windowMs * 1_000;
          for (const [id, expiresUs] of probe ? [] : held) {
            if (expiresUs > now) held.set(id, Math.min(expiresUs, latest));
            else held.delete(id);
          }
          if (charged) leases.set(idOf(demand), held.set(leaseId, latest));
          return Math.max(0, demand.policy.limit - others - (charged ? 1 : 0));
        }
        const { unitUs } = sizeOf(demand);
        const { levelUs, wasBelow } = levelOf(demand, nowUs);
        const spentUs = charged ? unitUs * BigInt(demand.cost) : 0n;
        if (spentUs > 0n || (wasBelow && !probe))
          buckets.set(idOf(demand), { creditUs: levelUs - spentUs, atUs: nowUs });
        return Number((levelUs - spentUs) / unitUs);
      });
      return { admitted, allowed, remaining };
    },
    release(leaseId, demands) {
      for (const demand of demands) leases.get(idOf(demand))?.delete(leaseId);
    },
  };
}
